package history

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// TestRecent_RedisThatHangs: it takes connections and answers nothing. Observing does not notice, a batch is given up
// after its time, and reads fail as soon as the caller's time is over.
func TestRecent_RedisThatHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		var held []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				for _, c := range held {
					_ = c.Close()
				}
				return
			}
			held = append(held, c)
		}
	})
	client := redis.NewClient(&redis.Options{Addr: l.Addr().String(), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	defer func() {
		_ = client.Close()
		_ = l.Close()
		accepting.Wait()
	}()
	r := NewRecent(RecentOptions{Redis: client, RedisPrefix: "relay:"})
	observe(r, attempt("w", 1), "")
	ctx, stop := context.WithCancel(t.Context())
	r.every = time.Millisecond
	var run sync.WaitGroup
	run.Go(func() { r.Run(ctx) })
	require.Eventually(t, func() bool { return r.waiting() == 0 }, 10*time.Second, time.Millisecond, "the batch is under way")
	for i := range 1000 {
		observe(r, attempt("w", i), "")
	}
	require.LessOrEqual(t, r.waiting(), 1, "observed meanwhile, without waiting")
	require.Eventually(t, func() bool { return counted(t, r.metrics.lost) > 0 }, 10*writeTimeout, 10*time.Millisecond)

	h := New(Options{Redis: client, RedisPrefix: "relay:"})
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = h.Stats(short, StatsQuery{UID: "w", Step: StepHour})
	require.ErrorIs(t, err, ErrUnavailable)
	stop()
	run.Wait()
}
