//go:build faults

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"eventrelay/relay"
)

// listed are the diverted events of a webhook, by event id; ok is false where the relay cannot say.
func listed(t *testing.T, a api, webhook string) (deliveries map[string]string, ok bool) {
	t.Helper()
	deliveries = map[string]string{}
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				DeliveryID string `json:"deliveryId"`
				EventID    string `json:"eventId"`
			} `json:"items"`
			NextCursor string `json:"nextCursor"`
		}
		if _, err := a.call(t.Context(), http.MethodGet, "/v1/webhooks/"+webhook+"/diverted?limit=200&cursor="+cursor, nil, &page); err != nil {
			return nil, false
		}
		for _, item := range page.Items {
			deliveries[item.EventID] = item.DeliveryID
		}
		if cursor = page.NextCursor; cursor == "" {
			return deliveries, true
		}
	}
}

// must is a call that has to succeed, however often it must be asked for while processes come and go.
func (f *fleet) must(t *testing.T, method, path string, body any, ask ...*relayProcess) {
	t.Helper()
	var err error
	n := 0
	require.Eventually(t, func() bool {
		_, err = ask[n%len(ask)].api.call(t.Context(), method, path, body, nil)
		n++
		return err == nil
	}, 30*time.Second, 20*time.Millisecond, "%s %s: %v\n%s", method, path, err, &f.logs)
}

// TestRow63_SuspendedAndBack: a webhook is suspended while its deliveries are under way, unsuspended while a relay that
// stands still does not hear of it, suspended again while the first suspension is drained, and relays are killed in both.
// Everything arrives in the end, and nothing is left diverted.
func TestRow63_SuspendedAndBack(t *testing.T) {
	f, cluster := newAuditedFleet(t, time.Second, 5*time.Second)
	f.timeout = 5 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.02})
	one, two := f.start(t, "one"), f.start(t, "two")
	one.awaitReady(t, f)
	two.awaitReady(t, f)
	l := f.register(t, one.api, o, receiver.URL, 2, 1) // both want everything; one of them is suspended
	a := audit(t, f, cluster, l)
	const suspended = "/v1/webhooks/hook-000"
	stop, sent := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.publish(n, n+15)
				n += 15
			case <-stop:
				sent <- n
				return
			}
		}
	}()
	progress := func(n int) { t.Helper(); l.awaitDelivered(t, l.delivered()+n) }
	progress(200)

	// In flight; and a relay is killed while it diverts.
	f.must(t, http.MethodPost, suspended+"/suspend", map[string]any{"reason": "test"}, one)
	progress(100)
	two.kill()
	l.crashed(t)
	two = f.start(t, "two")
	two.awaitReady(t, f)
	progress(100)

	// Unsuspended behind the back of one that stands still: what it has in hand is diverted late, with the old epoch.
	require.NoError(t, two.cmd.Process.Signal(syscall.SIGSTOP))
	f.must(t, http.MethodPost, suspended+"/unsuspend", nil, one)
	progress(50)
	require.NoError(t, two.cmd.Process.Signal(syscall.SIGCONT))

	// Suspended again during the drain; unsuspended; and whoever drains is killed.
	f.must(t, http.MethodPost, suspended+"/suspend", map[string]any{"reason": "again"}, two)
	progress(100)
	f.must(t, http.MethodPost, suspended+"/unsuspend", nil, two)
	progress(20)
	one.kill()
	l.crashed(t)
	f.start(t, "one")
	progress(100)
	close(stop)
	n := <-sent
	require.NoError(t, f.client.Flush(t.Context()))

	if !assert.Eventually(t, func() bool { return len(o.missing(nil)) == 0 }, 50*time.Second, 50*time.Millisecond) {
		left, ok := listed(t, two.api, "hook-000")
		waiting, err := lag(t.Context(), f.admin, f.group+"-retry", f.topics.RetryAll()...)
		var webhook map[string]any
		_, _ = two.api.call(t.Context(), http.MethodGet, suspended, nil, &webhook)
		t.Fatalf("%d of %d arrived; %d diverted (%v), %d waiting (%v), suspension %v:\n%s", l.delivered(), 2*n, len(left), ok, waiting, err, webhook["suspension"], &f.logs)
	}
	require.Eventually(t, func() bool {
		left, ok := listed(t, two.api, "hook-000")
		return ok && len(left) == 0
	}, 45*time.Second, 100*time.Millisecond, "what arrived is still listed:\n%s", &f.logs)
	v := l.settle(t, n)
	a.verdict(t)
	require.Zero(t, v.diverted)
	// A crash repeats what it repeats, and what was diverted by it and by whoever read it again is drained once: it has
	// one key.
	require.LessOrEqual(t, v.duplicates, v.entitled)
	t.Logf("%d pairs, %d attempts, %d duplicates of %d allowed, %d beyond", v.owed, v.attempts, v.duplicates, v.entitled, v.beyond)
}

// divertedLoad is a relay with n diverted events of the one webhook of its load.
func divertedLoad(t *testing.T, f *fleet, o *oracle, p *relayProcess, receiver string, n int) *load {
	t.Helper()
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver, 1, 1)
	f.must(t, http.MethodPost, "/v1/webhooks/hook-000/suspend", map[string]any{"reason": "test"}, p)
	l.publish(0, n)
	l.awaitListed(t, p.api, n)
	return l
}

// awaitListed waits until n diverted events are listed.
func (l *load) awaitListed(t *testing.T, a api, n int) {
	t.Helper()
	got := 0
	require.Eventually(t, func() bool {
		entries, ok := listed(t, a, "hook-000")
		got = len(entries)
		return ok && got == n
	}, 45*time.Second, 50*time.Millisecond, "%d diverted events, not %d:\n%s", got, n, &l.f.logs)
}

// TestRow66_ResendsRace: a hundred ask two relays to resend the same event, and others delete what is being resent. One
// resend is made of each; what is deleted is gone, what is resent arrives once, and nothing else is touched.
func TestRow66_ResendsRace(t *testing.T) {
	const (
		diverted = 60
		callers  = 100
		raced    = 40
	)
	f := newFleet(t, time.Second)
	f.timeout = 5 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	relays := []*relayProcess{f.start(t, "one"), f.start(t, "two")}
	l := divertedLoad(t, f, o, relays[0], receiver.URL, diverted)
	relays[1].awaitReady(t, f)
	f.must(t, http.MethodPost, "/v1/webhooks/hook-000/unsuspend", map[string]any{"resend": false}, relays[0])
	for _, p := range relays {
		l.awaitListed(t, p.api, diverted)
	}
	entries, _ := listed(t, relays[0].api, "hook-000")
	path := func(i int) string { return "/v1/webhooks/hook-000/diverted/" + entries[eventID(i)] }

	var calls sync.WaitGroup
	answers := make(chan int, callers)
	for i := range callers {
		calls.Go(func() {
			status, _ := relays[i%2].api.call(t.Context(), http.MethodPost, path(0)+"/resend", nil, nil)
			answers <- status
		})
	}
	calls.Wait()
	close(answers)
	accepted := 0
	for status := range answers {
		if status < 300 {
			accepted++
			continue
		}
		require.Contains(t, []int{http.StatusConflict, http.StatusNotFound}, status) // being resent; delivered
	}
	require.Equal(t, 1, accepted, "of %d resends of one event:\n%s", callers, &f.logs)

	resent, deleted := make([]bool, raced+1), make([]bool, raced+1)
	for i := 1; i <= raced; i++ {
		calls.Go(func() {
			status, err := relays[i%2].api.call(t.Context(), http.MethodPost, path(i)+"/resend", nil, nil)
			resent[i] = status < 300 && err == nil
		})
		calls.Go(func() {
			status, err := relays[(i+1)%2].api.call(t.Context(), http.MethodDelete, path(i), nil, nil)
			deleted[i] = status < 300 && err == nil
		})
	}
	calls.Wait()
	l.awaitListed(t, relays[0].api, diverted-1-raced)
	both := 0
	for i := 1; i <= raced; i++ {
		require.True(t, resent[i] || deleted[i], "event %d is gone, and nobody took it", i)
		if resent[i] && deleted[i] {
			both++
		}
	}
	require.Eventually(t, func() bool {
		for i := 1; i <= raced; i++ {
			if resent[i] && !deleted[i] && o.undelivered(pair{eventID(i), "hook-000"}) {
				return false
			}
		}
		return !o.undelivered(pair{eventID(0), "hook-000"})
	}, 30*time.Second, 20*time.Millisecond, "%s", &f.logs)
	settled := func() bool {
		waiting, err := lag(t.Context(), f.admin, f.group+"-retry", f.topics.RetryAll()...)
		return err == nil && waiting == 0
	}
	require.Eventually(t, settled, time.Minute, 50*time.Millisecond)
	o.mu.Lock()
	defer o.mu.Unlock()
	require.Empty(t, o.faults)
	for p, n := range o.delivered {
		require.Equal(t, 1, n, "%v", p)
	}
	t.Logf("%d of %d resends accepted; of %d raced, %d were both resent and deleted; %d deliveries", accepted, callers, raced, both, len(o.delivered))
}

// TestRow67_CrashesOfTheDivertStore ends a relay between a resend and its marker, between a tombstone and the index, and
// while the index is read anew from the topic: what another then lists is what the topic holds, and everything arrives.
func TestRow67_CrashesOfTheDivertStore(t *testing.T) {
	const (
		diverted = 60
		first    = 10 // the sweeper's first batch
	)
	for _, c := range []struct {
		name, point string
		most        int // the moment is one of the first most times that the point is reached
	}{
		{"P7 resent and not marked", crashResent, first},
		{"P8 resolved and not indexed", crashResolved, diverted},
		{"P9 while the index is rebuilt", crashIndexing, diverted},
	} {
		for i := range seeds(t) {
			seed := testSeed + uint64(i)
			t.Run(fmt.Sprintf("%s, seed %d", c.name, seed), func(t *testing.T) {
				moment := 1 + rand.New(rand.NewPCG(seed, uint64(c.most))).IntN(c.most)
				f := newFleet(t, time.Second)
				f.timeout = 5 * time.Second
				o := newOracle()
				receiver := o.receiver(t, behaviour{})
				p := f.start(t, "one")
				l := divertedLoad(t, f, o, p, receiver.URL, diverted)
				p.stop(t, f)
				if c.point == crashIndexing {
					require.NoError(t, f.redis.FlushAll(t.Context()).Err())
				}
				f.env = []string{fmt.Sprintf("TEST_CRASH_AT=%s:%d", c.point, moment)}
				victim := f.start(t, "one")
				f.env = nil
				if c.point != crashIndexing {
					victim.awaitReady(t, f)
					// It may die before it answers; the decision stands in the topic by then.
					_, _ = victim.api.call(t.Context(), http.MethodPost, "/v1/webhooks/hook-000/unsuspend", nil, nil)
				}
				victim.awaitDeath(t, f)
				l.crashed(t)
				f.unmarked(t, l)
				if c.point == crashResent { // or the claims of the dead one hold its entries for half a minute
					require.NoError(t, f.redis.FlushAll(t.Context()).Err())
				}
				next := f.start(t, "one")
				next.awaitReady(t, f)
				if c.point == crashIndexing {
					l.awaitListed(t, next.api, diverted) // never fewer: awaitListed asks until it is told
				}
				f.must(t, http.MethodPost, "/v1/webhooks/hook-000/unsuspend", nil, next)
				l.awaitDelivered(t, diverted)
				l.awaitListed(t, next.api, 0)
				v := l.settle(t, diverted)
				require.Zero(t, v.diverted)
				require.Zero(t, v.beyond, "%d duplicates, of which the crash explains all but these:\n%s", v.duplicates, &f.logs)
				t.Logf("at moment %d: %d pairs, %d attempts, %d duplicates of %d allowed", moment, v.owed, v.attempts, v.duplicates, v.entitled)
			})
		}
	}
}

// unmarked entitles what was resent and not marked to be sent once more.
func (f *fleet) unmarked(t *testing.T, l *load) {
	t.Helper()
	marked := map[string]bool{}
	for _, rec := range readAll(t, f.kafka, f.topics.Diverted()) {
		if key, is := strings.CutSuffix(string(rec.Key), "/resending"); is {
			marked[key] = true
		}
	}
	records := readFrom(t, f.kafka, nil, f.topics.RetryAll()...)
	l.o.mu.Lock()
	defer l.o.mu.Unlock()
	for _, rec := range records {
		if d, err := relay.DecodeDelivery(rec); err == nil && d.DivertKey != "" && !marked[d.DivertKey] {
			l.o.again[pair{d.Event.ID, l.names[d.UID]}]++
		}
	}
}
