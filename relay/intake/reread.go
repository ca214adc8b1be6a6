package intake

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// rereadTimeout bounds one try to read a record again, connecting included.
	rereadTimeout = 10 * time.Second
	// rereadBackoff is the wait after one that failed.
	rereadBackoff = time.Second
	// rereadLogEvery bounds the log lines of a record that cannot be read.
	rereadLogEvery = 30 * time.Second
)

// LeftOut reports that the value of a record that waited was left out, because it is large. Whole has it.
func (a *Assignment) LeftOut(rec *kgo.Record) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leftOut[rec.Offset] > 0
}

// Whole is the record with its value: it is read again if that was left out. release gives back the room in the window
// that the value takes, and must be called once. It waits for that room, and while Kafka cannot be read; it fails only
// when the assignment ends.
func (a *Assignment) Whole(rec *kgo.Record) (whole *kgo.Record, release func(), err error) {
	a.mu.Lock()
	size := a.leftOut[rec.Offset]
	delete(a.leftOut, rec.Offset)
	a.mu.Unlock()
	if size == 0 {
		return rec, func() {}, nil
	}
	release, err = a.window.acquireLarge(a.ctx, int64(size))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s/%d@%d again: %w", rec.Topic, rec.Partition, rec.Offset, err)
	}
	var logged time.Time
	for {
		whole, err = a.reread(a.ctx, rec)
		if err == nil {
			return whole, release, nil
		}
		if a.ctx.Err() == nil && time.Since(logged) > rereadLogEvery {
			logged = time.Now()
			a.log.Error("record_not_read_again", "topic", rec.Topic, "partition", rec.Partition, "offset", rec.Offset, "err", err,
				"hint", "its partition waits; if the record was deleted, set the group's offset behind it and restart")
		}
		timer := time.NewTimer(rereadBackoff)
		select {
		case <-timer.C:
		case <-a.ctx.Done():
			timer.Stop()
			release()
			return nil, nil, fmt.Errorf("read %s/%d@%d again: %w", rec.Topic, rec.Partition, rec.Offset, context.Cause(a.ctx))
		}
	}
}

// rereader reads one record that was read before.
func rereader(o GroupOptions) func(context.Context, *kgo.Record) (*kgo.Record, error) {
	return func(ctx context.Context, rec *kgo.Record) (*kgo.Record, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, rereadTimeout, fmt.Errorf("took longer than %s", rereadTimeout))
		defer cancel()
		// A client for this alone: the group's has gone on from here, and large records are few. It asks for one byte,
		// to get one batch.
		client, err := kgo.NewClient(append(append([]kgo.Opt{}, o.Kafka...),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{rec.Topic: {rec.Partition: kgo.NewOffset().At(rec.Offset)}}),
			kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(fetchMaxWait),
			kgo.FetchMaxPartitionBytes(1), kgo.FetchMaxBytes(1), kgo.MaxConcurrentFetches(1),
			kgo.MaxDecompressBatchBytes(max(maxDecompress, 2*o.MaxRecordBytes)))...)
		if err != nil {
			return nil, fmt.Errorf("reader: %w", err)
		}
		defer client.Close()
		for {
			fetches := client.PollRecords(ctx, 1)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err := fetches.Err(); err != nil {
				return nil, err
			}
			for _, found := range fetches.Records() {
				if found.Offset != rec.Offset {
					return nil, fmt.Errorf("found offset %d in its place", found.Offset)
				}
				own := *rec
				own.Value = found.Value
				detach(&own)
				return &own, nil
			}
		}
	}
}
