package divert

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// layout is what the brokers say of the topic.
type layout struct {
	id      kadm.TopicID
	leaders []int32 // by partition
}

func (l layout) partitions() int { return len(l.leaders) }

// layoutCache keeps the last layout until someone finds it wrong.
type layoutCache struct {
	mu    sync.Mutex
	known *layout
}

func (c *layoutCache) forget() {
	c.mu.Lock()
	c.known = nil
	c.mu.Unlock()
}

func (s *Store) loadLayout(ctx context.Context) (layout, error) {
	s.layout.mu.Lock()
	known := s.layout.known
	s.layout.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	details, err := s.admin.ListTopics(ctx, s.topic)
	if err != nil {
		return layout{}, fmt.Errorf("describe topic %s: %w", s.topic, err)
	}
	detail := details[s.topic]
	if err := detail.Err; err != nil || len(detail.Partitions) == 0 {
		if err == nil {
			err = kerr.UnknownTopicOrPartition
		}
		return layout{}, fmt.Errorf("topic %s is not there, run relay topics apply: %w", s.topic, err)
	}
	l := layout{id: detail.ID, leaders: make([]int32, len(detail.Partitions))}
	for p, partition := range detail.Partitions {
		if int(p) >= len(l.leaders) || p < 0 {
			return layout{}, fmt.Errorf("topic %s: partition %d of %d", s.topic, p, len(l.leaders))
		}
		l.leaders[p] = partition.Leader
	}
	s.layout.mu.Lock()
	s.layout.known = &l
	s.layout.mu.Unlock()
	return l, nil
}

// endOffsets asks for the end of the partitions: the offset that the next record will have.
func (s *Store) endOffsets(ctx context.Context, partitions []int32) (map[int32]int64, error) {
	listed, err := s.admin.ListEndOffsets(ctx, s.topic)
	if err != nil {
		return nil, fmt.Errorf("end offsets of %s: %w", s.topic, err)
	}
	return pickOffsets(s.topic, listed, partitions)
}

func pickOffsets(topic string, listed kadm.ListedOffsets, partitions []int32) (map[int32]int64, error) {
	offsets := make(map[int32]int64, len(partitions))
	for _, p := range partitions {
		o, ok := listed.Lookup(topic, p)
		if !ok {
			return nil, fmt.Errorf("end offset of %s/%d: no answer", topic, p)
		}
		if o.Err != nil {
			return nil, fmt.Errorf("end offset of %s/%d: %w", topic, p, o.Err)
		}
		offsets[p] = o.Offset
	}
	return offsets, nil
}

const (
	// fetchBytes is how much one read by offsets asks for; a broker answers with at least one batch, however large.
	fetchBytes = 1 << 20
	// fetchTries bounds the reads that fail because a leader moved.
	fetchTries = 3
)

// readAt visits the records that stand at these offsets of a partition, in their order. An offset whose record was
// compacted away is passed over. A record proves only what stood there, not that it is the latest of its key: compare
// the key. Records are visited one fetch at a time, so that memory is bounded by the fetch.
func (s *Store) readAt(ctx context.Context, partition int32, offsets []int64, visit func(*kgo.Record) error) error {
	wanted := append([]int64(nil), offsets...)
	sort.Slice(wanted, func(i, j int) bool { return wanted[i] < wanted[j] })
	for len(wanted) > 0 {
		bytes := int32(1) // one batch
		if len(wanted) > 1 {
			bytes = fetchBytes
		}
		recs, err := s.fetch(ctx, partition, wanted[0], bytes)
		if err != nil && !errors.Is(err, kerr.OffsetOutOfRange) {
			return fmt.Errorf("read %s/%d at %d: %w", s.topic, partition, wanted[0], err)
		}
		last := wanted[0] // whatever came, this one is answered
		for _, rec := range recs {
			last = max(last, rec.Offset)
			at := sort.Search(len(wanted), func(i int) bool { return wanted[i] >= rec.Offset })
			if at == len(wanted) || wanted[at] != rec.Offset {
				continue
			}
			if err := visit(rec); err != nil {
				return err
			}
		}
		wanted = wanted[sort.Search(len(wanted), func(i int) bool { return wanted[i] > last }):]
	}
	return nil
}

// fetch reads once from an offset on.
func (s *Store) fetch(ctx context.Context, partition int32, offset int64, bytes int32) ([]*kgo.Record, error) {
	var last error
	for range fetchTries {
		l, err := s.loadLayout(ctx)
		if err != nil {
			return nil, err
		}
		if int(partition) >= l.partitions() {
			return nil, fmt.Errorf("partition %d of %d", partition, l.partitions())
		}
		recs, err := s.fetchFrom(ctx, l, partition, offset, bytes)
		if err == nil || errors.Is(err, kerr.OffsetOutOfRange) || ctx.Err() != nil {
			return recs, err
		}
		last = err
		s.layout.forget()
	}
	return nil, last
}

func (s *Store) fetchFrom(ctx context.Context, l layout, partition int32, offset int64, bytes int32) ([]*kgo.Record, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = 100
	req.MinBytes = 1
	req.MaxBytes = bytes
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = s.topic, l.id
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = partition, offset, bytes
	part.CurrentLeaderEpoch = -1
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)

	answer, err := s.client.Broker(int(l.leaders[partition])).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return nil, fmt.Errorf("a fetch was answered with %T", answer)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("a fetch of one partition was not answered with one")
	}
	fetched, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, Topic: s.topic, Partition: partition,
	}, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	return fetched.Records, fetched.Err
}
