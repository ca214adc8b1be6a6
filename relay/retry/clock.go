package retry

import (
	"sync"
	"time"
)

// clock is the wall clock with its jumps spread out: due times are counted from the broker's append, so they need a
// time that two machines agree on, and a clock that is set while the relay runs must neither make everything that waits
// due at once nor keep it from falling due.
//
// It goes as the monotonic clock does and follows the wall clock at a tenth of that speed. A wait is therefore shorter by
// at most a tenth, or longer by a ninth, which is about what retries are jittered by anyway; after a jump of an hour it
// agrees with the wall clock again within ten.
type clock struct {
	wall func() time.Time

	mu   sync.Mutex // guards what follows
	last time.Time  // of the latest look, with a monotonic reading
	now  time.Time  // what was answered then, without one
}

// catchUp is how much faster or slower than real time the clock may go: one tenth.
const catchUp = 10

func newClock(wall func() time.Time) *clock {
	return &clock{wall: wall, last: time.Now(), now: wall().Round(0)}
}

// Now is the time to compare with timestamps of others.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Now()
	passed := at.Sub(c.last)
	c.last = at
	c.now = c.now.Add(passed)
	off := c.wall().Round(0).Sub(c.now)
	c.now = c.now.Add(min(max(off, -passed/catchUp), passed/catchUp))
	return c.now
}

// appended is when a record was appended at the latest: a clock of the broker that is ahead of ours would otherwise
// make each record of the partition wait in full behind the one before it. polled has a monotonic reading.
func (c *clock) appended(stamp, polled time.Time) time.Time {
	if latest := c.Now().Add(-time.Since(polled)); stamp.After(latest) {
		return latest
	}
	return stamp
}
