package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"))
}

const (
	waitFor = 10 * time.Second
	tick    = 2 * time.Millisecond
)

// stores is the registry, the retry wheel and the divert store of a test: everything acknowledges at once.
type stores struct {
	mu         sync.Mutex
	webhooks   map[string]*catalog.Webhook
	suspended  map[string]*catalog.Suspension
	retried    []*relay.Delivery
	waits      []time.Duration
	diverted   []divert.Why
	resolved   int
	released   int
	suspending error
}

func (s *stores) Webhook(uid string) (*catalog.Webhook, *catalog.Suspension, *catalog.Integration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.webhooks[uid], s.suspended[uid], nil
}

func (s *stores) Suspend(_ context.Context, uid, _, reason, _ string) (*catalog.Suspension, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.suspending != nil {
		return nil, s.suspending
	}
	s.suspended[uid] = &catalog.Suspension{UID: uid, Epoch: 7, Active: true, Reason: reason}
	return s.suspended[uid], nil
}

func (s *stores) Enqueue(d *relay.Delivery, wait time.Duration, acked func()) {
	s.mu.Lock()
	s.retried, s.waits = append(s.retried, d), append(s.waits, wait)
	s.mu.Unlock()
	acked()
}

func (s *stores) Put(_ *relay.Delivery, why divert.Why, acked func()) {
	s.mu.Lock()
	s.diverted = append(s.diverted, why)
	s.mu.Unlock()
	acked()
}

func (s *stores) Resolve(_ *relay.Delivery, acked func()) {
	s.mu.Lock()
	s.resolved++
	s.mu.Unlock()
	acked()
}
func (s *stores) Release(_ *relay.Delivery, acked func()) {
	s.mu.Lock()
	s.released++
	s.mu.Unlock()
	acked()
}

// bench is a dispatcher with its stores.
type bench struct {
	*stores
	d    *Dispatcher
	done atomic.Int64
}

func newBench(t *testing.T, edit func(*Options)) *bench {
	t.Helper()
	b := &bench{stores: &stores{webhooks: map[string]*catalog.Webhook{}, suspended: map[string]*catalog.Suspension{}}}
	client := outbound.New(outbound.Options{Policy: catalog.Egress{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true},
		UserAgent: "test", Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	o := Options{Webhooks: b.stores, Client: client, Retry: b.stores, Divert: b.stores,
		Attempts: &AttemptLog{buffer: -1, shed: prometheus.NewCounter(prometheus.CounterOpts{Name: "shed"})}, // sheds everything
		Breaker:  breaker.Settings{OpenBase: time.Minute, OpenMax: 10 * time.Minute}, Contended: func() bool { return false }, Share: 100,
		SmallestDelay: 5 * time.Second, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
	if edit != nil {
		edit(&o)
	}
	b.d = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { b.d.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		run.Wait()
		require.NoError(t, b.d.Close(context.Background()))
		client.Close()
	})
	return b
}

func (b *bench) webhook(uid, url string, edit func(*catalog.Webhook)) {
	w := &catalog.Webhook{UID: uid, ID: uid, Enabled: true, URL: url, Format: catalog.FormatRaw, Retry: catalog.Retry{Name: "three"},
		FailureHandling: catalog.DefaultFailureHandling(), Delivery: catalog.DeliveryLimits{Timeout: catalog.Duration(5 * time.Second), Concurrency: 4}}
	if edit != nil {
		edit(w)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.webhooks[uid] = w
}

var offsets atomic.Int64

func (b *bench) submit(uid string, edit func(*Task)) *Task {
	raw := []byte(`{"a":1}`)
	ev := &catalog.Event{ID: "e", Source: "/s", Type: "debt.paid", Time: time.Now(), Raw: raw, Data: raw, Span: catalog.Span{To: len(raw)}}
	d := relay.NewDelivery(ev, uid, relay.Coordinates{Topic: "debt", Offset: offsets.Add(1)}, 0, nil, time.Now())
	t := &Task{Delivery: d, Owner: b, Context: context.Background(), Done: func() { b.done.Add(1) }}
	if edit != nil {
		edit(t)
	}
	b.d.Submit(t)
	return t
}

func (b *bench) await(t *testing.T, done int64) {
	t.Helper()
	require.Eventually(t, func() bool { return b.done.Load() >= done }, waitFor, tick, "%d of %d done", b.done.Load(), done)
	require.EqualValues(t, done, b.done.Load(), "Done is called exactly once")
}

// answering serves one status code.
func answering(t *testing.T, status int, header ...string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server
}

// hanging serves nothing until release is called, or the test ends.
func hanging(t *testing.T) (server *httptest.Server, release func()) {
	t.Helper()
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-held }))
	t.Cleanup(func() { release(); server.Close() })
	return server, release
}

func TestDispatcher_Delivers(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("w", answering(t, 200).URL, nil)
	for range 20 {
		b.submit("w", nil)
	}
	b.await(t, 20)
	require.Empty(t, b.retried)
	require.Empty(t, b.diverted)
}

func TestDispatcher_RetriesThenDiverts(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("w", answering(t, 500).URL, nil)
	first := b.submit("w", nil)
	b.await(t, 1)
	require.Len(t, b.retried, 1)
	require.InDelta(t, 5*time.Second, b.waits[0], float64(time.Second))
	require.Equal(t, 1, first.Delivery.Attempts)
	require.Equal(t, 1, first.Delivery.Retries)

	b.submit("w", func(task *Task) { task.Share = Backlog; task.Delivery.Retries = 3; task.Delivery.Attempts = 3 })
	b.await(t, 2)
	require.Equal(t, []divert.Why{{Reason: divert.ReasonExhausted, Status: 500, Error: "status 500"}}, b.diverted)
}

func TestDispatcher_GoneTwiceSuspendsBeforeItDiverts(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("w", answering(t, 410).URL, nil)
	first := b.submit("w", nil)
	b.await(t, 1)
	require.True(t, first.Delivery.Gone)
	b.submit("w", func(task *Task) { task.Delivery.Gone = true })
	b.await(t, 2)
	require.Equal(t, divert.ReasonGone, b.diverted[0].Reason)
	require.EqualValues(t, 7, b.diverted[0].Epoch, "stamped with the suspension's epoch")
	b.submit("w", nil)
	b.await(t, 3)
	require.Equal(t, divert.ReasonSuspended, b.diverted[1].Reason, "what follows is not sent")
}

func TestDispatcher_ResendsAreResolvedOrReleased(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("w", answering(t, 204).URL, nil)
	b.submit("w", func(task *Task) { task.Delivery.DivertKey = "w/d/0" })
	b.await(t, 1)
	require.Equal(t, 1, b.resolved)
	b.submit("deleted", func(task *Task) { task.Delivery.DivertKey = "w/d/0" })
	b.await(t, 2)
	require.Equal(t, 1, b.released)
}

func TestDispatcher_RefusedByFilterIsDiverted(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("w", answering(t, 200).URL, nil)
	b.submit("w", func(task *Task) { task.Refused = fmt.Errorf("filter: data is not JSON") })
	b.await(t, 1)
	require.Equal(t, divert.ReasonFilterError, b.diverted[0].Reason)
}

func TestDispatcher_FormatErrorIsDiverted(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("w", answering(t, 200).URL, func(w *catalog.Webhook) { w.Format = catalog.FormatStandard })
	b.submit("w", func(task *Task) { task.Delivery.Event.Data = []byte("not json") })
	b.await(t, 1)
	require.Equal(t, divert.ReasonFormat, b.diverted[0].Reason)
}

// TestDispatcher_OpenBreakerCostsNoAttempt: five failures open the breaker; what is queued and what comes later is
// handed off to its next probe, without an attempt and without a diversion.
func TestDispatcher_OpenBreakerCostsNoAttempt(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("w", answering(t, 500).URL, func(w *catalog.Webhook) { w.Delivery.Concurrency = 1 })
	var tasks []*Task
	for range 50 {
		tasks = append(tasks, b.submit("w", nil))
	}
	b.await(t, 50)
	attempts := 0
	for _, task := range tasks {
		attempts += task.Delivery.Attempts
	}
	require.Equal(t, 5, attempts)
	late := b.submit("w", nil)
	b.await(t, 51)
	require.Zero(t, late.Delivery.Attempts)
	require.Equal(t, 1, late.Delivery.Postponed)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.diverted)
	require.GreaterOrEqual(t, b.waits[50], 55*time.Second, "not before the next probe")
}

func TestDispatcher_RetryAfterHoldsSiblings(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("w", answering(t, 429, "Retry-After", "120").URL, nil)
	b.submit("w", nil)
	b.await(t, 1)
	sibling := b.submit("w", nil)
	b.await(t, 2)
	require.Zero(t, sibling.Delivery.Attempts)
	require.GreaterOrEqual(t, b.waits[0], 120*time.Second)
	require.GreaterOrEqual(t, b.waits[1], 115*time.Second)
}

// TestDispatcher_HandsOffWhatHasNotBegun: behind an endpoint that hangs, first attempts older than HandOffAfter go to
// the retry wheel.
func TestDispatcher_HandsOffWhatHasNotBegun(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	b := newBench(t, func(o *Options) { o.HandOffAfter = 50 * time.Millisecond })
	b.webhook("w", server.URL, func(w *catalog.Webhook) {
		w.Delivery.Concurrency = 1
		w.Delivery.Timeout = catalog.Duration(2 * time.Second)
	})
	for range 10 {
		b.submit("w", nil)
	}
	b.await(t, 9)
	b.await(t, 10) // the one under way ran into its own timeout
}

func TestDispatcher_HungEndpointLeavesOthersAlone(t *testing.T) {
	release := make(chan struct{})
	open := sync.OnceFunc(func() { close(release) })
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hung.Close()
	defer open() // or a failed test waits for the server for ever
	b := newBench(t, nil)
	b.webhook("hung", hung.URL, nil)
	b.webhook("well", answering(t, 200).URL, nil)
	for range 100 {
		b.submit("hung", nil)
		b.submit("well", nil)
	}
	b.await(t, 100)
	open()
	b.await(t, 200)
}

func TestDispatcher_ShareOfTheWindow(t *testing.T) {
	server, release := hanging(t)
	b := newBench(t, func(o *Options) { o.Contended = func() bool { return true }; o.Share = 10 })
	b.webhook("other", answering(t, 200).URL, nil)
	b.webhook("w", server.URL, nil)
	b.submit("other", nil)
	l := b.d.lane("w/w", "")
	for range 10 {
		b.submit("w", nil)
	}
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.drainTime(time.Now()) > hogAfter
	}, waitFor, tick)
	for range 20 {
		b.submit("w", nil)
	}
	b.await(t, 21)
	release()
	b.await(t, 31)
}

// TestDispatcher_AloneItMakesIntakeWait: with no other endpoint busy, a slow one holds intake back instead of filling
// the retry wheel.
func TestDispatcher_AloneItMakesIntakeWait(t *testing.T) {
	server, release := hanging(t)
	b := newBench(t, func(o *Options) { o.Contended = func() bool { return true }; o.Share = 1 })
	b.webhook("w", server.URL, nil)
	b.submit("w", nil)
	l := b.d.lane("w/w", "")
	l.mu.Lock()
	l.latency = time.Minute // what it has learnt of the endpoint
	l.mu.Unlock()
	submitted := make(chan struct{})
	go func() {
		defer close(submitted)
		b.submit("w", nil)
	}()
	require.Never(t, func() bool {
		select {
		case <-submitted:
			return true
		default:
			return false
		}
	}, 100*time.Millisecond, 20*time.Millisecond)
	release()
	l.mu.Lock()
	l.latency = 0
	l.mu.Unlock()
	<-submitted
	b.await(t, 2)
	require.Empty(t, b.retried)
}

// TestDispatcher_FastEndpointMayHoldTheWindow: a backlog for one endpoint drains at that endpoint's speed, not
// through the retry wheel.
func TestDispatcher_FastEndpointMayHoldTheWindow(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Contended = func() bool { return true }; o.Share = 10 })
	b.webhook("w", answering(t, 200).URL, nil)
	for range 500 {
		b.submit("w", nil)
	}
	b.await(t, 500)
	require.Empty(t, b.retried)
}

func TestDispatcher_HandOffAndDrop(t *testing.T) {
	release := make(chan struct{})
	open := sync.OnceFunc(func() { close(release) })
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer open() // or a failed test waits for the server for ever
	b := newBench(t, nil)
	b.webhook("w", server.URL, func(w *catalog.Webhook) { w.Delivery.Concurrency = 1 })
	ctx, abort := context.WithCancel(context.Background())
	for range 5 {
		b.submit("w", func(task *Task) { task.Context = ctx })
	}
	b.submit("w", func(task *Task) { task.Owner = "another" })
	b.d.HandOff(b)
	b.await(t, 4) // all of ours that had not begun
	require.Len(t, b.retried, 4)
	abort()
	b.await(t, 5) // the one under way is cancelled and handed off: not an attempt
	b.mu.Lock()
	require.Zero(t, b.retried[4].Attempts)
	b.mu.Unlock()
	b.d.Drop("another")
	open()
	require.Eventually(t, func() bool { return b.done.Load() == 6 }, waitFor, tick)
}

func TestDispatcher_SuspendIsRetriedUntilWritten(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("w", answering(t, 410).URL, nil)
	b.mu.Lock()
	b.suspending = fmt.Errorf("kafka is down")
	b.mu.Unlock()
	b.submit("w", func(task *Task) { task.Delivery.Gone = true })
	require.Never(t, func() bool { return b.done.Load() > 0 }, 100*time.Millisecond, 20*time.Millisecond, "unsettled while the suspension is not written")
	b.mu.Lock()
	b.suspending = nil
	b.mu.Unlock()
	b.await(t, 1)
}

// TestDispatcher_ForgottenIsNeitherHandedOffNorRetried: the partition was lost, so another member has the delivery.
func TestDispatcher_ForgottenIsNeitherHandedOffNorRetried(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	b := newBench(t, nil)
	b.webhook("w", server.URL, func(w *catalog.Webhook) { w.Delivery.Concurrency = 1 })
	ctx, abort := context.WithCancelCause(context.Background())
	for range 3 {
		b.submit("w", func(task *Task) { task.Context = ctx })
	}
	abort(fmt.Errorf("partition lost: %w", ErrForgotten))
	b.await(t, 3)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.retried)
}
