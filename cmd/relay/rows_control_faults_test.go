//go:build faults

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPendingRetries_UseTheEndpointAsItIsNow: retries that wait when their webhook is edited go to its new URL, with its new headers and
// in its new format.
func TestPendingRetries_UseTheEndpointAsItIsNow(t *testing.T) {
	const events = 40
	f := newFleet(t, time.Second, 5*time.Second)
	var before, after atomic.Int64
	var edited atomic.Bool
	wrong := make(chan string, 4*events)
	former := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if before.Add(1); edited.Load() {
			wrong <- "the former URL got a retry"
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
	}))
	defer former.Close()
	present := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Edited") != "yes" || r.Header.Get("webhook-attempt") != "2" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents+json") {
			wrong <- fmt.Sprint("not as edited: ", r.Header)
		}
		after.Add(1)
	}))
	defer present.Close()
	one, two := f.start(t, "one"), f.start(t, "two")
	one.awaitReady(t, f)
	two.awaitReady(t, f)
	_, err := one.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "w", "url": former.URL, "events": []string{"load.*"},
		"retry": map[string]any{"schedule": []string{"8s"}}}, nil)
	require.NoError(t, err)
	l := &load{f: f, o: newOracle(), wanting: make([][]string, 1)}
	l.publish(0, events)
	require.Eventually(t, func() bool { return before.Load() == events }, 30*time.Second, 10*time.Millisecond, "%s", &f.logs)
	_, err = one.api.call(t.Context(), http.MethodPatch, "/v1/webhooks/w", map[string]any{"url": present.URL, "headers": map[string]string{"X-Edited": "yes"}, "format": "cloudevents"}, nil)
	require.NoError(t, err)
	wait(t, 2*time.Second) // every relay acts on it within one, on a machine that is not busy
	edited.Store(true)
	require.Eventually(t, func() bool { return after.Load() == events }, 45*time.Second, 20*time.Millisecond, "%d of %d:\n%s", after.Load(), events, &f.logs)
	require.Empty(t, wrong)
	require.EqualValues(t, events, before.Load())
}

// TestRow58_OneEndpointDies: relays share one dead endpoint. They find out together, and then one of them probes it in
// each open time; when an operator resets the breaker, all of them deliver.
func TestRow58_OneEndpointDies(t *testing.T) {
	relays := 4
	if full() {
		relays = 8
	}
	const (
		events   = 200
		finding  = 6 * time.Second  // for all to find out
		watched  = 14 * time.Second // then one probe is due, 10 s after the opening
		probes   = 1
		epsilon  = 2  // probes that begin before advice of another's arrives
		inFlight = 13 // of each relay: a breaker opens at 5 failures, with up to 8 attempts under way
	)
	f := newFleet(t, time.Second, 5*time.Second)
	var dead atomic.Bool
	dead.Store(true)
	var hits atomic.Int64
	arrived := newOracle()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if dead.Load() {
			hits.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		arrived.receipt("w", r.Header, nil, true)
	}))
	defer receiver.Close()
	all := make([]*relayProcess, relays)
	for i := range all {
		all[i] = f.start(t, fmt.Sprint("r", i))
	}
	for _, p := range all {
		p.awaitReady(t, f)
	}
	var created struct {
		UID string `json:"uid"`
	}
	_, err := all[0].api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "w", "url": receiver.URL, "events": []string{"load.*"},
		"retry": map[string]any{"schedule": []string{"5s", "5s", "5s", "5s", "5s"}}}, &created) // the standard one would let a second failure wait 5 m
	require.NoError(t, err)
	l := &load{f: f, o: arrived, wanting: [][]string{{"w"}}}
	l.publish(0, events)
	wait(t, finding)
	found := hits.Load()
	require.Positive(t, found)
	require.LessOrEqual(t, found, int64(relays*inFlight))
	wait(t, watched-finding)
	probed := hits.Load() - found
	require.LessOrEqual(t, probed, int64(probes+epsilon), "attempts at an endpoint that is known to be dead")
	dead.Store(false)
	f.must(t, http.MethodPost, "/v1/breakers/w:"+created.UID+"/reset", nil, all...)
	// What waits for the probe that would have come comes when that was due: at most 20 s after the one before.
	require.Eventually(t, func() bool { return len(arrived.missing(nil)) == 0 }, 60*time.Second, 50*time.Millisecond, "not delivered after the reset:\n%s", &f.logs)
	require.Empty(t, arrived.faults)
	t.Logf("%d relays: %d attempts until all knew, %d in the %s after", relays, found, probed, watched-finding)
}

// TestRow09_SecondSignal: whoever asks twice does not want to wait. The relay ends at once, and loses nothing.
func TestRow09_SecondSignal(t *testing.T) {
	const events = 300
	f := newFleet(t, time.Second)
	f.timeout = 10 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	p := f.start(t, "one", "--drain-timeout", "30s", "--log-level", "info")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, 2)
	l.publish(0, events/2)
	l.awaitDelivered(t, events)
	resume := o.hang()
	l.publish(events/2, events)
	require.Eventually(t, func() bool {
		behind, err := lag(t.Context(), f.admin, f.group, f.domains...)
		return err == nil && behind > 0
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
		t.Fatalf("the first signal did not let it drain:\n%s", &f.logs)
	case <-time.After(time.Second):
	}
	begun := time.Now()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.done:
		p.done <- err
		require.Equal(t, exitSignals, p.cmd.ProcessState.ExitCode(), "%v", err)
	case <-time.After(10 * time.Second): // it drains for 30
		t.Fatalf("still there 10 s after the second signal:\n%s", &f.logs)
	}
	took := time.Since(begun)
	l.crashed(t)
	resume()
	f.start(t, "one")
	v := l.settle(t, events)
	require.LessOrEqual(t, v.duplicates, v.entitled)
	t.Logf("ended %s after the second signal; %d pairs, %d duplicates of %d allowed", took.Round(time.Millisecond), v.owed, v.duplicates, v.entitled)
}

// TestRow34_WriterStandsStill: the relay that writes webhooks stands still for longer than it holds the writers' lock, while the
// other goes on writing, and then goes on itself. Of all that was answered, no revision was given twice and none was undone.
func TestRow34_WriterStandsStill(t *testing.T) {
	const (
		still   = 12 * time.Second // the lock is held for 10
		writers = 3                // at each relay
	)
	f := newFleet(t, time.Second)
	relays := []*relayProcess{f.start(t, "one"), f.start(t, "two")}
	for _, p := range relays {
		p.awaitReady(t, f)
	}
	type contested struct {
		Description string `json:"description"`
		Revision    int    `json:"revision"`
	}
	const path = "/v1/webhooks/contested"
	f.must(t, http.MethodPost, "/v1/webhooks", map[string]any{"id": "contested", "url": "http://127.0.0.1:9/", "events": []string{}}, relays[0])
	var (
		mu       sync.Mutex
		answered = map[int]string{} // by revision
		doubled  []string
		byOther  atomic.Int64
		work     sync.WaitGroup
	)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stop := make(chan struct{})
	for r, p := range relays {
		for w := range writers {
			work.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					text := fmt.Sprintf("%d-%d-%d", r, w, n)
					var after contested
					if _, err := p.api.call(ctx, http.MethodPatch, path, map[string]any{"description": text}, &after); err != nil {
						continue // contended for too long: unknown, as any write that is not answered
					}
					mu.Lock()
					if former, given := answered[after.Revision]; given || after.Description != text {
						doubled = append(doubled, fmt.Sprintf("revision %d: %q and %q, answered with %q", after.Revision, former, text, after.Description))
					}
					answered[after.Revision] = text
					mu.Unlock()
					if r == 1 {
						byOther.Add(1)
					}
				}
			})
		}
	}
	written := func(n int64) {
		t.Helper()
		from := byOther.Load()
		require.Eventually(t, func() bool { return byOther.Load() >= from+n }, 30*time.Second, 5*time.Millisecond, "%s", &f.logs)
	}
	written(5)
	require.NoError(t, relays[0].cmd.Process.Signal(syscall.SIGSTOP))
	begun := time.Now()
	written(20) // the lock is advice: the other does not wait until it expires, or not for ever
	wait(t, still-time.Since(begun))
	require.NoError(t, relays[0].cmd.Process.Signal(syscall.SIGCONT))
	written(5)
	close(stop)
	work.Wait()
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, doubled)
	latest := 0
	for revision := range answered {
		latest = max(latest, revision)
	}
	for i, p := range relays {
		require.Eventually(t, func() bool {
			var now contested
			_, err := p.api.call(t.Context(), http.MethodGet, path, nil, &now)
			return err == nil && (now.Revision == latest && now.Description == answered[latest] || now.Revision > latest) // an unanswered write may have come last
		}, 10*time.Second, 20*time.Millisecond, "relay %d does not have what was answered last", i)
	}
	t.Logf("%d writes answered, the latest revision is %d; %d by the relay that did not stand still", len(answered), latest, byOther.Load())
}
