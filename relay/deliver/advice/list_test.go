package advice

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/breaker"
)

// states lists "instance: endpoint state" without the random part of the instance.
func states(list []catalog.BreakerStatus) (lines []string) {
	for _, s := range list {
		lines = append(lines, fmt.Sprintf("%s %s %s", s.Tenant, s.Endpoint, s.State))
	}
	return lines
}

func TestBoard_ListsAllInstances(t *testing.T) {
	fleet(t, 3, func(t *testing.T, c *cache, e *endpoints, all []*instance) {
		list, complete := all[0].board.List(t.Context())
		require.Empty(t, list)
		require.True(t, complete)

		e.dead.Store(true)
		traffic(all, 2*time.Minute)
		pass(listEvery)
		check := func(of *instance) {
			t.Helper()
			list, complete := of.board.List(t.Context())
			require.True(t, complete)
			require.Len(t, list, 3)
			instances := map[string]bool{}
			for _, s := range list {
				require.Equal(t, "acme", s.Tenant)
				require.Equal(t, "w:wh_1", s.Endpoint)
				require.NotEqual(t, catalog.BreakerClosed, s.State)
				require.NotEmpty(t, s.Reason)
				instances[s.Instance] = true
			}
			require.Len(t, instances, 3)
		}
		check(all[0])
		check(all[2])
		c.mini.FlushAll()
		traffic(all, 2*renewEvery)
		check(all[1])

		// An instance that stops in order is gone at once, one that crashes when its list expires.
		all[2].stop()
		list, complete = all[0].board.List(t.Context())
		require.True(t, complete)
		require.Len(t, list, 2)
		c.mini.Del("relay:{breakers}:of:" + all[1].board.Instance())
		list, complete = all[0].board.List(t.Context())
		require.True(t, complete)
		require.Len(t, list, 1)
		require.LessOrEqual(t, c.mini.TTL("relay:{breakers}:of:"+all[0].board.Instance()), listTTL)
		require.Positive(t, c.mini.TTL("relay:{breakers}:of:"+all[0].board.Instance()))
	})
}

// TestBoard_IgnoresRubbish: whatever stands in Redis, nothing breaks and what is good counts.
func TestBoard_IgnoresRubbish(t *testing.T) {
	fleet(t, 1, func(t *testing.T, c *cache, e *endpoints, all []*instance) {
		b := all[0].board
		_, err := c.mini.ZAdd("relay:{breakers}:instances", 1e15, "evil")
		require.NoError(t, err)
		c.mini.HSet("relay:{breakers}:of:evil", "", "complete", "w:1", `{"endpoint":"w:1","state":"open","tenant":"t"}`,
			"w:2", "{", "w:3", `{"endpoint":"w:4","state":"open"}`, "w:5", `{"endpoint":"w:5","state":"ajar"}`)
		list, complete := b.List(t.Context())
		require.True(t, complete)
		require.Equal(t, []string{"t w:1 open"}, states(list))
		require.EqualValues(t, 3, counted(t, b, noticeMalformed))

		for _, text := range []string{"", "x", `{"v":1,"endpoint":"w:wh_1","state":"open","waitMs":-5}`, `{"v":1,"from":"x","endpoint":"w:wh_1","state":"open","waitMs":60000}`} {
			c.mini.Publish("relay:{breakers}:advice", text)
		}
		pass(time.Second)
		require.EqualValues(t, 6, counted(t, b, noticeMalformed))
		require.EqualValues(t, 1, counted(t, b, noticeHeard))
		traffic(all, 50*time.Second)
		require.Empty(t, e.take(), "the good one is heeded")
		traffic(all, 30*time.Second)
		require.NotEmpty(t, e.take(), "and is over when it said so")

		c.mini.Del("relay:{breakers}:instances")
		require.NoError(t, c.mini.Set("relay:{breakers}:instances", "not a sorted set"))
		_, complete = b.List(t.Context())
		require.False(t, complete)
	})
}

// follower has more breakers than are listed.
type follower struct{ breakers int }

func (follower) Advise(string, breaker.Advice) {}
func (follower) Hold(string, time.Duration)    {}
func (f follower) Breakers(most int) (list []catalog.BreakerStatus, complete bool) {
	for i := range min(f.breakers, most) {
		list = append(list, catalog.BreakerStatus{Endpoint: fmt.Sprint("w:", i), State: "open"})
	}
	return list, f.breakers <= most
}

func TestBoard_ListIsBounded(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr(), ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	reader := newTestBoard(client)
	l := listed{board: newTestBoard(client)}
	for now, c := range map[time.Time]struct {
		breakers, listed int
		complete         bool
	}{
		time.Now():                  {listedMost + 1, listedMost, false},
		time.Now().Add(time.Second): {1, 1, true},
	} {
		require.Eventually(t, func() bool { // a busy machine may need more than a request's time
			l.update(t.Context(), follower{c.breakers}, now)
			return l.fields != nil
		}, 20*time.Second, time.Millisecond)
		list, complete, err := reader.others(t.Context())
		require.NoError(t, err)
		require.Len(t, list, c.listed)
		require.Equal(t, c.complete, complete)
	}
}

// TestBoard_RedisHangs: it takes connections and answers nothing. Posting never blocks, what waits is bounded, and
// whoever asks gets what is known here.
func TestBoard_RedisHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	client := redis.NewClient(&redis.Options{Addr: listener.Addr().String(), ContextTimeoutEnabled: true, DialerRetries: 1, MaxRetries: -1})
	b := newTestBoard(client)
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { b.Run(ctx, follower{1}) })
	for n := range 3 * draftsKept {
		b.Changed(fmt.Sprint("w/", n), breaker.Change{Seq: 1, To: breaker.Open, Reason: breaker.ReasonRatio, Wait: time.Minute})
		b.Held(fmt.Sprint("w/", n), time.Minute)
	}
	b.mu.Lock()
	require.LessOrEqual(t, len(b.drafts), draftsKept)
	b.mu.Unlock()
	require.Eventually(t, func() bool {
		list, complete := b.List(t.Context())
		return len(list) == 1 && !complete
	}, 20*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		return counted(t, b, noticeShed) > 0 && counted(t, b, noticeFailed) > 0
	}, 20*time.Second, 10*time.Millisecond)
	require.Zero(t, counted(t, b, noticeSent))
	cancel()
	run.Wait()
	require.NoError(t, client.Close())
}

// TestBoard_OlderChangesDoNotReplaceNewer: callbacks of one breaker may overtake each other.
func TestBoard_OlderChangesDoNotReplaceNewer(t *testing.T) {
	c := newCache()
	client := c.client()
	defer func() { _ = client.Close() }()
	b := newTestBoard(client)
	b.Changed("w/1", breaker.Change{Seq: 3, To: breaker.Closed, Reason: breaker.ReasonProbeAlive})
	b.Changed("w/1", breaker.Change{Seq: 2, To: breaker.HalfOpen, Reason: breaker.ReasonProbe})
	require.Equal(t, breaker.Closed, b.drafts["w/1"].state)
	list, complete := b.List(context.Background())
	require.Empty(t, list)
	require.False(t, complete, "it does not run")
}

// TestFleet_PausesAreTold: a receiver that asks one instance to pause is left alone by the others.
func TestFleet_PausesAreTold(t *testing.T) {
	fleet(t, 3, func(t *testing.T, c *cache, e *endpoints, all []*instance) {
		e.pause.Store(int64(30 * time.Second))
		all[0].submit()
		pass(time.Second)
		require.Len(t, e.take(), 1)
		traffic(all, 20*time.Second)
		require.Empty(t, e.take())
		pass(listEvery)
		list, complete := all[1].board.List(t.Context())
		require.True(t, complete)
		require.Equal(t, []string{"acme w:wh_1 closed", "acme w:wh_1 closed", "acme w:wh_1 closed"}, states(list))
		require.Positive(t, time.Until(list[0].HeldUntil))
		e.pause.Store(0)
		pass(10 * time.Second)
		traffic(all, 5*time.Second)
		require.GreaterOrEqual(t, len(e.take()), 60)
	})
}
