package divert

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

const (
	// tailBatch bounds the records that one script applies: a millisecond or two of Redis' time.
	tailBatch = 500
	// tailBackoff is the wait after Kafka or Redis failed.
	tailBackoff = 200 * time.Millisecond
	// confirmEvery is how often the tail compares the index with the end of the topic.
	confirmEvery = time.Minute
	// tailFetchBytes bounds what the tail's client buffers per broker.
	tailFetchBytes = 4 << 20
	failLogEvery   = 10 * time.Second
)

// RunIndex tails the topic into the index and sends on what suspensions that ended left, until ctx ends. Any number of
// processes may run it. It returns nil; what fails meanwhile is logged and tried again. While Kafka takes no writes it
// may wait inside Resender.Enqueue, which only closing the Resender ends.
func (s *Store) RunIndex(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.runTail(ctx); return nil })
	group.Go(func() error { s.runSweeper(ctx); return nil })
	return group.Wait()
}

func (s *Store) runTail(ctx context.Context) {
	var logged time.Time
	for ctx.Err() == nil {
		err := s.tailUntilReset(ctx)
		if ctx.Err() != nil {
			return
		}
		s.layout.forget()
		switch {
		case errors.Is(err, errIndexReset):
			s.log.Warn("divert_index_reset", "err", err, "hint", "expected after a flush, failover or eviction of Redis; it is read anew from Kafka")
		case time.Since(logged) > failLogEvery:
			logged = time.Now()
			s.log.Error("divert_index_failed", "err", err, "hint", "listing answers 503 until Kafka and Redis can be reached; nothing is lost")
		}
		pause(ctx, tailBackoff)
	}
}

// tail reads every partition from the watermark of its index on. It belongs to one goroutine.
type tail struct {
	s      *Store
	client *kgo.Client
	parts  map[int32]*tailPart
	order  []int32
	// checked and confirmed are when the index was last looked at.
	checked, confirmed time.Time
}

type tailPart struct {
	gen  string
	next int64 // everything below was given to the index, by this tail or another
}

// tailUntilReset tails until ctx ends or the index of a partition is not the one that it continued. Positions only go
// forward; whatever asks for another position ends it, and the next one begins at the watermarks.
func (s *Store) tailUntilReset(ctx context.Context) error {
	t := &tail{s: s, parts: map[int32]*tailPart{}}
	if err := t.begin(ctx); err != nil {
		return err
	}
	from := make(map[int32]kgo.Offset, len(t.parts))
	for p, part := range t.parts {
		from[p] = kgo.NewOffset().At(part.next)
	}
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, s.o.Kafka...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: from}),
		// Out of range: what is missing was trimmed, or the topic ends below the index, which check finds.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMaxBytes(tailFetchBytes),
	)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	t.client = client
	for {
		if err := t.step(ctx); err != nil {
			return err
		}
	}
}

// begin joins the index of each partition, or begins it where it is not to be trusted.
func (t *tail) begin(ctx context.Context) error {
	s := t.s
	l, err := s.loadLayout(ctx)
	if err != nil {
		return err
	}
	t.order = allPartitions(l.partitions())
	// The standings first, the ends after: an index past the end is one of a topic that lost its tail.
	standings, err := s.index.standings(ctx, t.order)
	if err != nil {
		return err
	}
	ends, err := s.endOffsets(ctx, t.order)
	if err != nil {
		return err
	}
	starts, err := s.admin.ListStartOffsets(ctx, s.topic)
	if err != nil {
		return fmt.Errorf("start offsets of %s: %w", s.topic, err)
	}
	first, err := pickOffsets(s.topic, starts, t.order)
	if err != nil {
		return err
	}
	for _, p := range t.order {
		distrust := ""
		if st := standings[p]; st.watermark > ends[p] {
			distrust = st.gen
		}
		st, begun, err := s.index.begin(ctx, p, rand.Text(), l.id, first[p], distrust, time.Now())
		if err != nil {
			return err
		}
		if begun {
			s.metrics.rebuilds.Inc()
			s.log.Info("divert_index_begun", "partition", p, "from", st.watermark, "to", ends[p])
		}
		t.parts[p] = &tailPart{gen: st.gen, next: st.watermark}
	}
	return nil
}

// step polls once, applies what came and looks after the index when it is time.
func (t *tail) step(ctx context.Context) error {
	pollCtx, cancel := context.WithTimeout(ctx, t.s.o.CheckEvery)
	fetches := t.client.PollRecords(pollCtx, tailBatch)
	cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var failed error
	fetches.EachError(func(_ string, p int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) {
			failed = fmt.Errorf("read %s/%d: %w", t.s.topic, p, err)
		}
	})
	if failed != nil {
		return failed
	}
	var err error
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if err == nil && len(f.Records) > 0 {
			err = t.apply(ctx, f.Partition, f.Records)
		}
	})
	if err == nil && time.Since(t.checked) >= t.s.o.CheckEvery {
		err = t.check(ctx)
	}
	return err
}

// apply takes the records of one partition into the index. A record that cannot be read is counted and passed over.
func (t *tail) apply(ctx context.Context, p int32, recs []*kgo.Record) error {
	s, part := t.s, t.parts[p]
	changes := make([]indexed, 0, len(recs))
	for _, rec := range recs {
		c, err := indexRecord(rec)
		if err != nil {
			s.metrics.badRecords.Inc()
			s.log.Error("diverted_record_unreadable", "partition", p, "offset", rec.Offset, "err", err)
			continue
		}
		if c.kind != changeNothing {
			changes = append(changes, c)
		}
	}
	next := recs[len(recs)-1].Offset + 1
	if next <= part.next { // the client was reset to the start of the partition
		return nil
	}
	if err := s.reach(crashIndexing); err != nil {
		return err
	}
	late, err := s.index.apply(ctx, p, part.gen, part.next, next, changes)
	if err != nil {
		return err
	}
	part.next = next
	for _, key := range late {
		s.metrics.superseded.Inc()
		s.chains.begin()
		s.remove(key, s.chains.end)
	}
	return nil
}

func indexRecord(rec *kgo.Record) (indexed, error) {
	kind, key, err := classify(rec)
	if err != nil || kind != changeDiverted {
		return indexed{offset: rec.Offset, kind: kind, key: key}, err
	}
	detail, err := DecodeDiverted(rec)
	if err != nil {
		return indexed{}, err
	}
	return indexed{offset: rec.Offset, kind: kind, key: key, entry: encodeEntry(detail.Entry)}, nil
}

// check finds an index that was flushed, lost or set back while nothing was diverted, and now and then confirms that
// it covers the whole topic.
func (t *tail) check(ctx context.Context) error {
	s, now := t.s, time.Now()
	l, err := s.loadLayout(ctx)
	if err != nil {
		return err
	}
	t.checked = now
	standings, err := s.index.standings(ctx, t.order)
	if err != nil {
		return err
	}
	for p, part := range t.parts {
		st := standings[p]
		if st.gen != part.gen || st.watermark < part.next || !st.trusted(l.id, now) {
			return fmt.Errorf("partition %d: %w", p, errIndexReset)
		}
	}
	if now.Sub(t.confirmed) < confirmEvery {
		return nil
	}
	s.layout.forget() // so that a topic that was made anew is noticed at the next check
	ends, err := s.endOffsets(ctx, t.order)
	if err != nil {
		return err
	}
	for p, st := range standings {
		s.metrics.setLag(p, max(ends[p]-st.watermark, 0))
		switch {
		case st.watermark > ends[p]:
			return fmt.Errorf("partition %d: index ends at %d, topic at %d: %w", p, st.watermark, ends[p], errIndexReset)
		case st.watermark == ends[p]:
			if err := s.index.confirm(ctx, p, st.gen, now); err != nil {
				return err
			}
		}
	}
	t.confirmed = now
	return nil
}

func allPartitions(n int) []int32 {
	all := make([]int32, n)
	for p := range all {
		all[p] = int32(p)
	}
	return all
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
