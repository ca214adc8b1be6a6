package main

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (p *relayProcess) ready() bool {
	resp, err := http.Get(p.ops + "/readyz")
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode == http.StatusOK
}

// refuseRetries makes the broker refuse what is written to the retry and diverted topics.
func (f *fleet) refuseRetries(cluster *kfake.Cluster, err *kerr.Error) (remove func()) {
	var faults []kfake.Fault
	for _, topic := range append(f.topics.RetryAll(), f.topics.Diverted()) {
		faults = append(faults, kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: err, Count: -1})
	}
	return cluster.Fault(faults...).Remove
}

// TestRefusedWrites: while Kafka takes no retry records, no commit passes the events that need one and readiness is
// red; once it takes them, everything goes on without a restart.
func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	const events = 500
	f, cluster := newSafeFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.05})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, 2)
	a := audit(t, f, cluster, l)
	accept := f.refuseRetries(cluster, kerr.PolicyViolation)
	l.publish(0, events)
	require.Eventually(t, func() bool { return !p.ready() }, 10*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool { return a.audited() > 0 }, 10*time.Second, 20*time.Millisecond, "what needs no retry is committed")
	behind, err := lag(t.Context(), f.admin, f.group, f.domains...)
	require.NoError(t, err)
	require.Positive(t, behind)
	accept()
	require.Eventually(t, p.ready, 10*time.Second, 20*time.Millisecond)
	v := l.settle(t, events)
	a.verdict(t)
	require.Zero(t, v.duplicates)
}

// TestKillWhileDraining: an operator who does not wait for the end of a stop loses nothing.
func TestKillWhileDraining(t *testing.T) {
	t.Parallel()
	const events = 500
	f, cluster := newSafeFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.03, hang: 0.01, hangs: 2 * time.Second})
	p := f.start(t, "one", "--log-level", "info")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 8, 4)
	a := audit(t, f, cluster, l)
	published := make(chan struct{})
	go func() { defer close(published); l.publish(0, events) }()
	l.awaitDelivered(t, events/4)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.kill()
	f.start(t, "one")
	<-published
	l.settle(t, events)
	a.verdict(t)
}
