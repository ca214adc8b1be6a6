package deliver

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Memory bounds what attempts under way take, in bytes.
type Memory struct {
	// Attempts: stacks, connections and buffers, and bodies of up to smallBody.
	Attempts int64
	// Bodies: larger ones.
	Bodies int64
}

// defaultMemory is for 4 000 attempts, and four bodies of the largest size by default.
var defaultMemory = Memory{Attempts: 64 << 20, Bodies: 48 << 20}

const (
	// attemptBytes is what an attempt takes besides a body: about 8 KiB of stack and 11 KiB of buffers, less what is
	// shared. TLS takes as much again, which most endpoints have.
	attemptBytes = 16 << 10
	// smallBody is a hundred times a usual event. Larger bodies have a share of their own, so that they never stand in
	// front of ordinary ones.
	smallBody = 64 << 10
	// reservedShare of a pool, a quarter, is for endpoints that have nothing else under way: however many attempts
	// hang, an endpoint that is new to it finds memory.
	reservedShare = 4
)

// room is the memory of attempts under way.
type room struct {
	attempts, bodies pool
	waiting          atomic.Int64
}

func newRoom(m Memory) *room {
	r := &room{}
	r.attempts.init(m.Attempts)
	r.bodies.init(m.Bodies)
	return r
}

// pool is one share of the room. Waiting for it is first come, first served.
type pool struct {
	common, reserved         *semaphore.Weighted
	commonSize, reservedSize int64
	used                     atomic.Int64
}

func (p *pool) init(size int64) {
	p.reservedSize = max(size/reservedShare, 1)
	p.commonSize = max(size-p.reservedSize, 1)
	p.common, p.reserved = semaphore.NewWeighted(p.commonSize), semaphore.NewWeighted(p.reservedSize)
}

// tried takes n without waiting, where first from the reserve if need be.
func (p *pool) tried(n int64, first bool) (hold, bool) {
	if h := (hold{p.common, min(n, p.commonSize), &p.used}); h.from.TryAcquire(h.n) {
		return h.taken(), true
	}
	// What does not fit into the reserve does not get it: one large body would stand for all of it.
	if first && n <= p.reservedSize && p.reserved.TryAcquire(n) {
		return hold{p.reserved, n, &p.used}.taken(), true
	}
	return hold{}, false
}

// hold is memory that was taken of a pool.
type hold struct {
	from *semaphore.Weighted
	n    int64
	used *atomic.Int64
}

func (h hold) taken() hold {
	h.used.Add(h.n)
	return h
}

func (h hold) give() {
	h.used.Add(-h.n)
	h.from.Release(h.n)
}

// take takes memory for an attempt whose body needs so many bytes, and waits for it no longer than patience. A body
// that is larger than the whole pool counts as the pool: it is made when nothing else is, and never waits for ever.
// first: its endpoint has no other attempt under way. It returns false when there was none in time, or ctx ended.
func (r *room) take(ctx context.Context, body int, first bool, patience time.Duration) (hold, bool) {
	p, n := &r.attempts, int64(attemptBytes+body)
	if body > smallBody {
		p = &r.bodies
	}
	if h, ok := p.tried(n, first); ok {
		return h, true
	}
	if patience <= 0 {
		return hold{}, false
	}
	r.waiting.Add(1)
	defer r.waiting.Add(-1)
	if ctx == nil {
		ctx = context.Background() // a task without an owner is bounded by its patience alone
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	h := hold{p.common, min(n, p.commonSize), &p.used}
	if h.from.Acquire(ctx, h.n) != nil {
		return hold{}, false
	}
	return h.taken(), true
}

// patience is how long a task may still wait for memory before it is handed off.
func (d *Dispatcher) patience(t *Task) time.Duration {
	return d.o.HandOffAfter - time.Since(t.waitsSince())
}

// first reports that the lane has one attempt under way, which is the one that asks.
func (l *lane) first() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running <= 1
}
