package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Journal writes records until the broker has acknowledged them: what it writes is the next durable state of a
// delivery, and the previous one may be settled only after the acknowledgement.
//
// A produce that failed or timed out is unknown, not unwritten, so it is written again; that can duplicate a record
// and never loses one. While writes fail nothing is settled, offsets stay where they are, the window fills and intake
// pauses; Failing tells readiness.
type Journal struct {
	client *kgo.Client
	log    *slog.Logger

	ctx  context.Context // cancelled by Close: waiting rewrites are given up, their offsets stay uncommitted
	stop context.CancelCauseFunc

	pending sync.WaitGroup // records written and not yet acknowledged or given up
	failing atomic.Int64   // records whose last write failed
	logged  atomic.Int64   // Unix s of the last log line; repeated failures are logged once in failureLogEvery
}

const (
	// journalBackoff is the wait before a failed record is written again. kgo has retried what is retriable before
	// the failure reaches the journal, so this is for brokers that refuse: short enough to recover quickly, long
	// enough not to spin.
	journalBackoff  = 500 * time.Millisecond
	failureLogEvery = 10 * time.Second
)

// ErrJournalClosed is the cause with which waiting writes end at Close.
var ErrJournalClosed = errors.New("journal closed")

// NewJournal writes with client, which must produce with acks from all replicas (kgo's default). It does not own the
// client.
func NewJournal(client *kgo.Client, log *slog.Logger) *Journal {
	ctx, stop := context.WithCancelCause(context.Background())
	return &Journal{client: client, log: log, ctx: ctx, stop: stop}
}

// Write produces rec and calls acked once the broker has it. acked runs on the producer's goroutine and must not
// block. After Close it may never be called: the caller's previous state is then still the durable one.
//
// Write blocks while the producer's buffer is full, which is the back-pressure that bounds memory.
func (j *Journal) Write(rec *kgo.Record, acked func()) {
	j.pending.Add(1)
	j.produce(rec, acked, false)
}

// WriteSync is Write that waits for the acknowledgement, for callers outside the hot path.
func (j *Journal) WriteSync(ctx context.Context, rec *kgo.Record) error {
	done := make(chan struct{})
	j.Write(rec, func() { close(done) })
	select {
	case <-done:
		return nil
	case <-j.ctx.Done():
		return context.Cause(j.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (j *Journal) produce(rec *kgo.Record, acked func(), failedBefore bool) {
	j.client.Produce(j.ctx, rec, func(rec *kgo.Record, err error) {
		if err == nil {
			if failedBefore {
				j.failing.Add(-1)
			}
			acked()
			j.pending.Done()
			return
		}
		if j.ctx.Err() != nil || errors.Is(err, kgo.ErrClientClosed) {
			j.pending.Done()
			return
		}
		if !failedBefore {
			j.failing.Add(1)
		}
		j.logFailure(rec, err)
		// A fresh record: kgo wrote offsets, timestamps and producer state into the failed one.
		again := &kgo.Record{Topic: rec.Topic, Key: rec.Key, Value: rec.Value, Headers: rec.Headers}
		time.AfterFunc(journalBackoff, func() { j.produce(again, acked, true) })
	})
}

func (j *Journal) logFailure(rec *kgo.Record, err error) {
	now := time.Now().Unix()
	last := j.logged.Load()
	if now-last < int64(failureLogEvery/time.Second) || !j.logged.CompareAndSwap(last, now) {
		return
	}
	hint := "the write is repeated until the broker takes it; nothing is committed meanwhile"
	if errors.Is(err, kerr.MessageTooLarge) {
		hint = "raise max.message.bytes of the topic to event.maxBytes plus 64 KiB: relay topics apply"
	}
	j.log.Error("journal_write_failed", "topic", rec.Topic, "bytes", len(rec.Value), "err", err, "hint", hint)
}

// Failing is the number of records whose last write failed and that are being written again.
func (j *Journal) Failing() int64 { return j.failing.Load() }

// Close waits for what was written until ctx ends, then gives up the rest. Call it after everything that writes
// has stopped.
func (j *Journal) Close(ctx context.Context) error {
	idle := make(chan struct{})
	go func() {
		j.pending.Wait()
		close(idle)
	}()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	j.stop(ErrJournalClosed)
	<-idle
	return err
}
