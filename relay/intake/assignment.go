package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay/deliver"
)

// Causes with which an assignment's context ends.
var (
	// ErrRevoked: the partition moves to another member; what finished is committed.
	ErrRevoked = errors.New("partition revoked")
	// ErrLost: this member was fenced; nothing may be committed, and what is under way is another member's.
	ErrLost = fmt.Errorf("partition lost: %w", deliver.ErrForgotten)
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
	bounds Inbox
	log    *slog.Logger
	reread func(context.Context, *kgo.Record) (*kgo.Record, error)
	roomy  chan<- struct{} // capacity 1: tells the gate that the inbox of a paused partition has room
	ctx    context.Context // ends with ErrRevoked, ErrLost or ErrStopping
	cancel context.CancelCauseFunc
	worker chan struct{} // closed when the worker goroutine has returned

	attempts context.Context // of the attempts under way: outlives ctx by half of the drain timeout
	abort    context.CancelCauseFunc

	mu      sync.Mutex
	inbox   []arrival
	held    int64         // bytes in the inbox
	leftOut map[int64]int // sizes of the values that are read again, by offset; only where records wait
	arrived chan struct{} // capacity 1: the inbox is not empty
	paused  bool
	heard   bool // a record has arrived
	ended   bool // revoked, lost or stopping: no pause and no record is accepted any more
}

// Inbox bounds what one assignment holds of what was polled and not yet taken by its worker.
type Inbox struct {
	Records int
	Bytes   int64
	// Waiting: records may stand in the inbox for hours, so the window counts them only when they are taken.
	// Otherwise partitions that wait would use it up and keep those from being read whose records are due. Large values
	// are not kept while they wait, see Assignment.Whole.
	Waiting bool
}

// DefaultInbox only smooths the way between polls: the window bounds memory.
var DefaultInbox = Inbox{Records: 2000, Bytes: 4 << 20}

// arrival is a record in an inbox.
type arrival struct {
	rec    *kgo.Record
	polled time.Time
}

// put appends polled records and reports whether the partition has to pause. It never blocks.
func (a *Assignment) put(records []*kgo.Record) (pause bool) {
	now := time.Now()
	var bytes int64
	var left map[int64]int
	for i, rec := range records {
		if a.bounds.Waiting {
			own, size := detached(rec)
			if records[i] = own; size > 0 {
				if left == nil {
					left = map[int64]int{}
				}
				left[rec.Offset] = size
			}
		}
		bytes += recordBytes(records[i])
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		return false
	}
	a.heard = true
	if !a.bounds.Waiting {
		a.window.add(len(records), bytes)
	}
	for _, rec := range records {
		a.inbox = append(a.inbox, arrival{rec, now})
	}
	if a.leftOut == nil {
		a.leftOut = left
	} else {
		maps.Copy(a.leftOut, left)
	}
	a.held += bytes
	select {
	case a.arrived <- struct{}{}:
	default:
	}
	if a.paused || !(a.window.Full() || len(a.inbox) >= a.bounds.Records || a.held >= a.bounds.Bytes) {
		return false
	}
	a.paused = true
	return true
}

// pause notes that the partition is paused. It returns false when it was, or has ended.
func (a *Assignment) pause() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.paused || a.ended {
		return false
	}
	a.paused = true
	return true
}

// mayResume reports whether a paused partition has room again, and if so takes the pause off.
func (a *Assignment) mayResume() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.paused || a.window.Full() || !a.hasRoom() {
		return false
	}
	a.paused = false
	return true
}

// isPaused reports whether the assignment itself has paused its partition.
func (a *Assignment) isPaused() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.paused
}

// silent reports that nothing has arrived so far.
func (a *Assignment) silent() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.heard
}

// hasRoom reports that the inbox is at most half full. Callers hold mu.
func (a *Assignment) hasRoom() bool {
	return len(a.inbox) <= a.bounds.Records/2 && a.held <= a.bounds.Bytes/2
}

// Next waits for the next record. It returns false when the assignment has ended.
func (a *Assignment) Next() (*kgo.Record, bool) {
	rec, _, ok := a.NextPolled()
	return rec, ok
}

// NextPolled is Next that also tells when the record was polled, with a monotonic reading: it was appended before
// that, whatever the clocks of others say.
func (a *Assignment) NextPolled() (rec *kgo.Record, polled time.Time, ok bool) {
	for {
		a.mu.Lock()
		if a.ended {
			a.mu.Unlock()
			return nil, time.Time{}, false
		}
		if len(a.inbox) > 0 {
			next := a.take()
			a.mu.Unlock()
			return next.rec, next.polled, true
		}
		a.inbox = nil
		a.mu.Unlock()
		select {
		case <-a.arrived:
		case <-a.ctx.Done():
		}
	}
}

// take removes the first record of the inbox. Callers hold mu.
func (a *Assignment) take() arrival {
	crowded := !a.hasRoom()
	next := a.inbox[0]
	a.inbox[0] = arrival{}
	a.inbox = a.inbox[1:]
	bytes := recordBytes(next.rec)
	a.held -= bytes
	if a.bounds.Waiting {
		a.window.add(1, bytes)
	}
	if a.paused && crowded && a.hasRoom() {
		select {
		case a.roomy <- struct{}{}:
		default:
		}
	}
	return next
}

// end stops the intake of the assignment: the inbox is dropped (its records are read again by the next owner) and
// the worker's context is cancelled.
func (a *Assignment) end(cause error) {
	a.mu.Lock()
	if !a.ended {
		a.ended = true
		if !a.bounds.Waiting {
			a.window.remove(len(a.inbox), a.held)
		}
		a.inbox, a.held, a.leftOut = nil, 0, nil
	}
	a.mu.Unlock()
	a.cancel(cause)
}

// Attempts is the context of the attempts made for this assignment. It ends later than Context: a drain lets what
// is under way finish before it cancels it.
func (a *Assignment) Attempts() context.Context { return a.attempts }

// Context ends when the assignment does.
func (a *Assignment) Context() context.Context { return a.ctx }
