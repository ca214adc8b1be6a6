package deliver

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/registry"
)

// registryView is the registry as deliveries see it.
type registryView struct{ *registry.Registry }

func (v registryView) Webhook(uid string) (*catalog.Webhook, *catalog.Suspension, *catalog.Integration) {
	at, _ := v.View(uid)
	return at.Webhook, at.Suspension, at.Integration
}

func (v registryView) Suspend(ctx context.Context, uid, eventType, reason, lastFailure string) (*catalog.Suspension, error) {
	return v.SuspendAfter(ctx, uid, eventType, reason, lastFailure)
}

// startRegistries runs n registries on one broker and one Redis.
func startRegistries(t *testing.T, n int) []*registry.Registry {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	seeds := kgo.SeedBrokers(cluster.ListenAddrs()...)
	client, err := kgo.NewClient(seeds)
	require.NoError(t, err)
	defer client.Close()
	topics := relay.Topics{Prefix: "relay.", Partitions: 1, MaxEventBytes: relay.DefaultMaxEventBytes}
	for _, spec := range topics.Specs() {
		if spec.Name == topics.Webhooks() || spec.Name == topics.Audit() {
			_, err = relay.CreateTopics(t.Context(), kadm.NewClient(client), 1, []relay.TopicSpec{spec})
			require.NoError(t, err)
		}
	}
	cache := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = cache.Close() })
	keys, err := registry.ParseKeyring(registry.GenerateMasterKey())
	require.NoError(t, err)
	list := make([]*registry.Registry, n)
	for i := range list {
		list[i], err = registry.New(registry.Options{Kafka: []kgo.Opt{seeds}, Topics: topics, Redis: cache, Keys: keys, Log: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- list[i].Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			require.NoError(t, <-ended)
		})
		require.NoError(t, list[i].WaitComplete(t.Context()))
	}
	return list
}

// TestRotation_OfSigningSecretsUnderLoad: one instance changes a webhook's signing secrets again and again, new ones
// first, the former kept for one rotation; another instance delivers all the while. Every request verifies with the
// secret that was the newest when it was sent or with the one before, and where a rotation overlaps, with both.
func TestRotation_OfSigningSecretsUnderLoad(t *testing.T) {
	registries := startRegistries(t, 2)
	admin, relaying := registries[0], registries[1]
	const rotations = 12
	secrets := make([]catalog.SigningSecret, rotations+1)
	verifiers := make([]*standardwebhooks.Webhook, len(secrets))
	for i := range secrets {
		var err error
		secrets[i], err = catalog.GenerateSecret()
		require.NoError(t, err)
		verifiers[i], err = standardwebhooks.NewWebhook(secrets[i].Value.Reveal())
		require.NoError(t, err)
	}

	var newest, received, overlapping atomic.Int64
	var mu sync.Mutex
	var wrong []string
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		// The newest may have moved on since the request was signed; the receiver knows it not later than the relay.
		now, matching := int(newest.Load()), 0
		for i := max(0, now-2); i <= min(now+1, rotations); i++ {
			if verifiers[i].Verify(body, r.Header) == nil {
				matching++
			}
		}
		received.Add(1)
		switch {
		case matching == 2:
			overlapping.Add(1)
		case matching == 0:
			mu.Lock()
			wrong = append(wrong, fmt.Sprintf("rotation %d: %s", now, r.Header.Get("Webhook-Signature")))
			mu.Unlock()
		}
	}))
	defer receiver.Close()
	b := newBench(t, func(o *Options) { o.Webhooks = registryView{relaying} })

	made, err := admin.CreateWebhook(t.Context(), &catalog.Webhook{ID: "a", Tenant: catalog.DefaultTenant, Platform: catalog.PlatformV1, Enabled: true, URL: receiver.URL,
		Format: catalog.FormatStandard, Retry: catalog.RetryStandard, FailureHandling: catalog.DefaultFailureHandling(), Auth: catalog.Auth{Type: catalog.AuthNone},
		Signing: catalog.Signing{Enabled: true, Secrets: secrets[:1]}, Delivery: catalog.DeliveryLimits{Timeout: catalog.Duration(5 * time.Second), Concurrency: 4}})
	require.NoError(t, err)
	uid := made.Webhook.UID
	require.NoError(t, relaying.Confirm(t.Context()))

	quit := make(chan struct{})
	var load sync.WaitGroup
	var submitted atomic.Int64
	window := make(chan struct{}, 8)
	load.Go(func() {
		for {
			select {
			case <-quit:
				return
			case window <- struct{}{}:
			}
			submitted.Add(1)
			b.submit(uid, func(task *Task) {
				done := task.Done
				task.Done = func() { done(); <-window }
			})
		}
	})
	for n := 1; n <= rotations; n++ {
		_, err := admin.UpdateWebhook(t.Context(), catalog.DefaultTenant, uid, 0, func(w *catalog.Webhook) error {
			w.Signing.Secrets = []catalog.SigningSecret{secrets[n], secrets[n-1]}
			return nil
		})
		require.NoError(t, err)
		newest.Store(int64(n))
		// Some requests arrive within each rotation, those with the new secrets among them.
		at := received.Load()
		require.NoError(t, relaying.Confirm(t.Context()))
		require.Eventually(t, func() bool { return received.Load() >= at+20 }, waitFor, tick)
	}
	close(quit)
	load.Wait()
	require.Eventually(t, func() bool { return b.done.Load() == submitted.Load() }, waitFor, tick)
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, wrong)
	require.Empty(t, b.retried)
	require.Empty(t, b.diverted)
	require.Greater(t, overlapping.Load(), int64(rotations))
	require.GreaterOrEqual(t, received.Load(), int64(20*rotations))
}
