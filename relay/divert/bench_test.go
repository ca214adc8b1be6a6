package divert

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/jobs"
)

// scale is a webhook with many diverted events. RELAY_TEST_DIVERTED says how many (100 000 unless it does);
// RELAY_TEST_KAFKA and RELAY_TEST_REDIS put real services in the place of kfake and miniredis, whose ordered sets sort
// all they hold at every page. Run it once: -bench Scale -benchtime 1x.
type scale struct {
	b       *testing.B
	n       int
	options Options
	client  *kgo.Client
	resends *countingResender
	real    bool
}

// countingResender acknowledges and forgets, so that memory is the store's.
type countingResender struct{}

func (f *countingResender) Enqueue(_ *relay.Delivery, _ time.Duration, acked func()) { acked() }

func newScale(b *testing.B) *scale {
	b.Helper()
	n := 100_000
	if text := os.Getenv("RELAY_TEST_DIVERTED"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	topics := relay.Topics{Prefix: "bench" + rand.Text()[:6] + ".", Partitions: 3, Delays: []time.Duration{time.Second}, MaxEventBytes: relay.DefaultMaxEventBytes}
	brokers := strings.Split(os.Getenv("RELAY_TEST_KAFKA"), ",")
	if brokers[0] == "" {
		cluster, err := kfake.NewCluster(kfake.Ports(0), kfake.NumBrokers(1))
		require.NoError(b, err)
		b.Cleanup(cluster.Close)
		brokers = cluster.ListenAddrs()
	}
	address := os.Getenv("RELAY_TEST_REDIS")
	if address == "" {
		address = miniredis.RunT(b).Addr()
	}
	cache := redis.NewClient(&redis.Options{Addr: address})
	b.Cleanup(func() { _ = cache.Close() })
	kafka := []kgo.Opt{kgo.SeedBrokers(brokers...)}
	client, err := kgo.NewClient(append(append(kafka, ProducerOpts(topics)...), kgo.ProducerLinger(5*time.Millisecond))...)
	require.NoError(b, err)
	b.Cleanup(client.Close)
	_, err = relay.CreateTopics(b.Context(), kadm.NewClient(client), 1, topics.Specs())
	require.NoError(b, err)
	hooks := &fakeWebhooks{hooks: map[string]*catalog.Webhook{}, suspended: map[string]*catalog.Suspension{}}
	hooks.set(&catalog.Webhook{UID: "wh_1", Tenant: "acme", Enabled: true, Retry: catalog.RetryStandard})
	sc := &scale{b: b, n: n, client: client, resends: &countingResender{}, real: os.Getenv("RELAY_TEST_REDIS") != ""}
	bulk, err := jobs.New(jobs.Options{Kafka: kafka, Topics: topics, Log: slog.New(slog.DiscardHandler), Wait: time.Minute})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- bulk.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done; bulk.Close() })
	sc.options = Options{
		Kafka: kafka, Topics: topics, Redis: cache, RedisPrefix: topics.Prefix, Webhooks: hooks, Resend: sc.resends, Jobs: bulk,
		Log: slog.New(slog.DiscardHandler), IndexWait: 20 * time.Minute,
	}
	return sc
}

// fill diverts all, at distinct times of the last hour.
func (sc *scale) fill() {
	sc.b.Helper()
	since := time.Now().Add(-time.Hour)
	for i := range sc.n {
		d := delivery("wh_1", i)
		d.Event.TransactionID = fmt.Sprint("transaction-", i/3)
		rec := divertedRecord(sc.options.Topics.Diverted(), d, exhausted, since.Add(time.Duration(i)*time.Hour/time.Duration(sc.n)))
		sc.client.Produce(sc.b.Context(), rec, nil)
	}
	require.NoError(sc.b, sc.client.Flush(sc.b.Context()))
}

// store indexes in a place of its own until stop is called.
func (sc *scale) store(prefix string) (s *Store, stop func()) {
	sc.b.Helper()
	o := sc.options
	o.RedisPrefix += prefix
	s, err := New(o)
	require.NoError(sc.b, err)
	ctx, cancel := context.WithCancel(sc.b.Context())
	done := make(chan error, 1)
	go func() { done <- s.RunIndex(ctx) }()
	return s, func() {
		cancel()
		require.NoError(sc.b, <-done)
		require.NoError(sc.b, s.Close(context.WithoutCancel(ctx)))
	}
}

func (sc *scale) list(b *testing.B, s *Store, q Query) Page {
	q.Tenant, q.UID = "acme", "wh_1"
	page, err := s.List(b.Context(), q)
	require.NoError(b, err)
	return page
}

// perEntry reports how many entries a second an operation dealt with, and the heap that is in use after it.
func (sc *scale) perEntry(b *testing.B, began time.Time) {
	b.ReportMetric(float64(sc.n)/time.Since(began).Seconds(), "entries/s")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapInuse)/(1<<20), "heap-MiB")
}

func (sc *scale) usedMemory() int64 {
	if !sc.real {
		return 0
	}
	info, err := sc.options.Redis.InfoMap(sc.b.Context(), "memory").Result()
	require.NoError(sc.b, err)
	used, err := strconv.ParseInt(info["Memory"]["used_memory"], 10, 64)
	require.NoError(sc.b, err)
	return used
}

func BenchmarkScale(b *testing.B) {
	sc := newScale(b)
	sc.fill()
	before := sc.usedMemory()
	var s *Store
	var stop func()
	b.Run("build", func(b *testing.B) {
		for i := range b.N {
			if stop != nil {
				stop()
			}
			began := time.Now()
			s, stop = sc.store(fmt.Sprint(i, "-"))
			require.EqualValues(b, sc.n, sc.list(b, s, Query{Limit: 1}).Total)
			sc.perEntry(b, began)
			if sc.real && i == 0 {
				b.ReportMetric(float64(sc.usedMemory()-before)/float64(sc.n), "redis-B/entry")
			}
		}
	})
	defer func() { stop() }()
	middle := Query{Limit: 50, To: time.Now().Add(-30 * time.Minute)}
	middle.Cursor = sc.list(b, s, middle).Next
	for name, q := range map[string]Query{
		"page/first": {Limit: 50}, "page/middle": middle, "page/largest": {Limit: 200},
		"page/transaction": {Limit: 50, TransactionID: fmt.Sprint("transaction-", sc.n/6)},
		"page/filtered":    {Limit: 50, EventID: "evt-0"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				sc.list(b, s, q)
			}
		})
	}
	for name, sel := range map[string]jobs.Selection{"count/all": {UID: "wh_1"}, "count/filtered": {UID: "wh_1", Type: "debt.paid"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				n, err := s.Count(b.Context(), "acme", sel)
				require.NoError(b, err)
				require.EqualValues(b, sc.n, n)
			}
		})
	}
	b.Run("job/delete", func(b *testing.B) {
		for i := range b.N {
			if i > 0 {
				sc.fill()
			}
			began := time.Now()
			id := fmt.Sprint(jobs.IDPrefix, rand.Text())
			_, err := s.Start(b.Context(), Bulk{ID: id, Tenant: "acme", Kind: jobs.KindDelete, Selection: jobs.Selection{UID: "wh_1"}})
			require.NoError(b, err)
			for {
				j, err := s.o.Jobs.Get(b.Context(), "acme", id)
				require.NoError(b, err)
				if j.State().Final() {
					require.EqualValues(b, sc.n, j.Progress.Done)
					break
				}
				pause(b.Context(), 20*time.Millisecond)
			}
			sc.perEntry(b, began)
			require.Zero(b, sc.list(b, s, Query{Limit: 1}).Total)
		}
	})
}
