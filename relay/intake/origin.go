package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// From is where a new group starts.
type From string

// The origins.
const (
	FromLatest   From = "latest"
	FromEarliest From = "earliest"
)

// ErrOffsetsLost is returned when a group that once had offsets has none: going on would skip or repeat everything.
var ErrOffsetsLost = errors.New("the group's committed offsets are gone")

// Origin decides, once, where a new group starts, by committing offsets before anybody joins. It remembers that in
// the jobs topic (key "origin/<group>"), so that a group that lost its offsets is told from a new one.
//
// Order: offsets, then the memory of them. A crash in between leaves offsets, which is all that the next start
// looks for. Partitions added later have no offset and start at their beginning.
type Origin struct {
	Group  string
	Topics []string
	From   From
	// JobsTopic remembers.
	JobsTopic string
	Kafka     []kgo.Opt
	Log       *slog.Logger
}

// Decide commits the origin of a new group; for any other it does nothing.
func (o Origin) Decide(ctx context.Context, client *kgo.Client) error {
	admin := kadm.NewClient(client)
	for attempt := 0; ; attempt++ {
		err := o.decide(ctx, admin, client)
		// Another instance that decides at the same time has joined already: its commit is the decision.
		if attempt < 5 && (errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration)) {
			select {
			case <-time.After(500 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		}
		return err
	}
}

func (o Origin) decide(ctx context.Context, admin *kadm.Client, client *kgo.Client) error {
	// The memory first: it is written after the offsets, so whoever finds it finds them too, unless they are lost. The
	// other way round, an instance that decides in between would look like a loss.
	remembered, err := o.remembered(ctx, admin)
	if err != nil {
		return err
	}
	committed, err := admin.FetchOffsets(ctx, o.Group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("offsets of group %s: %w", o.Group, err)
	}
	known := false
	committed.Each(func(r kadm.OffsetResponse) { known = known || r.At >= 0 })
	switch {
	case known && remembered:
		return nil
	case known:
		return o.remember(ctx, client)
	case remembered:
		return fmt.Errorf("group %s: %w: set them by hand (kafka-consumer-groups --reset-offsets), or delete the record %q of %s to start as a new group",
			o.Group, ErrOffsetsLost, o.key(), o.JobsTopic)
	}
	list := admin.ListEndOffsets
	if o.From == FromEarliest {
		list = admin.ListStartOffsets
	}
	listed, err := list(ctx, o.Topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return fmt.Errorf("offsets of topics %v: %w", o.Topics, err)
	}
	offsets := listed.Offsets()
	responses, err := admin.CommitOffsets(ctx, o.Group, offsets)
	if err == nil {
		err = responses.Error()
	}
	if err != nil {
		return fmt.Errorf("commit the origin of group %s: %w", o.Group, err)
	}
	o.Log.Info("group_origin", "group", o.Group, "from", string(o.From), "topics", o.Topics)
	return o.remember(ctx, client)
}

func (o Origin) key() string { return "origin/" + o.Group }

func (o Origin) remember(ctx context.Context, client *kgo.Client) error {
	rec := &kgo.Record{Topic: o.JobsTopic, Key: []byte(o.key()), Value: []byte(`{"from":"` + string(o.From) + `"}`)}
	if err := client.ProduceSync(ctx, rec).FirstErr(); err != nil {
		return fmt.Errorf("remember the origin of group %s: %w", o.Group, err)
	}
	return nil
}

// remembered reads the jobs topic, which is compacted and small, for our key.
func (o Origin) remembered(ctx context.Context, admin *kadm.Client) (bool, error) {
	ends, err := admin.ListEndOffsets(ctx, o.JobsTopic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return false, fmt.Errorf("end of topic %s: %w", o.JobsTopic, err)
	}
	starts, err := admin.ListStartOffsets(ctx, o.JobsTopic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return false, fmt.Errorf("start of topic %s: %w", o.JobsTopic, err)
	}
	parts := map[int32]kgo.Offset{}
	open := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if start, _ := starts.Lookup(end.Topic, end.Partition); end.Offset > start.Offset {
			parts[end.Partition] = kgo.NewOffset().AtStart()
			open[end.Partition] = end.Offset
		}
	})
	if len(parts) == 0 {
		return false, nil
	}
	reader, err := kgo.NewClient(append(append([]kgo.Opt{}, o.Kafka...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.JobsTopic: parts}), kgo.KeepControlRecords())...)
	if err != nil {
		return false, fmt.Errorf("reader of %s: %w", o.JobsTopic, err)
	}
	defer reader.Close()
	found := false
	for len(open) > 0 {
		// The tail of a compacted topic may be gone: a second without anything is the end as well.
		pollCtx, cancel := context.WithTimeout(ctx, originPatience)
		fetches := reader.PollFetches(pollCtx)
		cancel()
		if ctx.Err() != nil {
			return false, fmt.Errorf("read %s: %w", o.JobsTopic, context.Cause(ctx))
		}
		if fetches.NumRecords() == 0 {
			var failed error
			fetches.EachError(func(_ string, _ int32, err error) {
				if !errors.Is(err, context.DeadlineExceeded) {
					failed = err
				}
			})
			if failed != nil {
				return false, fmt.Errorf("read %s: %w", o.JobsTopic, failed)
			}
			return found, nil
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			if string(rec.Key) == o.key() {
				found = rec.Value != nil
			}
			if rec.Offset+1 >= open[rec.Partition] {
				delete(open, rec.Partition)
			}
		})
	}
	return found, nil
}

// originPatience is how long a read of the jobs topic waits for the next record before it takes the end as reached.
const originPatience = 2 * time.Second
