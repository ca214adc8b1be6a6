//go:build faults

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRow01_CrashPoints ends a relay at each point of the way of an event, at a moment that the seed chooses, and
// accounts for everything after a restart: nothing is lost, no commit has passed what was not safe, and repeated is at
// most what stood above the committed offsets. With a real Kafka each point that does not need a commit to be held runs
// there as well. RELAY_TEST_SEEDS says how many seeds are tried at each point:
//
//	RELAY_TEST_SEEDS=100 go test -tags faults -timeout 2h -run TestRow01_CrashPoints ./cmd/relay
func TestRow01_CrashPoints(t *testing.T) {
	for _, c := range []struct {
		name  string
		point string // inside the relay; empty: outside chooses
		most  int    // the moment is one of the first most times that the point is reached
		from  outside
	}{
		{"P1 fetched and not matched", crashFetched, 300, nowhere},
		{"P2 request written and not answered", "", 500, receiver},
		{"P3 answered and not settled", crashAnswered, 500, nowhere},
		{"P4 handed off and not settled", crashHandedOff, 15, nowhere},
		{"P5 settled and not committed", "", 3, broker},
		{"P6 in the revocation", crashInRevoked, 1, joiner},
		{"P6 in the commit of the revocation", "", 1, brokerAtRevoke},
	} {
		for i := range seeds(t) {
			seed := testSeed + uint64(i)
			t.Run(fmt.Sprintf("%s, seed %d", c.name, seed), func(t *testing.T) {
				moment := 1 + rand.New(rand.NewPCG(seed, uint64(c.most))).IntN(c.most)
				for _, on := range brokers(c.from == broker || c.from == brokerAtRevoke) {
					t.Run(on.name, func(t *testing.T) { crashOnce(t, on, c.point, c.from, moment) })
				}
			})
		}
	}
}

// seeds is how many schedules a test tries.
func seeds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("RELAY_TEST_SEEDS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "RELAY_TEST_SEEDS")
	return n
}

// outside is who ends the relay, where it does not do so itself.
type outside int

const (
	nowhere outside = iota
	receiver
	broker
	joiner // nobody; but another relay makes the point come
	brokerAtRevoke
)

func crashOnce(t *testing.T, on testBroker, point string, from outside, moment int) {
	t.Helper()
	const (
		webhooks = 8
		types    = 4
	)
	events, gap := 400, time.Duration(0)
	if from == joiner || from == brokerAtRevoke {
		events, gap = 1500, 100*time.Millisecond // a member hears of another at its next heartbeat, 3 s later at most
	}
	f, cluster := on.fleet(t, time.Second, 5*time.Second)
	f.timeout = 5 * time.Second // a receiver that a busy machine keeps from answering is not a crash's doing
	o := newOracle()
	server := o.receiver(t, behaviour{fail: 0.05, hang: 0.002, hangs: 6 * time.Second})
	if point != "" {
		f.env = []string{fmt.Sprintf("TEST_CRASH_AT=%s:%d", point, moment)}
	}
	// Longer than a busy machine stalls: a member that is thrown out reads again what it had, which is not the crash's doing.
	options := []string{"--session-timeout", "20s", "--log-level", "info"}
	p := f.start(t, "one", options...)
	f.env = nil
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, server.URL, webhooks, types)
	a := audit(t, f, cluster, l)
	var kill sync.Once
	end := func() (now bool) {
		kill.Do(func() { now = p.cmd.Process.Kill() == nil })
		return now
	}
	switch from {
	case receiver:
		o.mu.Lock()
		o.onReceipt = func(n int) {
			if n >= moment {
				end()
			}
		}
		o.mu.Unlock()
	case broker:
		a.dropCommit(func(n int) bool { return n >= moment && end() })
	case brokerAtRevoke:
		a.dropCommit(func(int) bool { return f.logs.contains("partitions_revoked") && end() })
	}
	published := make(chan struct{})
	go func() {
		defer close(published)
		for n := 0; n < events; n += 20 {
			l.publish(n, n+20)
			wait(t, gap)
		}
	}()
	if from == joiner || from == brokerAtRevoke {
		l.awaitDelivered(t, 50)
		f.start(t, "two", options...)
	}
	p.awaitDeath(t, f)
	l.crashed(t)
	f.start(t, "one", options...)
	<-published
	v := l.settle(t, events)
	a.verdict(t)
	require.Zero(t, v.beyond, "%d duplicates, of which the crash explains all but these:\n%s", v.duplicates, &f.logs)
	t.Logf("at moment %d: %d pairs, %d attempts, %d duplicates of %d allowed", moment, v.owed, v.attempts, v.duplicates, v.entitled)
}
