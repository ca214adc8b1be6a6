package deliver

import (
	"context"
	"time"
)

// sweepEvery is how late at most what the sweep does comes.
const sweepEvery = 250 * time.Millisecond

// Run hands off what has waited too long or may not start, measures the tenants, and evicts idle lanes, until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			d.sweep(now)
		}
	}
}

func (d *Dispatcher) sweep(now time.Time) {
	lanes, p := d.allLanes(), d.pressureAt(now)
	d.weighTenants(lanes, p, now)
	for _, l := range lanes {
		aged, waits, idle := d.sweepLane(l, p, now)
		for i, t := range aged {
			d.postpone(t, waits[i])
		}
		if idle {
			d.evict(l, now)
		}
	}
}

// sweepLane takes out what has to be handed off, and how long each has to wait.
func (d *Dispatcher) sweepLane(l *lane, p pressure, now time.Time) (aged []*Task, waits []time.Duration, idle bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queues[Fresh].len()+l.queues[Backlog].len() == 0 {
		return nil, nil, l.idle(now)
	}
	base := max(l.drainTime(now), d.o.SmallestDelay)
	if blocked := l.blocked(now); blocked > 0 {
		// Opened by an operator or by advice; what the lane's own attempts block, they hand off at once.
		aged, base = l.recall(func(*Task) bool { return true }), max(blocked, d.o.SmallestDelay)
	} else {
		excess := 0
		if l.hogs(now, p) {
			excess = l.excess(p)
		}
		aged = l.recall(func(t *Task) bool {
			if t.Share == Fresh && excess > 0 {
				excess--
				return true
			}
			return now.Sub(t.waitsSince()) > d.o.HandOffAfter
		})
		d.pump(l, now) // what may start again without an attempt having ended
	}
	waits = make([]time.Duration, len(aged))
	for i := range aged {
		waits[i] = l.pace(now, base)
	}
	return aged, waits, l.idle(now)
}

func (d *Dispatcher) evict(l *lane, now time.Time) {
	d.lanesMu.Lock()
	defer d.lanesMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.evicted && l.idle(now) {
		l.evicted = true
		delete(d.lanes, l.key)
		if l.tenant.lanes--; l.tenant.lanes == 0 {
			delete(d.tenants, l.tenant.name)
		}
	}
}
