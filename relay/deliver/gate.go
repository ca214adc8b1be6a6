package deliver

import (
	runtimemetrics "runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"eventrelay/catalog"
)

// gate bounds how many attempts are at work at once, over all lanes. Without it everything that is read is begun at
// once: thousands of connections are opened, each attempt waits for all others, and what is healthy looks slow.
//
// Only attempts that keep this machine busy count. One that waits for its receiver gives its place up after placeHold,
// so that receivers that are slow or hang take no place from others, except while there is no core to spare: whoever
// would come then would wait all the same.
//
// A lane that finds no place waits in line, with its tasks in its own queues, where they can be handed off: once for
// each that it could start, up to turnsPerLane, so that places are given about in the order in which tasks came and no
// lane, whatever it holds, is far ahead of the others. A place that becomes free goes to the first in line, for one
// attempt.
//
// mu guards everything below it and is taken with a lane's mutex held, never the other way round. There is a timer
// exactly while there is a line.
type gate struct {
	places int
	busy   func() bool // no core to spare

	mu      sync.Mutex
	held    []*place
	line    []*lane
	timer   *time.Timer
	overdue func()       // what the timer calls
	waiting atomic.Int32 // length of line, to be read without mu
}

// place is what a goroutine that makes attempts holds. since is written by its holder, the others with the gate's mu.
type place struct {
	since atomic.Int64 // Unix ns: when the attempt under way began
	lost  atomic.Bool  // it was given up for the holder
	at    int          // index in held
}

const (
	// gatePlaces keep two cores busy with receivers that answer within 2 ms at 60 000 attempts a second, and cost 4 MiB.
	gatePlaces = 128
	// turnsPerLane: the default concurrency of an endpoint. A lane that could start 1 000 attempts delays the others by
	// no more than one that could start 8.
	turnsPerLane = catalog.DefaultConcurrency
	// placeHold: with gatePlaces, 25 600 attempts a second can begin on an instance at receivers slower than that.
	placeHold = 5 * time.Millisecond
	// placeHoldBusy bounds how long a busy machine alone can keep an attempt's place from the others.
	placeHoldBusy = 100 * time.Millisecond
)

func newGate(overdue func()) *gate {
	return &gate{places: gatePlaces, busy: busyCores, overdue: overdue}
}

// busyCores reports that goroutines wait for a core.
func busyCores() bool {
	sample := []runtimemetrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
	runtimemetrics.Read(sample)
	return sample[0].Value.Kind() == runtimemetrics.KindUint64 && sample[0].Value.Uint64() > 0
}

// enter gives a place for an attempt of the lane; nil: the lane is in line for it and what else it could start. Callers
// hold l.mu.
func (g *gate) enter(l *lane, now time.Time) *place {
	if l.turns > 0 && l.turns >= l.startable() {
		return nil // in line for all of it
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.line) == 0 && (len(g.held) < g.places || g.reclaim(now)) {
		return g.give(now)
	}
	for ; l.turns < l.startable(); l.turns++ {
		g.line = append(g.line, l)
	}
	g.waiting.Store(int32(len(g.line))) //nolint:gosec // a few for each lane
	g.arm()
	return nil
}

// next gives the lane whose turn it is and with it the place for another attempt; nil: nobody waits and the place is
// given back, or it was lost. The caller counts the lane's turn under the lane's mutex.
func (g *gate) next(p *place, now time.Time) *lane {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case p.lost.Load():
		return nil
	case len(g.line) == 0:
		g.remove(p)
		return nil
	}
	p.since.Store(now.UnixNano())
	l := g.line[0]
	g.line[0] = nil
	if g.line = g.line[1:]; len(g.line) == 0 {
		g.line = nil
	}
	g.waiting.Store(int32(len(g.line))) //nolint:gosec // a few for each lane
	return l
}

// stays reports that the holder of a place may go on with its own lane: it has it still, and nobody waits.
func (g *gate) stays(p *place) bool { return g.waiting.Load() == 0 && !p.lost.Load() }

// spare gives a place for the first in line if there is one; the timer's goroutine takes it.
func (g *gate) spare(now time.Time) *place {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.line) > 0 && (len(g.held) < g.places || g.reclaim(now)) {
		return g.give(now)
	}
	g.timer = nil
	g.arm()
	return nil
}

// arm starts the timer where there is a line. Callers hold mu.
func (g *gate) arm() {
	if g.timer == nil && len(g.line) > 0 {
		g.timer = time.AfterFunc(placeHold, g.overdue)
	}
}

// give makes a place. Callers hold mu.
func (g *gate) give(now time.Time) *place {
	p := &place{at: len(g.held)}
	p.since.Store(now.UnixNano())
	g.held = append(g.held, p)
	return p
}

// reclaim takes the places of attempts that only wait for their receivers and reports whether there were any. Callers
// hold mu.
func (g *gate) reclaim(now time.Time) bool {
	oldest := now.UnixNano()
	for _, p := range g.held {
		oldest = min(oldest, p.since.Load())
	}
	age := time.Duration(now.UnixNano() - oldest)
	if age < placeHold {
		return false
	}
	since := now.Add(-placeHold).UnixNano()
	if g.busy() {
		since = now.Add(-placeHoldBusy).UnixNano()
	}
	before := len(g.held)
	for i := before - 1; i >= 0; i-- {
		if p := g.held[i]; p.since.Load() <= since {
			p.lost.Store(true)
			g.remove(p)
		}
	}
	return len(g.held) < before
}

// remove takes a place out of held. Callers hold mu.
func (g *gate) remove(p *place) {
	last := len(g.held) - 1
	g.held[p.at] = g.held[last]
	g.held[p.at].at = p.at
	g.held[last] = nil
	g.held = g.held[:last]
}
