package intake

import (
	"context"
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Causes with which an assignment's context ends.
var (
	// ErrRevoked: the partition moves to another member; what finished is committed.
	ErrRevoked = errors.New("partition revoked")
	// ErrLost: this member was fenced; nothing may be committed.
	ErrLost = errors.New("partition lost")
	// ErrStopping: the process stops.
	ErrStopping = errors.New("stopping")
)

// Assignment is one assignment of one partition to this member, never reused. Its worker takes records from the
// inbox with Next and tracks them in the ledger.
type Assignment struct {
	Topic     string
	TopicID   [16]byte
	Partition int32
	Ledger    *Ledger

	window *Window
	ctx    context.Context // ends with ErrRevoked, ErrLost or ErrStopping
	cancel context.CancelCauseFunc
	worker chan struct{} // closed when the worker goroutine has returned

	attempts context.Context // of the attempts under way: outlives ctx by half of the drain timeout
	abort    context.CancelCauseFunc

	mu      sync.Mutex
	inbox   []*kgo.Record
	held    int64         // bytes in the inbox
	arrived chan struct{} // capacity 1: the inbox is not empty
	paused  bool
	ended   bool // revoked, lost or stopping: no pause and no record is accepted any more
}

// Inbox bounds of one assignment. They only smooth the way between polls: the window bounds memory.
const (
	inboxRecords = 2000
	inboxBytes   = 4 << 20
)

// put appends polled records and reports whether the partition has to pause. It never blocks.
func (a *Assignment) put(records []*kgo.Record) (pause bool) {
	var bytes int64
	for _, rec := range records {
		bytes += recordBytes(rec)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return false
	}
	a.window.add(len(records), bytes)
	a.inbox = append(a.inbox, records...)
	a.held += bytes
	select {
	case a.arrived <- struct{}{}:
	default:
	}
	if a.paused || !(a.window.Full() || len(a.inbox) >= inboxRecords || a.held >= inboxBytes) {
		return false
	}
	a.paused = true
	return true
}

// mayResume reports whether a paused partition has room again, and if so takes the pause off.
func (a *Assignment) mayResume() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.paused || a.window.Full() || len(a.inbox) > inboxRecords/2 || a.held > inboxBytes/2 {
		return false
	}
	a.paused = false
	return true
}

// Next waits for the next record. It returns false when the assignment has ended.
func (a *Assignment) Next() (*kgo.Record, bool) {
	for {
		a.mu.Lock()
		if a.ended {
			a.mu.Unlock()
			return nil, false
		}
		if len(a.inbox) > 0 {
			rec := a.inbox[0]
			a.inbox[0] = nil
			a.inbox = a.inbox[1:]
			a.held -= recordBytes(rec)
			a.mu.Unlock()
			return rec, true
		}
		a.inbox = nil
		a.mu.Unlock()
		select {
		case <-a.arrived:
		case <-a.ctx.Done():
		}
	}
}

// end stops the intake of the assignment: the inbox is dropped (its records are read again by the next owner) and
// the worker's context is cancelled.
func (a *Assignment) end(cause error) {
	a.mu.Lock()
	if !a.ended {
		a.ended = true
		a.window.remove(len(a.inbox), a.held)
		a.inbox, a.held = nil, 0
	}
	a.mu.Unlock()
	a.cancel(cause)
}

// Attempts is the context of the attempts made for this assignment. It ends later than Context: a drain lets what
// is under way finish before it cancels it.
func (a *Assignment) Attempts() context.Context { return a.attempts }

// Context ends when the assignment does.
func (a *Assignment) Context() context.Context { return a.ctx }
