//go:build faults

package main

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFleet is the whole of it on real services: 50 000 events of five domains, each for three of 100 webhooks, a
// receiver that fails and hangs, two relays of which one is killed three times, Redis emptied twice, the broker killed
// and started again.
func TestFleet(t *testing.T) {
	if os.Getenv("RELAY_TEST_KAFKA") == "" || os.Getenv("RELAY_TEST_STATE") == "" {
		t.Skip("needs a real broker that can be restarted: .ci/services up, then eval \"$(.ci/services env)\"")
	}
	const (
		events   = 50_000
		webhooks = 100
		types    = 33
	)
	f := newFleet(t, time.Second, 5*time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.10, hang: 0.01, hangs: 2 * time.Second})
	steady := f.start(t, "steady")
	steady.awaitReady(t, f)
	victim := f.start(t, "victim")
	victim.awaitReady(t, f)
	l := f.register(t, steady.api, o, receiver.URL, webhooks, types)

	began := time.Now()
	var publishing sync.WaitGroup
	publishing.Go(func() { l.publish(0, events) })
	finished := 0 // deliveries at the moments of the kills: what the bound on duplicates counts from
	for i, step := range []func(){
		func() { victim.kill(); victim = f.start(t, "victim") },
		func() { require.NoError(t, f.redis.FlushAll(t.Context()).Err()) },
		func() { victim.kill(); victim = f.start(t, "victim") },
		func() { restartBroker(t) },
		func() { require.NoError(t, f.redis.FlushAll(t.Context()).Err()) },
		func() { victim.kill(); victim = f.start(t, "victim") },
	} {
		l.awaitDelivered(t, int(float64(i+1)*0.13*3*events))
		finished = l.delivered()
		step()
	}
	publishing.Wait()
	v := l.settle(t, events)
	took := time.Since(began)
	t.Logf("%d events, %d pairs: %d delivered, %d diverted, %d attempts, %d duplicates in %s: %.0f events/s; 3 kills, 2 flushes, 1 broker restart (last at %d delivered)",
		events, v.owed, v.delivered, v.diverted, v.attempts, v.duplicates, took.Round(time.Millisecond), events/took.Seconds(), finished)
}

// restartBroker kills the broker that .ci/services runs and starts it again with its data.
func restartBroker(t *testing.T) {
	t.Helper()
	require.NoError(t, syscall.Kill(servicePID(t, "kafka"), syscall.SIGKILL))
	servicesUp(t)
}
