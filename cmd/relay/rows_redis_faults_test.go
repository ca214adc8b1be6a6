//go:build faults

package main

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// throughProxy puts a wire between the relays that are started from now on and Redis.
func (f *fleet) throughProxy(t *testing.T) *wire {
	t.Helper()
	w, addr := proxy(t, f.redis.Options().Addr)
	f.redisAddr = addr
	return w
}

// divertedAs lists what is diverted. ok is false when the relay says that it cannot say.
func (f *fleet) divertedAs(t *testing.T, a api) (n int, ok bool) {
	t.Helper()
	var page struct {
		Items []struct {
			DeliveryID string `json:"deliveryId"`
		} `json:"items"`
	}
	status, err := a.call(t.Context(), http.MethodGet, "/v1/diverted?limit=200", nil, &page)
	if status == http.StatusServiceUnavailable || status == 0 {
		return 0, false
	}
	require.NoError(t, err)
	return len(page.Items), true
}

// underRedisFault runs a load whose every second webhook diverts, through a fault of Redis: deliveries go on at once,
// webhooks can be written, listings never show less than what is diverted, and afterwards all works without a restart.
func underRedisFault(t *testing.T, f *fleet, fault func(look func() (answered bool)) (over func())) {
	t.Helper()
	const (
		types   = 2
		broken  = 60 // events whose delivery is diverted
		while   = 400
		prompt  = 10 * time.Second // far above what is needed, far below what a wait for Redis would add up to
		pending = 100
	)
	f.timeout = 5 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, types)
	_, err := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "broken", "url": receiver.URL + "/hook/broken",
		"events": []string{"load.type0"}, "retry": "none", "filter": map[string]any{"data": map[string]any{"n": map[string]any{"$lt": 2 * broken}}}}, nil)
	require.NoError(t, err)
	_, err = p.api.call(t.Context(), http.MethodPost, "/v1/webhooks/broken/suspend", map[string]any{"reason": "test"}, nil)
	require.NoError(t, err)
	l.publish(0, 2*broken)
	require.Eventually(t, func() bool { n, ok := f.divertedAs(t, p.api); return ok && n == broken }, 30*time.Second, 50*time.Millisecond, "%s", &f.logs)
	l.awaitDelivered(t, 2*2*broken)
	idle := p.idleGoroutines(t)

	look := func() bool {
		n, ok := f.divertedAs(t, p.api)
		require.True(t, !ok || n == broken, "a listing showed %d of %d diverted events", n, broken)
		return ok
	}
	over := fault(look)
	begun := time.Now()
	l.publish(2*broken, 2*broken+while)
	l.awaitDelivered(t, 2*(2*broken+while))
	require.Less(t, time.Since(begun), prompt, "deliveries wait for Redis")
	_, err = p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "made-meanwhile", "url": receiver.URL + "/hook/x", "events": []string{}}, nil)
	require.NoError(t, err, "webhooks can be written without Redis")
	look()
	over()

	require.Eventually(t, look, 30*time.Second, 50*time.Millisecond, "%s", &f.logs)
	l.recovered(t, 2*broken+while, 2*broken+while+pending, idle, p)
	v := l.settle(t, 2*broken+while+pending)
	require.Zero(t, v.duplicates)
}

// TestRow25_RedisKilled kills the real Redis, which comes back empty.
func TestRow25_RedisKilled(t *testing.T) {
	pid := servicePID(t, "redis")
	underRedisFault(t, newFleet(t, time.Second), func(func() bool) func() {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		return func() { servicesUp(t) }
	})
}

// TestRow26_FlushedAgainAndAgain: an emptied Redis never looks as if nothing was diverted or nobody subscribed.
func TestRow26_FlushedAgainAndAgain(t *testing.T) {
	f := newFleet(t, time.Second)
	underRedisFault(t, f, func(look func() bool) func() {
		const flushes = 40 // ten seconds
		var flushed atomic.Int64
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			tick := time.NewTicker(250 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					_ = f.redis.FlushAll(t.Context()).Err()
					flushed.Add(1)
				}
			}
		}()
		return func() {
			answered := 0
			for flushed.Load() < flushes {
				if look() {
					answered++
				}
			}
			close(stop)
			<-done
			t.Logf("emptied %d times; %d listings were complete", flushed.Load(), answered)
		}
	})
}

// TestRow27_RedisStandsStill: a Redis that accepts and does not answer costs deliveries nothing.
func TestRow27_RedisStandsStill(t *testing.T) {
	f := newFleet(t, time.Second)
	w := f.throughProxy(t)
	underRedisFault(t, f, func(func() bool) func() { return w.standStill() })
}

// TestRow28_RedisEvicts: a Redis that throws keys away is told from one that has none, and an operator hears of it.
func TestRow28_RedisEvicts(t *testing.T) {
	service(t, "RELAY_TEST_REDIS")
	f := newFleet(t, time.Second)
	set := func(name, value string) { require.NoError(t, f.redis.ConfigSet(t.Context(), name, value).Err()) }
	set("maxmemory-policy", "allkeys-lru")
	set("maxmemory", "8mb")
	t.Cleanup(func() {
		if os.Getenv("RELAY_TEST_REDIS") != "" {
			f.redis.ConfigSet(t.Context(), "maxmemory", "0")
			f.redis.ConfigSet(t.Context(), "maxmemory-policy", "noeviction")
			f.redis.FlushAll(t.Context())
		}
	})
	var p *relayProcess
	underRedisFault(t, f, func(func() bool) func() {
		junk := make([]byte, 64<<10)
		for i := range 400 { // three times what fits
			require.NoError(t, f.redis.Set(t.Context(), fmt.Sprintf("junk:%d", i), junk, 0).Err())
		}
		p = f.start(t, "two")
		p.awaitReady(t, f)
		return func() {
			set("maxmemory", "0")
			set("maxmemory-policy", "noeviction")
			f.redis.FlushAll(t.Context())
		}
	})
	require.EqualValues(t, 1, p.metrics(t)["relay_redis_evicts"])
	require.True(t, f.logs.contains("redis_evicts"))
}

// TestRow30_RedisRefuses: a replica, a Redis that loads and one that is full answer errors. They count as away.
func TestRow30_RedisRefuses(t *testing.T) {
	for _, refusal := range []string{
		"READONLY You can't write against a read only replica.",
		"LOADING Redis is loading the dataset in memory",
		"OOM command not allowed when used memory > 'maxmemory'.",
	} {
		t.Run(refusal[:7], func(t *testing.T) {
			t.Setenv("RELAY_TEST_REDIS", "")
			f := newFleet(t, time.Second)
			underRedisFault(t, f, func(func() bool) func() {
				f.cache.SetError(refusal)
				return func() { f.cache.SetError("") }
			})
		})
	}
}
