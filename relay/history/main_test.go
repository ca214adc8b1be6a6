package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"eventrelay/relay"
	"eventrelay/relay/intake/envelope"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when the attempts of these tests are made: a minute and its hour that are still kept, whenever they run.
var start = time.Now().Add(-30 * time.Minute).Truncate(time.Hour).Add(10 * time.Second).UTC()

// bench is a broker, a Redis and a history of both.
type bench struct {
	*History
	t      *testing.T
	mini   *miniredis.Miniredis
	redis  *redis.Client
	client *kgo.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.Ports(0), kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	topics := relay.Topics{Prefix: "relay.", Partitions: 3, Delays: []time.Duration{time.Second}, MaxEventBytes: 1 << 20}
	specs := append(topics.Specs(), relay.TopicSpec{Name: "debt", Partitions: 2}, relay.TopicSpec{Name: "other", Partitions: 1})
	_, err = relay.CreateTopics(t.Context(), kadm.NewClient(client), 1, specs)
	require.NoError(t, err)
	b := &bench{t: t, mini: miniredis.RunT(t), client: client}
	b.redis = redis.NewClient(&redis.Options{Addr: b.mini.Addr(), MaxRetries: -1, DialerRetries: 1, DialTimeout: 200 * time.Millisecond})
	t.Cleanup(func() { _ = b.redis.Close() })
	domains := map[string]string{"debt": "debt"}
	decoder, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: topics.MaxEventBytes, Domains: domains})
	require.NoError(t, err)
	b.History = New(Options{Client: client, Topics: topics, Domains: domains, Decode: decoder.Decode, Redis: b.redis, RedisPrefix: "relay:"})
	return b
}

func (b *bench) produce(recs ...*kgo.Record) {
	b.t.Helper()
	require.NoError(b.t, b.client.ProduceSync(b.t.Context(), recs...).FirstErr())
}

func (b *bench) recent() *Recent {
	return NewRecent(RecentOptions{Redis: b.redis, RedisPrefix: "relay:", Registerer: prometheus.NewRegistry()})
}

// attempt is the i-th of a webhook; every third fails.
func attempt(uid string, i int) Attempt {
	a := Attempt{
		UID: uid, Tenant: "acme", DeliveryID: fmt.Sprintf("dlv_%04d", i), WebhookID: "msg_1", EventID: fmt.Sprintf("evt-%d", i), EventType: "debt.paid",
		Attempt: 1, At: start.Add(time.Duration(i) * time.Millisecond), LatencyMS: 4, Status: 200, Outcome: OutcomeDelivered,
	}
	if i%3 == 0 {
		a.Status, a.Error, a.Outcome, a.RetryInMS, a.LatencyMS = 503, "status 503", OutcomeRetried, 5000, 900
	}
	return a
}
