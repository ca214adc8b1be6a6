package deliver

import (
	"context"
	"errors"
	"time"

	"eventrelay/relay"
)

// Share is the part of a lane that a task competes in.
type Share uint8

// Fresh deliveries come from intake; all others (retries, resends, replays) from the retry wheel. Each has its own
// queue, so that a backlog never stands in front of fresh events.
const (
	Fresh Share = iota
	Backlog
)

// Task is a delivery on its way through a lane. It ends with exactly one call of Done, after everything that its
// outcome writes is acknowledged; Done must not block.
type Task struct {
	Delivery *relay.Delivery
	Share    Share
	// Owner is the assignment that the delivery holds open: HandOff and Drop name it.
	Owner any
	// Context ends the attempt when the owner cannot wait for it any longer.
	Context context.Context
	// Refused, when set, says why the delivery cannot be tried at all (its filter could not be evaluated).
	Refused error
	Done    func()

	submitted time.Time
	trace     *Exchange // of a test call, see Dispatcher.Test
	endpoint  string    // key of the lane
}

// ErrForgotten is matched by the cause with which a task's Context ends when its owner lost the partition: another
// member has the delivery, so that nothing that comes of it here may be written.
var ErrForgotten = errors.New("owner forgot the delivery")

// forgotten reports that whatever becomes of the task changes nothing any more.
func (t *Task) forgotten() bool {
	return t.Context != nil && t.Context.Err() != nil && errors.Is(context.Cause(t.Context), ErrForgotten)
}

// waitsSince is when the wait for a first attempt, or for this one, began.
func (t *Task) waitsSince() time.Time {
	if t.Share == Fresh {
		return t.Delivery.Read
	}
	return t.submitted
}
