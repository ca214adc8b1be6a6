package relay

import (
	"container/list"
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
//
// mu guards the list of what is not acknowledged. A write that waits for room in the producer's buffer ends with the
// acknowledgement of others, or with Abandon.
type Journal struct {
	client *kgo.Client
	log    *slog.Logger

	ctx  context.Context // cancelled by Abandon: waiting rewrites are given up, their offsets stay uncommitted
	stop context.CancelCauseFunc

	mu      sync.Mutex
	pending list.List     // of *write, oldest first: not acknowledged and not given up
	idle    chan struct{} // closed when pending becomes empty; nil while nobody waits

	logged atomic.Int64 // Unix s of the last log line; repeated failures are logged once in failureLogEvery
}

// write is one record on its way. failed is guarded by the journal's mutex.
type write struct {
	began  time.Time
	failed bool // its last produce failed
	acked  func()
	at     *list.Element
}

const (
	// journalBackoff is the wait before a failed record is written again. kgo has retried what is retriable before
	// the failure reaches the journal, so this is for brokers that refuse: short enough to recover quickly, long
	// enough not to spin.
	journalBackoff  = 500 * time.Millisecond
	failureLogEvery = 10 * time.Second
	// overdueAfter is when a write that Kafka has neither taken nor refused counts as failing: what is retriable, a
	// partition with too few replicas for instance, the client repeats in silence.
	overdueAfter = 10 * time.Second
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
	w := &write{began: time.Now(), acked: acked}
	j.mu.Lock()
	w.at = j.pending.PushBack(w)
	j.mu.Unlock()
	j.produce(rec, w)
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

func (j *Journal) produce(rec *kgo.Record, w *write) {
	j.client.Produce(j.ctx, rec, func(rec *kgo.Record, err error) {
		if err == nil {
			w.acked()
			j.remove(w)
			return
		}
		if j.ctx.Err() != nil || errors.Is(err, kgo.ErrClientClosed) {
			j.remove(w)
			return
		}
		j.mu.Lock()
		w.failed = true
		j.mu.Unlock()
		j.logFailure(rec, err)
		// A fresh record: kgo wrote offsets, timestamps and producer state into the failed one.
		again := &kgo.Record{Topic: rec.Topic, Key: rec.Key, Value: rec.Value, Headers: rec.Headers}
		time.AfterFunc(journalBackoff, func() { j.produce(again, w) })
	})
}

func (j *Journal) remove(w *write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending.Remove(w.at)
	if j.pending.Len() == 0 && j.idle != nil {
		close(j.idle)
		j.idle = nil
	}
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

// Failing is the number of records whose last write failed and that are being written again, and of those that
// Kafka has not acknowledged for long.
func (j *Journal) Failing() int64 {
	overdue := time.Now().Add(-overdueAfter)
	j.mu.Lock()
	defer j.mu.Unlock()
	n := int64(0)
	for e := j.pending.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*write); w.failed || w.began.Before(overdue) {
			n++
		}
	}
	return n
}

// Close waits for what was written until ctx ends, then gives up the rest.
func (j *Journal) Close(ctx context.Context) error {
	var err error
	select {
	case <-j.whenIdle():
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	j.Abandon()
	<-j.whenIdle()
	return err
}

// Abandon gives up what is not acknowledged, now and from now on. Writes that wait for room return.
func (j *Journal) Abandon() { j.stop(ErrJournalClosed) }

// whenIdle is closed once nothing is pending.
func (j *Journal) whenIdle() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pending.Len() == 0 {
		idle := make(chan struct{})
		close(idle)
		return idle
	}
	if j.idle == nil {
		j.idle = make(chan struct{})
	}
	return j.idle
}
