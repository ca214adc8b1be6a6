package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Query selects entries. Empty members select everything.
type Query struct {
	Tenant string
	// Ownerless also selects what belongs to no tenant.
	Ownerless bool
	// From is the earliest time, To the first that is too late.
	From, To time.Time
	// Actor and Action are exact, Object is an id or a uid.
	Actor, Action, Object string
	// Before is where the page before ended; 0 begins at the newest.
	Before int64
	Limit  int
}

// Listed is an entry and where it stands.
type Listed struct {
	Offset int64
	Entry
}

// Page is what was found, newest first. Next continues it; 0: there is nothing older. A page may be short, or empty,
// and still have a next one: the entries that were looked at did not match.
type Page struct {
	Entries []Listed
	Next    int64
}

const (
	// scanOffsets bounds what one Read looks at. A change of the registry takes two offsets, its entry and the marker
	// of its transaction; entries have some 500 B, so this is about 1 MB.
	scanOffsets = 4000
	// chunkOffsets are read, and held, at a time. Records cannot be read backwards, so a chunk is read forwards and
	// looked at from its end.
	chunkOffsets = 500
	// fetchBytes is what one fetch asks for; brokers answer with at least one batch, however large.
	fetchBytes = 1 << 20
	// clockSkew is how far the clocks of two instances may be apart for To to find every entry.
	clockSkew = 5 * time.Minute
)

func (q Query) selects(e Entry) bool {
	return (e.Tenant == q.Tenant || (q.Ownerless && e.Tenant == "")) &&
		(q.Actor == "" || q.Actor == e.Actor) &&
		(q.Action == "" || q.Action == e.Action) &&
		(q.Object == "" || q.Object == e.ID || q.Object == e.UID) &&
		(q.From.IsZero() || !e.Time.Before(q.From)) &&
		(q.To.IsZero() || e.Time.Before(q.To))
}

// Read lists entries, newest first. What was acknowledged before the call is found.
func (l *Log) Read(ctx context.Context, q Query) (Page, error) {
	first, end, err := l.bounds(ctx, q)
	if err != nil {
		return Page{}, err
	}
	if q.Before > 0 {
		end = min(end, q.Before)
	}
	lowest := max(first, end-scanOffsets)
	from := fetcher{Log: l}
	var page Page
	for end > lowest && len(page.Entries) < q.Limit {
		begin := max(lowest, end-chunkOffsets)
		chunk, err := from.between(ctx, begin, end)
		if err != nil {
			return Page{}, err
		}
		for _, rec := range slices.Backward(chunk) {
			e, err := Decode(rec.Value)
			if err != nil {
				l.unreadable.Inc()
				l.log.Debug("audit_record_unreadable", "topic", l.topic, "offset", rec.Offset, "err", err)
				continue
			}
			if !q.selects(e) {
				continue
			}
			page.Entries = append(page.Entries, Listed{Offset: rec.Offset, Entry: e})
			if len(page.Entries) == q.Limit {
				begin = rec.Offset
				break
			}
		}
		end = begin
	}
	if end > first {
		page.Next = end
	}
	return page, nil
}

// bounds are the offsets between which the entries of a query stand.
func (l *Log) bounds(ctx context.Context, q Query) (first, end int64, err error) {
	if first, err = l.offset(l.admin.ListStartOffsets(ctx, l.topic)); err != nil {
		return 0, 0, err
	}
	if end, err = l.offset(l.admin.ListCommittedOffsets(ctx, l.topic)); err != nil {
		return 0, 0, err
	}
	if !q.From.IsZero() {
		// The first record that is not older: none in front of it matches.
		earliest, err := l.offset(l.admin.ListOffsetsAfterMilli(ctx, sinceEpoch(q.From), l.topic))
		if err != nil {
			return 0, 0, err
		}
		first = max(first, earliest)
	}
	if !q.To.IsZero() && q.Before == 0 {
		latest, err := l.offset(l.admin.ListOffsetsAfterMilli(ctx, sinceEpoch(q.To.Add(clockSkew)), l.topic))
		if err != nil {
			return 0, 0, err
		}
		end = min(end, latest)
	}
	return first, end, nil
}

// sinceEpoch is a time in milliseconds, as Kafka is asked for it. What is negative means something else to Kafka, and
// nothing is older than the epoch.
func sinceEpoch(t time.Time) int64 { return max(0, t.UnixMilli()) }

func (l *Log) offset(listed kadm.ListedOffsets, err error) (int64, error) {
	if err == nil {
		o, ok := listed.Lookup(l.topic, 0)
		if !ok {
			o.Err = kerr.UnknownTopicOrPartition
		}
		if o.Err == nil {
			return o.Offset, nil
		}
		err = o.Err
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return 0, fmt.Errorf("topic %s is not there, create it with relay topics apply: %w", l.topic, err)
	}
	return 0, fmt.Errorf("offsets of %s: %w", l.topic, err)
}

// fetcher reads the topic for one call, with the leader that it asked for once.
type fetcher struct {
	*Log
	known  bool
	id     kadm.TopicID
	leader int32
}

// between gives the committed records of the offsets begin ≤ offset < end, in order.
func (f *fetcher) between(ctx context.Context, begin, end int64) ([]*kgo.Record, error) {
	var records []*kgo.Record
	for at := begin; at < end; {
		fetched, next, err := f.fetch(ctx, at)
		switch {
		case errors.Is(err, kerr.OffsetOutOfRange):
			// Retention deleted it since the bounds were asked for.
			return records, nil
		case err != nil:
			return nil, fmt.Errorf("read %s at %d: %w", f.topic, at, err)
		case next <= at:
			// The offsets below end were said to be readable, so this is a broker that is not there yet.
			return nil, fmt.Errorf("read %s at %d: the broker has nothing up to %d", f.topic, at, end)
		}
		for _, rec := range fetched {
			if rec.Offset >= begin && rec.Offset < end && !rec.Attrs.IsControl() {
				records = append(records, rec)
			}
		}
		at = next
	}
	return records, nil
}

// fetch reads once from an offset on; next is where to go on.
func (f *fetcher) fetch(ctx context.Context, offset int64) (records []*kgo.Record, next int64, err error) {
	if !f.known {
		if err := f.findLeader(ctx); err != nil {
			return nil, 0, err
		}
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 100, 1, fetchBytes
	req.IsolationLevel = 1 // read_committed
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = f.topic, f.id
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = 0, offset, fetchBytes, -1
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	answer, err := f.client.Broker(int(f.leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, 0, err
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return nil, 0, fmt.Errorf("a fetch was answered with %T", answer)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, 0, errors.New("a fetch of one partition was not answered with one")
	}
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: offset, IsolationLevel: kgo.ReadCommitted(), Topic: f.topic, Partition: 0,
	}, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return fetched.Records, next, fetched.Err
}

func (f *fetcher) findLeader(ctx context.Context) error {
	details, err := f.admin.ListTopics(ctx, f.topic)
	if err != nil {
		return err
	}
	detail := details[f.topic]
	if detail.Err != nil {
		return detail.Err
	}
	partition, ok := detail.Partitions[0]
	if !ok {
		return kerr.UnknownTopicOrPartition
	}
	f.known, f.id, f.leader = true, detail.ID, partition.Leader
	return nil
}
