//go:build faults

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// leakedGoroutines is how many more a process may have than when it was idle before: connections and lanes come and go.
const leakedGoroutines = 100

// recoveredWithin: a breaker that opened for the fourth time while receivers hung stays open for 80 s, and what was
// postponed comes back up to half as much later, twice where its probe was still to come.
const recoveredWithin = 4 * time.Minute

// recovered checks that after a fault everything works again without a restart: readiness is green, a new event on each
// partition of each domain is delivered, nothing is held, no partition is halted and no goroutine is left over. idle is
// how many goroutines the relay had before the fault. It publishes the events from..to. The receivers are well from here
// on: each probe that fails by chance doubles the time for which a breaker is open.
func (l *load) recovered(t *testing.T, from, to int, idle float64, relays ...*relayProcess) {
	t.Helper()
	l.o.well.Store(true)
	for _, p := range relays {
		p.awaitReady(t, l.f)
	}
	l.publish(from, to)
	require.NoError(t, l.f.client.Flush(t.Context()))
	arrived := func() bool {
		for i := from; i < to; i++ {
			if len(l.undelivered(eventID(i))) > 0 {
				return false
			}
		}
		return true
	}
	require.Eventually(t, arrived, recoveredWithin, 50*time.Millisecond, "events after the fault are not delivered:\n%s", &l.f.logs)
	// What waits for its next attempt is the retry wheel's, and may.
	window := func(what string) string { return fmt.Sprintf("relay_window_%s{group=%q}", what, "intake") }
	for _, p := range relays {
		var m map[string]float64
		if !assert.Eventually(t, func() bool {
			m = p.metrics(t)
			return m[window("records")]+m[window("bytes")]+m[window("deliveries")] == 0 && m["relay_partitions_halted"] == 0 &&
				(idle == 0 || m["go_goroutines"] <= idle+leakedGoroutines)
		}, 30*time.Second, 100*time.Millisecond) {
			t.Fatalf("left over: %v records, %v bytes and %v deliveries in the window, %v halted partitions, %v goroutines (%v before)", m[window("records")],
				m[window("bytes")], m[window("deliveries")], m["relay_partitions_halted"], m["go_goroutines"], idle)
		}
	}
}

// idleGoroutines is how many goroutines a relay has that was used and has nothing to do.
func (p *relayProcess) idleGoroutines(t *testing.T) float64 {
	t.Helper()
	return p.metrics(t)["go_goroutines"]
}

// awaitDeath waits until the process has ended by itself.
func (p *relayProcess) awaitDeath(t *testing.T, f *fleet) {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		require.Error(t, err, "it ended in order:\n%s", &f.logs)
	case <-time.After(time.Minute):
		t.Fatalf("it never came to the point:\n%s", &f.logs)
	}
}

// remove notes that the deletion of a webhook was answered: what is in flight may still arrive for deletionBound.
func (o *oracle) remove(webhook string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deleted[webhook] = time.Now()
}

// hang makes every receiver silent until resume is called.
func (o *oracle) hang() (resume func()) {
	silent := make(chan struct{})
	o.hung.Store(&silent)
	return func() {
		o.hung.Store(nil)
		close(silent)
	}
}

// dropCommit lets the n-th commit get lost, after it was audited, if drop says so.
func (a *auditor) dropCommit(drop func(n int) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop = drop
}
