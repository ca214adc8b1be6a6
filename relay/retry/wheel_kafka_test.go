package retry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver"
	"eventrelay/relay/intake"
)

// bench is a wheel on an embedded broker. All webhooks are deleted, so that a delivery that falls due is cancelled at
// once, and reported.
type bench struct {
	topics relay.Topics
	wheel  *Wheel
	client *kgo.Client
	admin  *kadm.Client

	mu  sync.Mutex
	due map[string]time.Time // by delivery id: when it fell due
}

func (b *bench) Webhook(string) (*catalog.Webhook, *catalog.Suspension, *catalog.Integration) {
	return nil, nil, nil
}

func (b *bench) Suspend(context.Context, string, string, string, string) (*catalog.Suspension, error) {
	return nil, fmt.Errorf("not asked for")
}

type freshRegistry struct{ applied atomic.Int64 }

func (*freshRegistry) Fresh() bool      { return true }
func (r *freshRegistry) Applied() int64 { return r.applied.Load() }

// start runs a wheel of the delays; retired are delays whose topics exist although they are not configured.
func start(t *testing.T, limits intake.Limits, delays []time.Duration, retired ...time.Duration) *bench {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	b := &bench{topics: relay.Topics{Prefix: "relay.", Delays: delays, Partitions: 1, Replication: 1, MaxEventBytes: 1 << 20}, due: map[string]time.Time{}}
	for _, delay := range append(retired, delays...) {
		require.NoError(t, cluster.CreateTopic(b.topics.Retry(delay), 1, nil))
	}
	opts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	b.client, err = kgo.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(b.client.Close)
	b.admin = kadm.NewClient(b.client)
	log := slog.New(slog.DiscardHandler)
	b.wheel, err = New(Options{Topics: b.topics, Journal: relay.NewJournal(b.client, log), Registry: &freshRegistry{}, Log: log, Registerer: prometheus.NewRegistry(),
		Group: intake.GroupOptions{Name: "retry", Kafka: opts, Group: "relay-retry", DrainTimeout: time.Second, Window: intake.NewWindow(limits),
			Log: log, Registerer: prometheus.NewRegistry()},
		Reject: func(rec *kgo.Record, reason string, _ func()) { t.Errorf("rejected %s: %s", rec.Key, reason) }})
	require.NoError(t, err)
	dispatcher := deliver.New(deliver.Options{Webhooks: b, Retry: b.wheel, Contended: func() bool { return false }, Log: log, Registerer: prometheus.NewRegistry(),
		OnReport: func(r deliver.Report) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.due[r.Task.Delivery.ID] = time.Now()
		}})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.wheel.Run(ctx, dispatcher) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	return b
}

// write puts n deliveries into a retry topic, stamped by a clock that is ahead of ours.
func (b *bench) write(t *testing.T, class, wait, ahead time.Duration, name string, n int) {
	t.Helper()
	raw := []byte(`{}`)
	var written sync.WaitGroup
	for i := range n {
		d := relay.NewDelivery(&catalog.Event{ID: "e", Source: "/s", Type: "t", Tenant: "default", Raw: raw, Data: raw, Span: catalog.Span{To: 2}}, "w",
			relay.Coordinates{Topic: name, Offset: int64(i)}, 0, nil, time.Now())
		d.ID = fmt.Sprintf("%s-%d", name, i)
		written.Add(1)
		b.client.Produce(t.Context(), &kgo.Record{Topic: b.topics.Retry(class), Key: []byte("w"), Value: raw, Timestamp: time.Now().Add(ahead),
			Headers: append(relay.EncodeDelivery(d), relay.WaitHeader(wait))}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
			written.Done()
		})
	}
	written.Wait()
}

func (b *bench) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.due)
}

var roomy = intake.Limits{Records: 10_000, Bytes: 64 << 20, Deliveries: 10_000}

// TestWheel_LongWaitsLeaveRoomForShortOnes: however many deliveries wait for an hour, those of a second are on time.
func TestWheel_LongWaitsLeaveRoomForShortOnes(t *testing.T) {
	t.Parallel()
	b := start(t, intake.Limits{Records: 100, Bytes: 1 << 20, Deliveries: 100}, []time.Duration{time.Second, time.Hour})
	b.write(t, time.Hour, time.Hour, 0, "long", 3000)
	b.write(t, time.Second, time.Second, 0, "short", 500)
	require.Eventually(t, func() bool { return b.count() == 500 }, 10*time.Second, 10*time.Millisecond)
}

// TestWheel_BrokerClockAhead: records stamped in the future wait for their class, not for that future, and not one
// behind the other.
func TestWheel_BrokerClockAhead(t *testing.T) {
	t.Parallel()
	b := start(t, roomy, []time.Duration{time.Second})
	written := time.Now()
	b.write(t, time.Second, time.Second, time.Hour, "d", 100)
	require.Eventually(t, func() bool { return b.count() == 100 }, 10*time.Second, 10*time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, at := range b.due {
		require.GreaterOrEqual(t, at.Sub(written), time.Second, "%s came before its class", id)
	}
}

// TestWheel_ReadsDelaysOfFormerConfigurations: what waits in the topic of a delay that is no longer configured falls
// due all the same.
func TestWheel_ReadsDelaysOfFormerConfigurations(t *testing.T) {
	t.Parallel()
	b := start(t, roomy, []time.Duration{time.Second}, 2*time.Second)
	b.write(t, 2*time.Second, 2*time.Second, 0, "d", 3)
	require.Eventually(t, func() bool { return b.count() == 3 }, 10*time.Second, 10*time.Millisecond)
}

// TestRegistryKnows_DoesNotWaitForAnOffsetThatNeverComes: a webhooks topic that was restored ends before the offset
// that a delivery was matched at.
func TestRegistryKnows_DoesNotWaitForAnOffsetThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := &freshRegistry{}
		w := &Wheel{o: Options{Registry: registry, Log: slog.New(slog.DiscardHandler)}}
		begun := time.Now()
		require.True(t, w.registryKnows(t.Context(), &relay.Delivery{MatchedAt: 1000}))
		require.InDelta(t, registryPatience, time.Since(begun), float64(time.Second))

		time.AfterFunc(3*time.Second, func() { registry.applied.Store(1000) })
		begun = time.Now()
		require.True(t, w.registryKnows(t.Context(), &relay.Delivery{MatchedAt: 1000}))
		require.Less(t, time.Since(begun), 4*time.Second, "an instance that is behind waits until it is not")
	})
}

// TestWheel_TrimsWhatIsDone: what lies below the committed offset is deleted, what waits is not.
func TestWheel_TrimsWhatIsDone(t *testing.T) {
	short, long := 100*time.Millisecond, time.Hour
	b := start(t, roomy, []time.Duration{short, long})
	b.write(t, short, short, 0, "done", 3)
	b.write(t, long, long, 0, "waiting", 2)
	committed := map[string]map[int32]kgo.EpochOffset{b.topics.Retry(short): {}, b.topics.Retry(long): {}}
	require.Eventually(t, func() bool {
		offsets, err := b.admin.FetchOffsets(t.Context(), "relay-retry")
		if err != nil {
			return false
		}
		offsets.Each(func(o kadm.OffsetResponse) { committed[o.Topic][o.Partition] = kgo.EpochOffset{Offset: o.At} })
		return committed[b.topics.Retry(short)][0].Offset == 3
	}, 10*time.Second, 20*time.Millisecond)
	b.wheel.trim(t.Context(), b.admin, committed)
	starts, err := b.admin.ListStartOffsets(t.Context(), b.topics.RetryAll()...)
	require.NoError(t, err)
	first := func(class time.Duration) int64 {
		at, ok := starts.Lookup(b.topics.Retry(class), 0)
		require.True(t, ok)
		return at.Offset
	}
	require.EqualValues(t, 3, first(short))
	require.Zero(t, first(long))
}
