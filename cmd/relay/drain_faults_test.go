//go:build faults

package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestSilentlyRefusedWrites: too few replicas is what the client repeats in silence. Readiness says it all the same, a
// stop ends, and the next start loses nothing.
func TestSilentlyRefusedWrites(t *testing.T) {
	const events = 500
	f, cluster := newSafeFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.05})
	p := f.start(t, "one", "--drain-timeout", "2s")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, 2)
	a := audit(t, f, cluster, l)
	accept := f.refuseRetries(cluster, kerr.NotEnoughReplicas)
	l.publish(0, events)
	require.Eventually(t, func() bool { return !p.ready() }, 20*time.Second, 50*time.Millisecond)
	begun := time.Now()
	p.exit(t, f)
	require.Less(t, time.Since(begun), 30*time.Second)
	accept()
	f.start(t, "one")
	l.settle(t, events)
	a.verdict(t)
}

// exit asks the process to end and waits until it did, in order or not.
func (p *relayProcess) exit(t *testing.T, f *fleet) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.done:
		p.done <- err
	case <-time.After(45 * time.Second):
		t.Fatalf("did not end:\n%s", &f.logs)
	}
}

// TestCrashAfterHandOff: a crash between the acknowledgement of a retry record and the commit starts at most one more
// chain of attempts, with the same webhook-id.
func TestCrashAfterHandOff(t *testing.T) {
	const events = 100
	f, cluster := newSafeFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.1})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, 2)
	commits := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: f.group, Err: kerr.CoordinatorNotAvailable, Count: -1})
	l.publish(0, events)
	l.awaitDelivered(t, 2*events) // retries included
	require.Eventually(t, func() bool {
		waiting, err := lag(t.Context(), f.admin, f.group+"-retry", f.topics.RetryAll()...)
		return err == nil && waiting == 0
	}, 10*time.Second, 20*time.Millisecond)
	p.kill()
	commits.Remove()
	f.start(t, "one")
	v := l.settle(t, events)
	require.LessOrEqual(t, v.duplicates, v.owed)
}
