//go:build faults

package main

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (l *lockedBuffer) contains(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.b.Bytes(), []byte(text))
}

// TestCommitSafety looks at every commit while receivers fail and hang, a relay is killed inside the revocation of its
// partitions, and another stands still for longer than its session and then goes on.
func TestCommitSafety(t *testing.T) {
	for _, on := range brokers(false) {
		t.Run(on.name, func(t *testing.T) { commitSafety(t, on) })
	}
}

func commitSafety(t *testing.T, on testBroker) {
	const (
		events   = 4_000
		webhooks = 32
		types    = 16
	)
	f, cluster := on.fleet(t, time.Second, 5*time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.05, hang: 0.002, hangs: 2 * time.Second})
	session := []string{"--session-timeout", "6s", "--log-level", "info"} // the least that Kafka takes
	one := f.start(t, "one", session...)
	one.awaitReady(t, f)
	l := f.register(t, one.api, o, receiver.URL, webhooks, types)
	a := audit(t, f, cluster, l)
	published := make(chan struct{})
	go func() { defer close(published); l.publish(0, events) }()
	l.awaitDelivered(t, events/4)

	// Two joins; one is killed while it gives partitions up.
	two := f.start(t, "two", session...)
	require.Eventually(t, func() bool { return f.logs.contains("partitions_revoked") }, 20*time.Second, time.Millisecond)
	one.kill()
	f.start(t, "one", session...)
	l.awaitDelivered(t, events)

	// Two stands still until one has everything, and then finds out.
	require.NoError(t, two.cmd.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool {
		groups, err := f.admin.DescribeGroups(t.Context(), f.group)
		return err == nil && groups[f.group].State == "Stable" && len(groups[f.group].Members) == 1
	}, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, two.cmd.Process.Signal(syscall.SIGCONT))

	<-published
	v := l.settle(t, events)
	a.verdict(t)
	require.Equal(t, v.owed, v.delivered+v.diverted)
	t.Logf("%d pairs, %d attempts, %d duplicates", v.owed, v.attempts, v.duplicates)
}
