package deliver

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

func TestOverShare(t *testing.T) {
	slow, fast := hogAfter.Seconds()+0.1, hogAfter.Seconds()
	for name, c := range map[string]struct {
		held          int
		drain         float64
		active, share int
		want          bool
	}{
		"above its share and slow": {101, slow, 2, 100, true},
		"at its share":             {100, slow, 2, 100, false},
		"fast":                     {1000, fast, 2, 100, false},
		"alone":                    {1000, slow, 1, 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			load := tenantLoad{held: c.held, work: float64(c.held) * c.drain}
			require.Equal(t, c.want, overShare(load, c.active, c.share))
		})
	}
}

// TestDispatcher_TenantsDivideTheWindow: a tenant with many endpoints, each below the share of an endpoint, gives up
// what it holds above a tenant's share, and only while the window is contended.
func TestDispatcher_TenantsDivideTheWindow(t *testing.T) {
	const endpoints, each = 20, 50
	var contended atomic.Bool
	send := func(ctx context.Context, r *outbound.Request) outbound.Result {
		if r.Endpoint.URL == "https://slow.example" {
			return answers(ctx, r, 200, 500*time.Millisecond)
		}
		return answers(ctx, r, 200, time.Millisecond)
	}
	virtual(t, send, func(o *Options) { o.Contended = contended.Load; o.Room = 1000; o.Share = 125 }, func(t *testing.T, b *bench, w *wheel) {
		for i := range endpoints {
			b.webhook(fmt.Sprint("noisy", i), "https://slow.example", func(w *catalog.Webhook) { w.Tenant = "noisy"; w.Delivery.Concurrency = 8 })
		}
		b.webhook("quiet", "https://fast.example", func(w *catalog.Webhook) { w.Tenant = "quiet" })
		b.submit("quiet", nil)
		for i := range endpoints {
			b.submit(fmt.Sprint("noisy", i), nil)
		}
		pass(time.Second) // it knows how long they take
		for range each {
			for i := range endpoints {
				b.submit(fmt.Sprint("noisy", i), nil)
			}
		}
		held := func() (n int) {
			for _, l := range b.d.allLanes() {
				l.mu.Lock()
				n += l.held
				l.mu.Unlock()
			}
			return n
		}
		pass(sweepEvery)
		require.Zero(t, w.enqueued(), "there is room for all")
		require.Greater(t, held(), 800)
		contended.Store(true)
		pass(sweepEvery)
		require.LessOrEqual(t, held(), 500, "half of the window for each of two")
		require.Greater(t, held(), 300, "and no less")
		require.Positive(t, w.enqueued())
		b.submit("quiet", nil)
		before := w.enqueued()
		b.submit("quiet", nil)
		require.Equal(t, before, w.enqueued(), "who holds little is not touched")
		contended.Store(false)
		pass(sweepEvery)
		for _, l := range b.d.allLanes() {
			require.False(t, l.tenant.over.Load())
		}
		pass(10 * time.Minute)
		require.Empty(t, b.d.tenants, "gone with the lanes")
	})
}
