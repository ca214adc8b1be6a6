package main

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKill accounts for every pair of event and webhook while the relay is killed three times and Redis is emptied
// once, with receivers that fail and hang.
func TestKill(t *testing.T) {
	t.Parallel()
	const (
		events   = 20_000
		webhooks = 100
		types    = 33 // each type is wanted by three webhooks, one by four
		kills    = 3
	)
	f := newFleet(t, time.Second, 5*time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.10, hang: 0.01, hangs: 2 * time.Second})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, webhooks, types)

	began := time.Now()
	var publishing sync.WaitGroup
	publishing.Go(func() { l.publish(0, events) })
	for i := range kills {
		l.awaitDelivered(t, int((0.15+0.2*float64(i))*3*events))
		p.kill()
		l.crashed(t)
		p = f.start(t, "one")
		if i == 1 {
			require.NoError(t, f.redis.FlushAll(t.Context()).Err())
		}
	}
	publishing.Wait()
	v := l.settle(t, events)
	took := time.Since(began)
	t.Logf("%d events, %d pairs: %d delivered, %d diverted, %d attempts, %d duplicates (%d allowed, %d beyond) in %s: %.0f events/s, %d kills, Redis emptied once",
		events, v.owed, v.delivered, v.diverted, v.attempts, v.duplicates, v.entitled, v.beyond, took.Round(time.Millisecond), events/took.Seconds(), kills)
}

// TestStop: a relay that is asked to stop under load, and one that joins and leaves, repeat nothing that a receiver
// acknowledged.
func TestStop(t *testing.T) {
	t.Parallel()
	const (
		events   = 6_000
		webhooks = 20
		types    = 10
	)
	f := newFleet(t, time.Second, 5*time.Second)
	// Longer than a machine that is busy with all this may stall: an answer that comes after the timeout would be a
	// duplicate that no relay can avoid.
	f.timeout = 5 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.05, hang: 0.0005, hangs: 8 * time.Second})
	one := f.start(t, "one", "--log-level", "info")
	one.awaitReady(t, f)
	l := f.register(t, one.api, o, receiver.URL, webhooks, types)
	var publishing sync.WaitGroup
	publishing.Go(func() { l.publish(0, events) })
	l.awaitDelivered(t, events/4)
	two := f.start(t, "two", "--log-level", "info")
	two.awaitReady(t, f)
	l.awaitDelivered(t, events/2)
	one.stop(t, f)
	f.start(t, "one")
	l.awaitDelivered(t, events)
	two.stop(t, f)
	f.start(t, "two")
	publishing.Wait()
	v := l.settle(t, events)
	require.Zero(t, v.duplicates, "of %d pairs:\n%s", v.owed, f.troubles())
	t.Logf("%d pairs, %d attempts, no duplicates over two rolling restarts", v.owed, v.attempts)
}
