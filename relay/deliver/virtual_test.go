package deliver

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/outbound"
)

// sender is an endpoint's side of an attempt, on virtual time.
type sender func(ctx context.Context, r *outbound.Request) outbound.Result

func (f sender) Do(ctx context.Context, r *outbound.Request) outbound.Result { return f(ctx, r) }

// answers gives a status after some time, or a timeout when that is longer than the endpoint's own.
func answers(ctx context.Context, r *outbound.Request, status int, after time.Duration) outbound.Result {
	begun := time.Now()
	class := outbound.ClassStatus
	if after >= r.Endpoint.Timeout {
		after, status, class = r.Endpoint.Timeout, 0, outbound.ClassTimeout
	}
	select {
	case <-time.After(after):
	case <-ctx.Done():
		status, class = 0, outbound.ClassCanceled
	}
	return outbound.Result{Status: status, Class: class, Latency: time.Since(begun)}
}

// noAttempts is an attempt log that keeps nothing.
type noAttempts struct{}

func (noAttempts) Write(*relay.Delivery, outbound.Result, Next) {}
func (noAttempts) WriteDropped(_ *relay.Delivery, _ outbound.Result, _ Next, acked func()) {
	acked()
}

// wheel brings deliveries back when they are due, as the retry wheel does.
type wheel struct {
	*bench
	mu   sync.Mutex
	hops int
}

func (w *wheel) Enqueue(d *relay.Delivery, wait time.Duration, acked func()) {
	w.mu.Lock()
	w.hops++
	w.mu.Unlock()
	acked()
	time.AfterFunc(max(wait, 5*time.Second), func() {
		w.d.Submit(&Task{Delivery: d, Share: Backlog, Owner: w, Context: context.Background(), Done: func() {}})
	})
}

func (w *wheel) enqueued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hops
}

// virtual runs a test of a dispatcher with its retry wheel on virtual time.
func virtual(t *testing.T, send sender, edit func(*Options), test func(t *testing.T, b *bench, w *wheel)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{stores: &stores{webhooks: map[string]*catalog.Webhook{}, suspended: map[string]*catalog.Suspension{}}}
		w := &wheel{bench: b}
		o := Options{Webhooks: b.stores, Client: send, Retry: w, Divert: b.stores, Attempts: noAttempts{}, Contended: func() bool { return false },
			Share: 100, SmallestDelay: 5 * time.Second, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
		if edit != nil {
			edit(&o)
		}
		b.d = New(o)
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { b.d.Run(ctx) })
		test(t, b, w)
		require.NoError(t, b.d.Close(context.Background()))
		cancel()
		run.Wait()
	})
}

// pass moves the clock of the bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// gauge counts attempts, and how many are under way at once.
type gauge struct {
	mu            sync.Mutex
	attempts, now int
	peak          int
}

func (g *gauge) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.attempts++
	g.now++
	g.peak = max(g.peak, g.now)
}

func (g *gauge) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now--
}

// take returns what was counted since it was last called.
func (g *gauge) take() (attempts, peak int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	attempts, peak = g.attempts, g.peak
	g.attempts, g.peak = 0, g.now
	return attempts, peak
}
