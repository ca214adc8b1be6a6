package advice

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silent{}) // it repeats itself at every failed connection
	goleak.VerifyTestMain(m)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// pass moves the clock of the bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// cache is a Redis that is reached over pipes, so that it lives in the bubble.
type cache struct {
	mini *miniredis.Miniredis
	down atomic.Bool // refuses new connections, cuts old ones

	mu    sync.Mutex
	conns []net.Conn
}

func newCache() *cache { return &cache{mini: miniredis.NewMiniRedis()} }

func (c *cache) dial(context.Context, string, string) (conn net.Conn, err error) {
	if c.down.Load() {
		return nil, net.ErrClosed
	}
	conn, err = c.mini.Dial()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return conn, err
}

// cut ends all connections.
func (c *cache) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// end closes it, and gives the goroutines of its clients a moment.
func (c *cache) end() {
	c.cut()
	c.mini.Close()
	pass(time.Second)
}

func (c *cache) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Dialer: c.dial, ContextTimeoutEnabled: true, DialerRetries: 1, MaxRetries: -1, Protocol: 2, DisableIdentity: true})
}

// endpoints are what a test's webhooks point at: dead until they are not.
type endpoints struct {
	dead  atomic.Bool
	pause atomic.Int64 // Retry-After of a 429; 0: answers 200
	// attempts while it is dead, and after.
	mu       sync.Mutex
	attempts []attempt
}

type attempt struct {
	at    time.Time
	alive bool
}

func (e *endpoints) Do(ctx context.Context, r *outbound.Request) outbound.Result {
	begun := time.Now()
	after, res := 10*time.Millisecond, outbound.Result{Status: 200}
	if pause := time.Duration(e.pause.Load()); pause > 0 {
		res = outbound.Result{Status: 429, RetryAfter: pause}
	}
	if e.dead.Load() {
		after, res = r.Endpoint.Timeout, outbound.Result{Class: outbound.ClassTimeout}
	}
	select {
	case <-time.After(after):
	case <-ctx.Done():
		res = outbound.Result{Class: outbound.ClassCanceled}
	}
	res.Latency = time.Since(begun)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.attempts = append(e.attempts, attempt{begun, res.Status == 200})
	return res
}

func (e *endpoints) take() []attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := e.attempts
	e.attempts = nil
	return taken
}

// stores is everything that a dispatcher writes to; what is postponed is forgotten.
type stores struct{ webhook *catalog.Webhook }

func (s stores) Webhook(string) (*catalog.Webhook, *catalog.Suspension, *catalog.Integration) {
	return s.webhook, nil, nil
}

func (s stores) Suspend(context.Context, string, string, string, string) (*catalog.Suspension, error) {
	return &catalog.Suspension{}, nil
}
func (s stores) Enqueue(_ *relay.Delivery, _ time.Duration, acked func()) { acked() }
func (s stores) Put(_ *relay.Delivery, _ divert.Why, acked func())        { acked() }
func (s stores) Resolve(_ *relay.Delivery, acked func())                  { acked() }
func (s stores) Release(_ *relay.Delivery, acked func())                  { acked() }
func (s stores) Write(*relay.Delivery, outbound.Result, deliver.Next)     {}
func (s stores) WriteDropped(_ *relay.Delivery, _ outbound.Result, _ deliver.Next, acked func()) {
	acked()
}

func newTestBoard(client *redis.Client) *Board {
	return New(Options{Redis: client, Prefix: "relay:", Instance: "relay", Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
}

// counted is the number of notices of which that became.
func counted(t *testing.T, b *Board, result string) float64 {
	families, err := b.o.Registerer.(*prometheus.Registry).Gather()
	require.NoError(t, err)
	for _, m := range families[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == result {
			return m.GetCounter().GetValue()
		}
	}
	require.Fail(t, "no such result", result)
	return 0
}

// instance is a dispatcher with its board.
type instance struct {
	board      *Board
	dispatcher *deliver.Dispatcher
	stop       func()
}

func (c *cache) start(t *testing.T, e *endpoints) *instance {
	webhook := &catalog.Webhook{UID: "wh_1", ID: "w", Tenant: "acme", Enabled: true, URL: "https://example.com", Format: catalog.FormatRaw,
		Retry: catalog.Retry{Name: "three"}, FailureHandling: catalog.DefaultFailureHandling(),
		Delivery: catalog.DeliveryLimits{Timeout: catalog.Duration(2 * time.Second), Concurrency: 8}}
	client := c.client()
	i := &instance{board: newTestBoard(client)}
	s := stores{webhook}
	i.dispatcher = deliver.New(deliver.Options{Webhooks: s, Client: e, Retry: s, Divert: s, Attempts: s, Contended: func() bool { return false },
		Share: 1000, SmallestDelay: 5 * time.Second, OnBreaker: i.board.Changed, OnHold: i.board.Held,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { i.dispatcher.Run(ctx) })
	run.Go(func() { i.board.Run(ctx, i.dispatcher) })
	i.stop = sync.OnceFunc(func() {
		require.NoError(t, i.dispatcher.Close(context.WithoutCancel(ctx)))
		cancel()
		run.Wait()
		_ = client.Close()
	})
	return i
}

func (i *instance) submit() {
	raw := []byte(`{}`)
	ev := &catalog.Event{ID: "e", Source: "/s", Type: "debt.paid", Tenant: "acme", Time: time.Now(), Raw: raw, Data: raw, Span: catalog.Span{To: len(raw)}}
	d := relay.NewDelivery(ev, "wh_1", relay.Coordinates{Topic: "debt"}, 0, nil, time.Now())
	i.dispatcher.Submit(&deliver.Task{Delivery: d, Context: context.Background(), Done: func() {}})
}

// fleet runs n instances in a bubble, each of which gets a delivery every 250 ms while each is called.
func fleet(t *testing.T, n int, test func(t *testing.T, c *cache, e *endpoints, all []*instance)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		e := &endpoints{}
		var all []*instance
		for range n {
			all = append(all, c.start(t, e))
		}
		pass(time.Second)
		test(t, c, e, all)
		for _, i := range all {
			i.stop()
		}
		c.end()
	})
}

// traffic gives every instance a delivery every 240 ms for some time, one after the other.
func traffic(all []*instance, d time.Duration) {
	gap := 240 * time.Millisecond / time.Duration(len(all))
	for begun := time.Now(); time.Since(begun) < d; {
		for _, i := range all {
			i.submit()
			pass(gap)
		}
	}
}

// bounds of breaker.Settings' defaults: how many open times fit in d, and their probes' timeouts.
func openings(d time.Duration) (n int) {
	for open := 10 * time.Second; d > 0; n++ {
		d -= open
		open = min(2*open, 10*time.Minute)
	}
	return n
}
