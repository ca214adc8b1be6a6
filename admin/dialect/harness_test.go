package dialect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/admin"
	"eventrelay/admin/dialect"
	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/audit"
	"eventrelay/relay/divert"
	"eventrelay/relay/registry"
)

const testKey = "test-key-0123456789abcdef"

// api is the admin server with all dialects on a real registry and divert store, reached over HTTP.
type api struct {
	t        *testing.T
	url      string
	hooks    *registry.Registry
	diverted *divert.Store
	resent   *wheel
	cluster  *kfake.Cluster
	kept     []string // secrets that no answer may hold
}

// wheel notes what is resent.
type wheel struct{ due chan *relay.Delivery }

func (w *wheel) Enqueue(d *relay.Delivery, _ time.Duration, acked func()) {
	w.due <- d
	acked()
}

// option adjusts the services of newAPI.
type option func(*dialect.Services, *admin.Options)

func newAPI(t *testing.T, options ...option) *api {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	cluster, err := kfake.NewCluster(kfake.Ports(0), kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	kafka := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	topics := relay.Topics{Prefix: "relay.", Partitions: 1, MaxEventBytes: relay.DefaultMaxEventBytes}
	client, err := kgo.NewClient(kafka...)
	require.NoError(t, err)
	_, err = relay.CreateTopics(ctx, kadm.NewClient(client), 1, topics.Specs())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	trail, err := audit.NewLog(audit.Options{Client: client, Topic: topics.Audit()})
	require.NoError(t, err)
	cache := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = cache.Close() })
	keys, err := registry.ParseKeyring("test:" + registry.GenerateMasterKey())
	require.NoError(t, err)

	a := &api{t: t, cluster: cluster, resent: &wheel{due: make(chan *relay.Delivery, 16)}}
	quiet := slog.New(slog.DiscardHandler)
	a.hooks, err = registry.New(registry.Options{Kafka: kafka, Topics: topics, Redis: cache, Keys: keys, Log: quiet})
	require.NoError(t, err)
	a.diverted, err = divert.New(divert.Options{
		Kafka: kafka, Topics: topics, Redis: cache, RedisPrefix: "relay:", Webhooks: a.hooks, Resend: a.resent, Log: quiet,
	})
	require.NoError(t, err)
	ended := make(chan error, 2)
	go func() { ended <- a.hooks.Run(ctx) }()
	go func() { ended <- a.diverted.RunIndex(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
		require.NoError(t, a.diverted.Close(context.Background())) // the test's context has ended
	})
	require.NoError(t, a.hooks.WaitComplete(ctx))

	// Loopback stands in for receivers; every other private network stays refused.
	rules := catalog.Rules{Egress: catalog.Egress{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	services := dialect.Services{Registry: a.hooks, Diverted: a.diverted, Rules: rules}
	server := admin.Options{Registry: a.hooks, Diverted: a.diverted, Rules: rules, BootstrapKey: catalog.NewSecret(testKey), Audit: trail, Rate: -1}
	for _, o := range options {
		o(&services, &server)
	}
	if server.Dialects == nil {
		server.Dialects = dialect.All(services)
	}
	front := httptest.NewServer(admin.New(server).Handler())
	t.Cleanup(front.Close)
	a.url = front.URL
	return a
}

// reply is an answer.
type reply struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// header is an option of do; an empty value removes the header.
type header struct{ name, value string }

// do makes a request as a client of Basic authentication, which is how the platforms' clients identify themselves.
func (a *api) do(method, path, body string, headers ...header) reply {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	require.NoError(a.t, err)
	r.SetBasicAuth("relay", testKey)
	r.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		r.Header.Del(h.name)
		if h.value != "" {
			r.Header.Set(h.name, h.value)
		}
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(a.t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(a.t, err)
	for _, secret := range a.kept {
		require.NotContains(a.t, string(text), secret, "%s %s", method, path)
	}
	return reply{t: a.t, status: answer.StatusCode, header: answer.Header, body: bytes.TrimSpace(text)}
}

// is demands a status and returns the reply.
func (r reply) is(status int) reply {
	r.t.Helper()
	require.Equal(r.t, status, r.status, "%s", r.body)
	return r
}

// object decodes the body.
func (r reply) object() map[string]any {
	r.t.Helper()
	var v map[string]any
	require.NoError(r.t, json.Unmarshal(r.body, &v), "%s", r.body)
	return v
}

// refused demands a status and the form of every dialect's errors, and returns the text.
func (r reply) refused(status int) string {
	r.t.Helper()
	r.is(status)
	require.Equal(r.t, "application/json", r.header.Get("Content-Type"))
	require.Len(r.t, r.object(), 1, "%s", r.body)
	text, ok := r.object()["error"].(string)
	require.True(r.t, ok, "%s", r.body)
	require.NotEmpty(r.t, text)
	return text
}

// canonical is the one webhook of the tenant as /v1 shows it.
func (a *api) canonical(id string) map[string]any {
	a.t.Helper()
	return a.do(http.MethodGet, "/v1/webhooks/"+id, "").is(http.StatusOK).object()
}

// divert gives up a delivery of the event to the webhook and returns once that is durable.
func (a *api) divert(uid string, ev *catalog.Event, offset int64) *relay.Delivery {
	a.t.Helper()
	d := relay.NewDelivery(ev, uid, relay.Coordinates{Topic: "sms", Offset: offset}, 1, nil, time.Now())
	acked := make(chan struct{})
	a.diverted.Put(d, divert.Why{Reason: divert.ReasonExhausted, Status: http.StatusServiceUnavailable}, func() { close(acked) })
	select {
	case <-acked:
	case <-time.After(10 * time.Second):
		require.FailNow(a.t, "the diverted event was not acknowledged within 10 s")
	}
	return d
}
