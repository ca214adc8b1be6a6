//go:build faults

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"eventrelay/relay"
)

// servicePID is the process of a service that .ci/services runs.
func servicePID(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(service(t, "RELAY_TEST_STATE"), name+".pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	return pid
}

// servicesUp starts what has ended, each where it was: Kafka with its data, Redis without.
func servicesUp(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "../../.ci/services", "up").CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// underFault publishes through a fault of the broker: two relays, receivers that fail, events before, during and after
// it. Nothing may be lost, and all works again afterwards without a restart.
func underFault(t *testing.T, f *fleet, fault func()) verdict {
	t.Helper()
	const (
		events = 3000
		probes = 200
	)
	f.timeout = 5 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.05})
	relays := []*relayProcess{f.start(t, "one"), f.start(t, "two")}
	for _, p := range relays {
		p.awaitReady(t, f)
	}
	l := f.register(t, relays[0].api, o, receiver.URL, 10, 5)
	l.publish(0, probes)
	l.awaitDelivered(t, 2*probes)
	idle := relays[0].idleGoroutines(t)
	published := make(chan struct{})
	go func() { defer close(published); l.publish(probes, probes+events) }()
	l.awaitDelivered(t, 2*probes+events/2)
	fault()
	<-published
	l.recovered(t, probes+events, 2*probes+events, idle, relays...)
	v := l.settle(t, 2*probes+events)
	t.Logf("%d pairs, %d attempts, %d duplicates", v.owed, v.attempts, v.duplicates)
	return v
}

// TestRow11_BrokerRestarted stops the real broker in order and starts it again.
func TestRow11_BrokerRestarted(t *testing.T) {
	pid := servicePID(t, "kafka")
	underFault(t, newFleet(t, time.Second), func() {
		require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
		require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, time.Minute, 50*time.Millisecond)
		servicesUp(t)
	})
}

// TestRow12_BrokerKilled kills the real broker and starts it again.
func TestRow12_BrokerKilled(t *testing.T) {
	service(t, "RELAY_TEST_KAFKA")
	underFault(t, newFleet(t, time.Second), func() { restartBroker(t) })
}

// TestRow13_BrokerStandsStill: longer than every request waits, and than a write may take before readiness says so. The
// real broker is stopped by a signal, the embedded one behind its wire.
func TestRow13_BrokerStandsStill(t *testing.T) {
	const still = 15 * time.Second
	var (
		f    *fleet
		stop func() (goOn func())
	)
	if os.Getenv("RELAY_TEST_STATE") != "" {
		pid := servicePID(t, "kafka")
		f = newFleet(t, time.Second)
		stop = func() func() {
			require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
			goOn := func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
			t.Cleanup(goOn)
			return goOn
		}
	} else {
		w := newWire(t)
		f, _ = newWiredFleet(t, w, time.Second)
		stop = w.standStill
	}
	underFault(t, f, func() {
		goOn := stop()
		wait(t, still)
		goOn()
	})
}

// newWiredFleet is a fleet on an embedded broker that clients reach through a wire.
func newWiredFleet(t *testing.T, w *wire, delays ...time.Duration) (*fleet, *kfake.Cluster) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(w.listen), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return newFleetOn(t, cluster.ListenAddrs(), "", delays...), cluster
}

// TestRow14_AcknowledgementLost: the broker writes, and its answer gets lost with the connection. The write is repeated
// and stands once: no delivery waits or is diverted twice.
func TestRow14_AcknowledgementLost(t *testing.T) {
	const events = 600
	w := newWire(t)
	f, cluster := newWiredFleet(t, w, time.Second, 5*time.Second)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DeleteRecords}, Err: kerr.TopicAuthorizationFailed, Count: -1}) // to count what was written
	f.timeout = 5 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.04})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 8, 4)
	for from := 0; from < events; from += events / 6 {
		w.loseAnswers(3)
		l.publish(from, from+events/6)
		require.Eventually(t, func() bool { return w.answersLost() >= 3*(1+from/(events/6)) }, 30*time.Second, 5*time.Millisecond)
	}
	v := l.settle(t, events)
	require.Zero(t, v.duplicates)
	written := map[string]int{}
	for _, rec := range readFrom(t, f.kafka, nil, append(f.topics.RetryAll(), f.topics.Diverted())...) {
		if d, err := relay.DecodeDelivery(rec); err == nil {
			wait, _ := relay.Header(rec, relay.HeaderWait) // less with each hop
			written[fmt.Sprintf("%s %s attempts %d postponed %d wait %s", rec.Topic, d.ID, d.Attempts, d.Postponed, wait)]++
		}
	}
	require.NotEmpty(t, written)
	for what, n := range written {
		require.Equal(t, 1, n, what)
	}
	require.Len(t, readFrom(t, f.kafka, nil, f.domains...), events)
	t.Logf("%d answers lost, %d records of retries and diverted events, each once", w.answersLost(), len(written))
}

// TestRow16_TooLargeForTheTopic: a retry or diverted record that its topic does not take holds its event back, with
// readiness red, until an operator has raised the limit; then all goes on.
func TestRow16_TooLargeForTheTopic(t *testing.T) {
	const events = 300
	f, cluster := newSafeFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.1})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, 2)
	a := audit(t, f, cluster, l)
	raise := f.refuseRetries(cluster, kerr.MessageTooLarge)
	l.publish(0, events)
	require.Eventually(t, func() bool { return !p.ready() }, 20*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool { return f.logs.contains("raise max.message.bytes") }, 20*time.Second, 20*time.Millisecond)
	raise()
	require.Eventually(t, p.ready, 20*time.Second, 20*time.Millisecond)
	v := l.settle(t, events)
	a.verdict(t)
	require.Zero(t, v.duplicates)
}

// TestRow22_PermissionTaken: a permission that is taken away while the relay runs turns readiness red and says which,
// loses nothing, and when it is given back all goes on without a restart.
func TestRow22_PermissionTaken(t *testing.T) {
	const each = 200
	f, cluster := newSafeFleet(t, time.Second)
	f.timeout = 5 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.05})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, 2)
	sent := 0
	for _, c := range []struct {
		name  string
		fault kfake.Fault
	}{
		{"read a topic", kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: f.domains[0], Err: kerr.TopicAuthorizationFailed}},
		{"commit", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: f.group, Err: kerr.GroupAuthorizationFailed}},
		{"stay in the group", kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat, kmsg.JoinGroup}, Group: f.group, Err: kerr.GroupAuthorizationFailed, TopLevel: true}},
		{"read its offsets", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch, kmsg.Heartbeat}, Group: f.group, Err: kerr.GroupAuthorizationFailed, TopLevel: true}},
	} {
		c.fault.Count = -1
		taken := cluster.Fault(c.fault)
		l.publish(sent, sent+each)
		sent += each
		require.Eventually(t, func() bool { return !p.ready() }, 30*time.Second, 20*time.Millisecond, "%s: readiness stays green:\n%s", c.name, &f.logs)
		taken.Remove()
		l.recovered(t, sent, sent+each, 0, p)
		sent += each
	}
	v := l.settle(t, sent)
	t.Logf("%d pairs, %d duplicates", v.owed, v.duplicates)
}

// TestRow31_SubscriptionsUnreadableAtStart: a relay that cannot read the subscriptions joins no group and is not ready;
// what was published meanwhile is matched when it can.
func TestRow31_SubscriptionsUnreadableAtStart(t *testing.T) {
	const events = 200
	t.Setenv("RELAY_TEST_REDIS", "")
	f, cluster := newSafeFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	p := f.start(t, "one", "--session-timeout", "3s")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, 2)
	p.stop(t, f)
	f.cache.FlushAll()
	unreadable := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: f.topics.Webhooks(), Err: kerr.KafkaStorageError, Count: -1})
	// A name of its own: as a static member it would still be listed from before.
	p = f.start(t, "other")
	l.publish(0, events)
	require.Eventually(t, func() bool { return unreadable.Hits() > 0 }, 20*time.Second, 20*time.Millisecond)
	require.Never(t, func() bool {
		groups, err := f.admin.DescribeGroups(t.Context(), f.group, f.group+"-retry")
		if err != nil || p.ready() {
			return true
		}
		for _, g := range groups {
			for _, m := range g.Members {
				if m.InstanceID != nil && *m.InstanceID == "other" {
					return true
				}
			}
		}
		return false
	}, 3*time.Second, 50*time.Millisecond)
	unreadable.Remove()
	p.awaitReady(t, f)
	v := l.settle(t, events)
	require.Zero(t, v.duplicates)
}

// TestRow32_SubscriptionsStall: while the subscriptions cannot be confirmed, no event is matched, however many flow;
// when they can, every event finds its webhooks.
func TestRow32_SubscriptionsStall(t *testing.T) {
	const events = 500
	f, cluster := newSafeFleet(t, time.Second)
	f.env = []string{"TEST_FRESH_FOR=2s"}
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, 2)
	a := audit(t, f, cluster, l)
	stalled := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets}, Topic: f.topics.Webhooks(), Err: kerr.KafkaStorageError, Count: -1})
	require.Eventually(t, func() bool { return !p.ready() }, 20*time.Second, 20*time.Millisecond)
	before := l.delivered()
	l.publish(0, events)
	require.Never(t, func() bool { return l.delivered() > before }, 3*time.Second, 20*time.Millisecond, "an event was matched against stale subscriptions")
	stalled.Remove()
	l.recovered(t, events, events+50, 0, p)
	v := l.settle(t, events+50)
	a.verdict(t)
	require.Zero(t, v.duplicates)
}

// TestRow65_DeletedWhilePending: a webhook that is deleted while deliveries of it wait for their next attempt gets none
// of them any more, from any relay.
func TestRow65_DeletedWhilePending(t *testing.T) {
	const events = 400
	f := newFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.2})
	one, two := f.start(t, "one"), f.start(t, "two")
	one.awaitReady(t, f)
	two.awaitReady(t, f)
	l := f.register(t, one.api, o, receiver.URL, 4, 2)
	published := make(chan struct{})
	go func() { defer close(published); l.publish(0, events) }()
	l.awaitDelivered(t, events/2)
	_, err := one.api.call(t.Context(), http.MethodDelete, "/v1/webhooks/hook-001", nil, nil)
	require.NoError(t, err)
	o.remove("hook-001")
	<-published
	v := l.settle(t, events)
	o.mu.Lock()
	late := o.late
	o.mu.Unlock()
	t.Logf("%d pairs, %d delivered; the last receipt of the deleted webhook came %s after the answer", v.owed, v.delivered, late.Round(time.Millisecond))
}
