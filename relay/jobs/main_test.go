package jobs

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"eventrelay/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a broker; stores of it share the topic.
type bench struct {
	t       *testing.T
	cluster *kfake.Cluster
	topics  relay.Topics
	client  *kgo.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.Ports(0), kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	b := &bench{t: t, cluster: cluster, topics: relay.Topics{Prefix: "relay.", Partitions: 1, Delays: []time.Duration{time.Second}, MaxEventBytes: 1 << 20}}
	b.client, err = kgo.NewClient(b.kafka()...)
	require.NoError(t, err)
	t.Cleanup(b.client.Close)
	_, err = relay.CreateTopics(t.Context(), kadm.NewClient(b.client), 1, b.topics.Specs())
	require.NoError(t, err)
	return b
}

func (b *bench) kafka() []kgo.Opt { return []kgo.Opt{kgo.SeedBrokers(b.cluster.ListenAddrs()...)} }

// store makes a store that reads the topic until the test ends or stop is called.
func (b *bench) store() (s *Store, stop func()) {
	b.t.Helper()
	s, err := New(Options{Kafka: b.kafka(), Topics: b.topics, Log: slog.New(slog.DiscardHandler), Wait: 10 * time.Second})
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-done)
		s.Close()
	})
	b.t.Cleanup(stop)
	return s, stop
}

func (b *bench) term(s *Store) *Term {
	b.t.Helper()
	term, err := s.Take(b.t.Context())
	require.NoError(b.t, err)
	b.t.Cleanup(term.Close)
	return term
}

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func definition(id string, age time.Duration) Definition {
	return Definition{ID: IDPrefix + id, Tenant: "acme", Kind: KindResend, Selection: Selection{UID: "wh_1"}, Below: 7, Created: created.Add(-age), Fingerprint: "f"}
}

func (b *bench) create(s *Store, d Definition) Job {
	b.t.Helper()
	j, err := s.Create(b.t.Context(), d)
	require.NoError(b.t, err)
	return j
}
