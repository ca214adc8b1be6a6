package intake

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Limits bound what a Window holds. Memory follows from them: bytes for the payloads, about 1 KiB for each record
// and delivery, and FinishedBytes for each record that is finished.
type Limits struct {
	// Records waiting to be tracked, or tracked and not settled.
	Records int
	// Finished are records that are settled, and stand above one in their partition that is not. An attempt that hangs
	// holds back the commit for as long as it may take (30 s), and must not hold back what is read meanwhile.
	// 0: finishedPerRecord for each of Records.
	Finished int
	// Bytes of their values.
	Bytes int64
	// Deliveries made of them and not settled.
	Deliveries int
}

const (
	// finishedPerRecord makes room for 33 000 records a second during 30 s with the default of Records, in 48 MB.
	finishedPerRecord = 100
	// FinishedBytes is what a record costs that is finished: its Entry.
	FinishedBytes = 48
)

// DefaultLimits: 64 MiB of payloads, about 20 MiB of bookkeeping, and up to 48 MB while an attempt hangs.
var DefaultLimits = Limits{Records: 10_000, Bytes: 64 << 20, Deliveries: 10_000}

// Window counts what a process has read and not yet settled, over all partitions of a Group. Partitions pause when
// it is full and resume when it has dropped to half.
//
// Records and bytes are added when a poll returned them, which cannot be refused; the poll is bounded, and so is the
// overshoot. One mutex guards them. Deliveries are acquired before they are made, and that waits: first come, first
// served, so that an event that many webhooks want is not passed by those that one wants for as long as they come.
type Window struct {
	limits Limits

	mu       sync.Mutex
	records  int
	finished int
	bytes    int64
	full     bool          // since the high-water mark was crossed, until the low-water mark is reached
	low      chan struct{} // capacity 1: the low-water mark was reached

	room       *semaphore.Weighted // for deliveries
	deliveries atomic.Int64
	waiting    atomic.Int64 // goroutines inside acquire that found no room

	large *semaphore.Weighted // bytes of the values that were left out while they waited and are due now
}

// NewWindow returns an empty window.
func NewWindow(l Limits) *Window {
	if l.Finished == 0 {
		l.Finished = finishedPerRecord * l.Records
	}
	return &Window{
		limits: l, low: make(chan struct{}, 1), room: semaphore.NewWeighted(int64(l.Deliveries)),
		large: semaphore.NewWeighted(max(l.Bytes/2, 1)),
	}
}

// Low receives after a full window has dropped to its low-water mark.
func (w *Window) Low() <-chan struct{} { return w.low }

func (w *Window) add(records int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records += records
	w.bytes += bytes
	if w.records >= w.limits.Records || w.bytes >= w.limits.Bytes {
		w.full = true
	}
}

func (w *Window) remove(records int, bytes int64) { w.change(records, bytes, 0) }

// settle counts one record of that size as settled. finished is how many more records stand settled above one that is
// not: 1 when this one does, less when it let others pass.
func (w *Window) settle(bytes int64, finished int) { w.change(1, bytes, finished) }

func (w *Window) change(records int, bytes int64, finished int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records -= records
	w.bytes -= bytes
	w.finished += finished
	if w.finished >= w.limits.Finished {
		w.full = true
	}
	if w.full && w.records <= w.limits.Records/2 && w.bytes <= w.limits.Bytes/2 && w.finished <= w.limits.Finished/2 {
		w.full = false
		select {
		case w.low <- struct{}{}:
		default:
		}
	}
}

// Full reports whether partitions have to pause.
func (w *Window) Full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.full
}

// fullOfBytes reports that no partition may add another byte: not only those have to pause that have records.
func (w *Window) fullOfBytes() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.full && w.bytes >= w.limits.Bytes
}

// Contended reports whether somebody waits for room, so that an endpoint with more than its share has to give up
// some.
func (w *Window) Contended() bool { return w.waiting.Load() > 0 || w.Full() }

// acquire waits until n more deliveries fit. n above the limit is an error of the caller.
func (w *Window) acquire(ctx context.Context, n int) error {
	if !w.room.TryAcquire(int64(n)) {
		w.waiting.Add(1)
		defer w.waiting.Add(-1)
		if w.room.Acquire(ctx, int64(n)) != nil {
			return fmt.Errorf("wait for room for %d deliveries: %w", n, context.Cause(ctx))
		}
	}
	w.deliveries.Add(int64(n))
	return nil
}

func (w *Window) release(n int) {
	w.deliveries.Add(-int64(n))
	w.room.Release(int64(n))
}

// acquireLarge waits until a value fits that was left out while it waited: half of the window's bytes are for them. One
// that is larger than that counts as all of it, so that it is there alone and never waits for ever.
func (w *Window) acquireLarge(ctx context.Context, bytes int64) (release func(), err error) {
	counted := min(bytes, max(w.limits.Bytes/2, 1))
	if w.large.Acquire(ctx, counted) != nil {
		return nil, fmt.Errorf("wait for room for %d bytes: %w", bytes, context.Cause(ctx))
	}
	w.add(0, bytes)
	return func() {
		w.remove(0, bytes)
		w.large.Release(counted)
	}, nil
}

// Usage is what the window holds now.
func (w *Window) Usage() Limits {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Limits{Records: w.records, Finished: w.finished, Bytes: w.bytes, Deliveries: int(w.deliveries.Load())}
}
