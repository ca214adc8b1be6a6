package registry

import (
	"context"
	"errors"
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

// quiet drops what go-redis prints about a Redis that a test took away.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/redis/go-redis/v9/maintnotifications.(*CircuitBreakerManager).cleanupLoop"))
}

// testTopics has a prefix of its own, so that a test that forgot to use it fails.
var testTopics = relay.Topics{Prefix: "test.", Partitions: 1, MaxEventBytes: relay.DefaultMaxEventBytes}

// patience is for what must happen; no test waits that long unless it fails.
const patience = 10 * time.Second

// bundle is a broker with the topic, a Redis, and a keyring, on which a test runs registries.
type bundle struct {
	t       testing.TB
	cluster *kfake.Cluster
	seeds   []string
	addr    string // of redis, also while it is closed
	redis   *miniredis.Miniredis
	keys    *Keyring
	kafka   *kgo.Client
}

func newBundle(t testing.TB) *bundle {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.Ports(0), kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	seeds := cluster.ListenAddrs()
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	keys, err := ParseKeyring("k1:" + GenerateMasterKey())
	require.NoError(t, err)
	b := &bundle{t: t, cluster: cluster, seeds: seeds, redis: miniredis.RunT(t), keys: keys, kafka: client}
	b.addr = b.redis.Addr()
	b.createTopic()
	return b
}

func (b *bundle) createTopic() {
	b.t.Helper()
	for _, spec := range testTopics.Specs() {
		if spec.Name == testTopics.Webhooks() || spec.Name == testTopics.Audit() {
			_, err := relay.CreateTopics(b.ctx(), kadm.NewClient(b.kafka), 1, []relay.TopicSpec{spec})
			require.NoError(b.t, err)
		}
	}
}

func (b *bundle) ctx() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(cancel)
	return ctx
}

// instance is a running registry.
type instance struct {
	*Registry
	stop func()
}

// option changes a registry before it runs.
type option func(*Registry)

// make builds a registry with the waits of a test, which runs when started.
func (b *bundle) make(options ...option) *Registry {
	b.t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: b.addr, ContextTimeoutEnabled: true, MaxRetries: -1, DialTimeout: 200 * time.Millisecond, DialerRetries: 1,
	})
	b.t.Cleanup(func() { _ = client.Close() })
	r, err := New(Options{
		Kafka: []kgo.Opt{kgo.SeedBrokers(b.seeds...)}, Topics: testTopics, Redis: client, Keys: b.keys,
		Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(b.t, err)
	r.timing.confirmEvery, r.timing.cacheEvery, r.timing.barrierAfter = 20*time.Millisecond, 20*time.Millisecond, 50*time.Millisecond
	for _, option := range options {
		option(r)
	}
	return r
}

// run starts a registry and stops it at the end of the test, if the test has not.
func (b *bundle) run(r *Registry) *instance {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-ended)
	})
	b.t.Cleanup(stop)
	return &instance{Registry: r, stop: stop}
}

// start runs a registry and waits until it is complete.
func (b *bundle) start(options ...option) *instance {
	b.t.Helper()
	i := b.run(b.make(options...))
	require.NoError(b.t, i.WaitComplete(b.ctx()))
	return i
}

// produce writes a record past the writer, as a damaged or foreign one would come.
func (b *bundle) produce(key, value string) int64 {
	b.t.Helper()
	rec := &kgo.Record{Topic: testTopics.Webhooks(), Key: []byte(key), Value: []byte(value)}
	if value == "" {
		rec.Value = nil
	}
	require.NoError(b.t, b.kafka.ProduceSync(b.ctx(), rec).FirstErr())
	return rec.Offset
}

// cached waits until Redis has everything that the registry has applied.
func (b *bundle) cached(i *instance) {
	b.t.Helper()
	require.NoError(b.t, i.cache.covered.wait(b.ctx(), i.Applied()))
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, 5*time.Millisecond, what)
}

func testWebhook(id string) *catalog.Webhook {
	return &catalog.Webhook{
		ID: id, Tenant: catalog.DefaultTenant, Platform: catalog.PlatformV1, Enabled: true, Events: []string{"*"},
		URL: "https://example.com/" + id, Format: catalog.FormatStandard, Retry: catalog.RetryStandard,
		FailureHandling: catalog.DefaultFailureHandling(), Auth: catalog.Auth{Type: catalog.AuthNone},
	}
}

func testIntegration(name string) *catalog.Integration {
	return &catalog.Integration{Name: name, Tenant: catalog.DefaultTenant, URL: "https://example.com/" + name, Auth: catalog.Auth{Type: catalog.AuthNone}}
}

func (i *instance) mustCreate(t testing.TB, w *catalog.Webhook) View {
	t.Helper()
	v, err := i.CreateWebhook(t.Context(), w)
	require.NoError(t, err)
	return v
}

func TestRegistry_CreateFindUpdateDelete(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	ctx := b.ctx()

	created := r.mustCreate(t, testWebhook("orders"))
	require.NotEmpty(t, created.Webhook.UID)
	require.Equal(t, int64(1), created.Webhook.Revision)
	require.False(t, created.Webhook.Created.IsZero())
	require.Equal(t, created.Webhook.Created, created.Webhook.Updated)

	_, err := r.CreateWebhook(ctx, testWebhook("orders"))
	require.ErrorIs(t, err, ErrExists)

	renamed, err := r.UpdateWebhook(ctx, "default", created.Webhook.UID, 1, func(w *catalog.Webhook) error {
		w.ID, w.UID, w.Tenant, w.Platform, w.Created = "purchases", "x", "x", "x", time.Time{}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, created.Webhook.UID, renamed.Webhook.UID, "a rename keeps the uid")
	require.Equal(t, "default", renamed.Webhook.Tenant)
	require.Equal(t, catalog.PlatformV1, renamed.Webhook.Platform)
	require.Equal(t, created.Webhook.Created, renamed.Webhook.Created)
	require.Equal(t, int64(2), renamed.Webhook.Revision)
	_, err = r.Find("default", "orders")
	require.ErrorIs(t, err, ErrNotFound)

	_, err = r.UpdateWebhook(ctx, "default", created.Webhook.UID, 1, func(*catalog.Webhook) error { return nil })
	require.ErrorIs(t, err, ErrRevision)
	_, err = r.UpdateWebhook(ctx, "other", created.Webhook.UID, 0, func(*catalog.Webhook) error { return nil })
	require.ErrorIs(t, err, ErrNotFound)
	refusal := errors.New("no")
	_, err = r.UpdateWebhook(ctx, "default", created.Webhook.UID, 0, func(*catalog.Webhook) error { return refusal })
	require.Equal(t, refusal, err, "an edit's error is returned as it is")

	other := r.mustCreate(t, testWebhook("orders"))
	_, err = r.UpdateWebhook(ctx, "default", other.Webhook.UID, 0, func(w *catalog.Webhook) error { w.ID = "purchases"; return nil })
	require.ErrorIs(t, err, ErrExists, "a rename onto a taken id")

	require.ErrorIs(t, r.DeleteWebhook(ctx, "default", other.Webhook.UID, 7), ErrRevision)
	require.NoError(t, r.DeleteWebhook(ctx, "default", other.Webhook.UID, 0))
	require.ErrorIs(t, r.DeleteWebhook(ctx, "default", other.Webhook.UID, 0), ErrNotFound)
	again := r.mustCreate(t, testWebhook("orders"))
	require.NotEqual(t, other.Webhook.UID, again.Webhook.UID, "deleted and created again is another webhook")
	require.Equal(t, 2, r.Count())
}

func TestRegistry_RunReturnsNilAndWritesAreRefusedAfterIt(t *testing.T) {
	b := newBundle(t)
	r := b.start()
	r.mustCreate(t, testWebhook("a"))
	r.stop()
	_, err := r.CreateWebhook(b.ctx(), testWebhook("b"))
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, r.WaitApplied(b.ctx(), 1000), ErrClosed)
	require.False(t, r.Fresh())
	require.Equal(t, 1, r.Count(), "the snapshot stays readable")
}

func TestRegistry_StopsWhileKafkaIsAway(t *testing.T) {
	b := newBundle(t)
	b.cluster.Close()
	r := b.run(b.make())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, r.WaitComplete(ctx), context.DeadlineExceeded)
	_, err := r.CreateWebhook(ctx, testWebhook("a"))
	require.Error(t, err)
	r.stop()
}
