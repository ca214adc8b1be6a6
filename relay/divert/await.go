package divert

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// awaitTick is how often a read looks at the watermark; the tail applies a record within about a millisecond.
	awaitTick = 10 * time.Millisecond
	// barrierEvery bounds the barriers that one process writes.
	barrierEvery = 5 * time.Second
)

// awaitIndexed asks Kafka for the end of the partitions and waits until the index covers them to there. It returns
// the offsets that are covered, or ErrIndexBehind.
//
// The end of a partition may be an offset at which no record stands, because compaction took the last ones: the tail
// sees records, not positions, and would never report it reached. So a read that waits in vain for a while writes a
// barrier, a record after everything else.
func (s *Store) awaitIndexed(ctx context.Context, partitions []int32) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.IndexWait, fmt.Errorf("waited %v for the index of diverted events", s.o.IndexWait))
	defer cancel()
	l, err := s.loadLayout(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndexBehind, err)
	}
	ends, err := s.endOffsets(ctx, partitions)
	if err != nil {
		s.layout.forget()
		return nil, fmt.Errorf("%w: %w", ErrIndexBehind, err)
	}
	began := time.Now()
	tick := time.NewTicker(awaitTick)
	defer tick.Stop()
	for {
		standings, err := s.index.standings(ctx, partitions)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrIndexBehind, errors.Join(err, context.Cause(ctx)))
		}
		var behind []int32
		for _, p := range partitions {
			if st := standings[p]; st.gen == "" || st.topic != topicText(l.id) || st.watermark < ends[p] {
				behind = append(behind, p)
			}
		}
		if len(behind) == 0 {
			return ends, nil
		}
		if time.Since(began) > s.o.IndexWait/4 {
			s.writeBarriers(behind)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: partitions %v: %w", ErrIndexBehind, behind, context.Cause(ctx))
		}
	}
}

// writeBarriers writes one to each of the partitions, unless this process wrote some lately.
func (s *Store) writeBarriers(partitions []int32) {
	now, last := time.Now().UnixMilli(), s.barrierAt.Load()
	if now-last < barrierEvery.Milliseconds() || !s.barrierAt.CompareAndSwap(last, now) {
		return
	}
	for _, p := range partitions {
		s.metrics.barriers.Inc()
		s.chains.begin()
		s.journal.Write(barrierRecord(s.topic, p), s.chains.end)
	}
}
