package divert

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"eventrelay/catalog"
	"eventrelay/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a broker, a Redis, a registry and a place where resends arrive; stores of it share all four.
type bench struct {
	t       *testing.T
	cluster *kfake.Cluster
	mini    *miniredis.Miniredis
	topics  relay.Topics
	hooks   *fakeWebhooks
	resends *fakeResender
	client  *kgo.Client // writes records by hand, and compacts by deleting
}

// newBench also lets the test run beside the others: most of their time is waiting.
func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.Ports(0), kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	b := &bench{
		t: t, cluster: cluster, mini: miniredis.RunT(t), hooks: &fakeWebhooks{hooks: map[string]*catalog.Webhook{}, suspended: map[string]*catalog.Suspension{}},
		resends: &fakeResender{}, topics: relay.Topics{Prefix: "relay.", Partitions: 3, Delays: []time.Duration{time.Second}, MaxEventBytes: relay.DefaultMaxEventBytes},
	}
	b.client, err = kgo.NewClient(append(b.kafka(), ProducerOpts(b.topics)...)...)
	require.NoError(t, err)
	t.Cleanup(b.client.Close)
	_, err = relay.CreateTopics(t.Context(), kadm.NewClient(b.client), 1, b.topics.Specs())
	require.NoError(t, err)
	return b
}

func (b *bench) kafka() []kgo.Opt { return []kgo.Opt{kgo.SeedBrokers(b.cluster.ListenAddrs()...)} }

func (b *bench) options() Options {
	client := redis.NewClient(&redis.Options{Addr: b.mini.Addr(), MaxRetries: -1, DialerRetries: 1, DialTimeout: 200 * time.Millisecond,
		ReadTimeout: 30 * time.Second}) // scripts of miniredis are slow on a busy machine
	b.t.Cleanup(func() { _ = client.Close() })
	return Options{
		Kafka: b.kafka(), Topics: b.topics, Redis: client, RedisPrefix: "relay:", Webhooks: b.hooks, Resend: b.resends,
		Log: slog.New(slog.DiscardHandler), CheckEvery: 20 * time.Millisecond, SweepEvery: 20 * time.Millisecond,
	}
}

// store makes a store that does not index.
func (b *bench) store(change ...func(*Options)) *Store {
	b.t.Helper()
	o := b.options()
	for _, f := range change {
		f(&o)
	}
	s, err := New(o)
	require.NoError(b.t, err)
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // the test's context has ended
		defer cancel()
		_ = s.Close(ctx)
	})
	return s
}

// running makes a store that indexes and sweeps until the test ends or stop is called.
func (b *bench) running(change ...func(*Options)) (s *Store, stop func()) {
	b.t.Helper()
	s = b.store(change...)
	return s, b.run(s)
}

func (b *bench) run(s *Store) (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.RunIndex(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-done)
	})
	b.t.Cleanup(stop)
	return stop
}

// produce writes records by hand and returns their offsets.
func (b *bench) produce(recs ...*kgo.Record) []int64 {
	b.t.Helper()
	require.NoError(b.t, b.client.ProduceSync(b.t.Context(), recs...).FirstErr())
	offsets := make([]int64, len(recs))
	for i, rec := range recs {
		offsets[i] = rec.Offset
	}
	return offsets
}

// active registers a webhook that is enabled and not suspended.
func (b *bench) active(uid string) *catalog.Webhook {
	w := &catalog.Webhook{UID: uid, Tenant: "acme", Enabled: true, Retry: catalog.RetryStandard}
	b.hooks.set(w)
	return w
}

// delivery is the i-th of a webhook.
func delivery(uid string, i int) *relay.Delivery {
	raw := []byte(fmt.Sprintf(`{"data":{"n":%d,"amount":12345678901234567890.10}}`, i))
	ev := &catalog.Event{
		ID: fmt.Sprintf("evt-%d", i), Source: "/test", Type: "debt.paid", Domain: "debt", Tenant: "acme", TransactionID: fmt.Sprintf("tx-%d", i%2),
		Time: time.UnixMilli(1_700_000_000_000).UTC(), Livemode: true, Raw: raw, Span: catalog.Span{From: 8, To: len(raw) - 1}, Data: raw[8 : len(raw)-1],
	}
	d := relay.NewDelivery(ev, uid, relay.Coordinates{Topic: "debt", Offset: int64(i)}, 1, nil, time.UnixMilli(1_700_000_001_000))
	d.Attempts, d.Retries, d.LastStatus = 3, 3, 500
	return d
}

// await runs an operation that calls acked and returns when it has.
func await(t testing.TB, op func(acked func())) {
	t.Helper()
	done := make(chan struct{})
	op(func() { close(done) })
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		require.FailNow(t, "not acknowledged within 5 s")
	}
}

func put(t testing.TB, s *Store, d *relay.Delivery, why Why) {
	t.Helper()
	await(t, func(acked func()) { s.Put(d, why, acked) })
}

var exhausted = Why{Reason: ReasonExhausted, Status: 500, Error: "500 Internal Server Error"}

// fakeWebhooks is a registry in memory.
type fakeWebhooks struct {
	mu        sync.Mutex
	hooks     map[string]*catalog.Webhook
	suspended map[string]*catalog.Suspension
}

func (f *fakeWebhooks) Suspension(uid string) (*catalog.Suspension, *catalog.Webhook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.suspended[uid], f.hooks[uid]
}

func (f *fakeWebhooks) set(w *catalog.Webhook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hooks[w.UID] = w
}

func (f *fakeWebhooks) delete(uid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.hooks, uid)
}

func (f *fakeWebhooks) suspend(s *catalog.Suspension) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.suspended[s.UID] = s
}

// fakeResender keeps what is resent. Unless held it acknowledges at once, on a goroutine of the caller's.
type fakeResender struct {
	mu    sync.Mutex
	got   []*relay.Delivery
	held  bool
	waits []func()
}

func (f *fakeResender) Enqueue(d *relay.Delivery, _ time.Duration, acked func()) {
	f.mu.Lock()
	f.got = append(f.got, d)
	if f.held {
		f.waits = append(f.waits, acked)
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	acked()
}

func (f *fakeResender) hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = true
}

func (f *fakeResender) release() {
	f.mu.Lock()
	waits := f.waits
	f.held, f.waits = false, nil
	f.mu.Unlock()
	for _, acked := range waits {
		acked()
	}
}

func (f *fakeResender) deliveries() []*relay.Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*relay.Delivery(nil), f.got...)
}
