package announce

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eventrelay/relay"
	"eventrelay/relay/deliver"
)

// Dispatcher takes what falls due: the deliver.Dispatcher.
type Dispatcher interface {
	Submit(t *deliver.Task)
	HandOff(owner any)
	Drop(owner any)
}

// CoalescerOptions are all required but Every.
type CoalescerOptions struct {
	Dispatcher Dispatcher
	// Retry is the wheel, for what has to wait for its minute.
	Retry deliver.Retrier
	// Home reports that alerts are counted in this assignment; those that fall due in another go on to one.
	Home func(owner any) bool
	// Every is the time for which a webhook's alerts become one. Default a minute.
	Every      time.Duration
	Registerer prometheus.Registerer
}

const (
	alertEvery = time.Minute
	// gatherFor is how long alerts are held before they are merged, and gatherMost how many: a task that is held keeps its
	// offset, and with it the commits of its partition, waiting.
	gatherFor  = time.Second
	gatherMost = 1000
	flushEvery = 100 * time.Millisecond
	// minutesSweptAt is the number of webhooks with a minute at which those that are over are looked for.
	minutesSweptAt = 1024
)

// Coalescer passes everything on to the dispatcher and makes one alert of many, see the package comment.
type Coalescer struct {
	o      CoalescerOptions
	merged prometheus.Counter

	// effects is held while a group is carried out, and by HandOff and Drop. It is taken before mu, never after.
	effects sync.Mutex

	mu      sync.Mutex           // guards the fields below
	minutes map[string]time.Time // by uid of the alerts: when the next may pass
	groups  map[groupKey]*group
	sweepAt int
}

// groupKey keeps alerts of different assignments apart: each ends on its own.
type groupKey struct {
	uid   string
	owner any
}

type group struct {
	since  time.Time
	latest *deliver.Task
	count  int
	done   []func()
}

// NewCoalescer returns a coalescer that can Submit at once. Run belongs to the caller.
func NewCoalescer(o CoalescerOptions) *Coalescer {
	if o.Every == 0 {
		o.Every = alertEvery
	}
	c := &Coalescer{o: o, minutes: map[string]time.Time{}, groups: map[groupKey]*group{}, sweepAt: minutesSweptAt,
		merged: prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_alerts_merged_total", Help: "Alerts that became part of another one for the same webhook."})}
	o.Registerer.MustRegister(c.merged)
	return c
}

// verdict about an alert that fell due.
type verdict uint8

const (
	alertPasses   verdict = iota // to the dispatcher, as it is
	alertMoves                   // on to the partition in which its webhook's alerts are counted
	alertGathered                // it waits to be merged
)

// Submit takes over a task, as the dispatcher's Submit does.
func (c *Coalescer) Submit(t *deliver.Task) {
	switch c.admit(t, time.Now()) {
	case alertPasses:
		c.o.Dispatcher.Submit(t)
	case alertMoves:
		c.o.Retry.Enqueue(t.Delivery, 0, t.Done)
	case alertGathered:
	}
}

// admit decides about a task and notes what follows from it. Retries of an alert were counted when it passed first, and
// a suspension is told of once.
func (c *Coalescer) admit(t *deliver.Task, now time.Time) verdict {
	d := t.Delivery
	switch {
	case d.Alert == nil || d.Alert.Kind != relay.AlertFailure || d.Attempts > 0:
		return alertPasses
	case !c.o.Home(t.Owner):
		return alertMoves
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := groupKey{d.UID, t.Owner}
	g := c.groups[key]
	// One that was written back does not pass alone: others of its minute are about to follow.
	if g == nil && d.Postponed == 0 && !now.Before(c.minutes[d.UID]) {
		c.begin(d.UID, now)
		return alertPasses
	}
	if g == nil {
		g = &group{since: now}
		c.groups[key] = g
	}
	g.latest = t
	g.count += max(d.Alert.Count, 1)
	g.done = append(g.done, t.Done)
	return alertGathered
}

// begin begins the minute of a webhook. Callers hold mu.
func (c *Coalescer) begin(uid string, now time.Time) {
	c.minutes[uid] = now.Add(c.o.Every)
	if len(c.minutes) < c.sweepAt {
		return
	}
	for uid, over := range c.minutes {
		if !now.Before(over) {
			delete(c.minutes, uid)
		}
	}
	c.sweepAt = max(2*len(c.minutes), minutesSweptAt)
}

// Run carries out groups that are due until ctx ends. What is gathered then was handed off with its assignment.
func (c *Coalescer) Run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.flush(now)
		}
	}
}

// flush sends on the groups whose webhook's minute is over, and writes the others back to the wheel.
func (c *Coalescer) flush(now time.Time) {
	c.effects.Lock()
	defer c.effects.Unlock()
	for _, g := range c.take(func(_ groupKey, g *group) bool {
		return now.Sub(g.since) >= gatherFor || len(g.done) >= gatherMost
	}) {
		c.mu.Lock()
		uid := g.latest.Delivery.UID
		wait := c.minutes[uid].Sub(now)
		if wait <= 0 {
			c.begin(uid, now)
		}
		c.mu.Unlock()
		if t := c.merge(g); wait <= 0 {
			c.o.Dispatcher.Submit(t)
		} else {
			c.writeBack(t, wait)
		}
	}
}

// take removes the groups for which due is true.
func (c *Coalescer) take(due func(groupKey, *group) bool) []*group {
	c.mu.Lock()
	defer c.mu.Unlock()
	var taken []*group
	for key, g := range c.groups {
		if due(key, g) {
			delete(c.groups, key)
			taken = append(taken, g)
		}
	}
	return taken
}

// merge makes the latest task of a group count, and be settled, for all of it.
func (c *Coalescer) merge(g *group) *deliver.Task {
	c.merged.Add(float64(len(g.done) - 1))
	t := g.latest
	alert := *t.Delivery.Alert
	alert.Count = g.count
	t.Delivery.Alert = &alert
	t.Done = func() {
		for _, done := range g.done {
			done()
		}
	}
	return t
}

func (c *Coalescer) writeBack(t *deliver.Task, wait time.Duration) {
	t.Delivery.Postponed++
	c.o.Retry.Enqueue(t.Delivery, wait, t.Done)
}

// HandOff hands off what the owner's assignment left, here and in the dispatcher.
func (c *Coalescer) HandOff(owner any) {
	now := time.Now()
	c.effects.Lock()
	for _, g := range c.ofOwner(owner) {
		c.mu.Lock()
		wait := max(c.minutes[g.latest.Delivery.UID].Sub(now), 0)
		c.mu.Unlock()
		c.writeBack(c.merge(g), wait)
	}
	c.effects.Unlock()
	c.o.Dispatcher.HandOff(owner)
}

// Drop forgets what a lost assignment left: the next owner reads it again.
func (c *Coalescer) Drop(owner any) {
	c.effects.Lock()
	for _, g := range c.ofOwner(owner) {
		for _, done := range g.done {
			done()
		}
	}
	c.effects.Unlock()
	c.o.Dispatcher.Drop(owner)
}

func (c *Coalescer) ofOwner(owner any) []*group {
	return c.take(func(key groupKey, _ *group) bool { return key.owner == owner })
}
