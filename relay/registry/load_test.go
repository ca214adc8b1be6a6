package registry

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
)

// typicalWebhook is what most of many look like: inline URL, one signing secret.
func typicalWebhook(i int) *catalog.Webhook {
	w := testWebhook(fmt.Sprint("customer-", i))
	w.UID = fmt.Sprintf("wh_%026d", i)
	w.Events = []string{fmt.Sprintf("debt.kind%d", i%1000), "payment.*"}
	w.Signing = catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{
		{Value: catalog.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Encoding: catalog.SecretWhsec},
	}}
	w.Delivery = catalog.DeliveryLimits{Timeout: catalog.Duration(catalog.DefaultTimeout), Concurrency: catalog.DefaultConcurrency}
	w.Created = time.Unix(int64(i), 0).UTC()
	w.Updated, w.Revision = w.Created, 1
	return w
}

func BenchmarkDecodeRecord(b *testing.B) {
	ring, w := testKeyring(b), typicalWebhook(1)
	encoded, err := encodeRecord(ring, webhookKey(w), w)
	require.NoError(b, err)
	key, value := webhookKey(w).String(), string(encoded)
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeRecord(ring, key, value); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad100000 is what a start does with a copy of 100 000 webhooks besides reading it, and what the snapshot
// then costs in memory.
func BenchmarkLoad100000(b *testing.B) {
	ring := testKeyring(b)
	fields := map[string]string{}
	for i := range 100_000 {
		w := typicalWebhook(i)
		value, err := encodeRecord(ring, webhookKey(w), w)
		require.NoError(b, err)
		fields[webhookKey(w).String()] = string(value)
	}
	for b.Loop() {
		before := heap()
		changes, err := decodeCopy(ring, fields)
		require.NoError(b, err)
		s := newSnapshot()
		for _, c := range changes {
			s.apply(c.resource)
		}
		changes = nil
		b.ReportMetric(float64(heap()-before)/100_000, "heap-B/webhook")
		runtime.KeepAlive(s)
	}
	runtime.KeepAlive(fields)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkStart100000 is a start from the topic, the rebuild of the copy after it, and a start from the copy, with
// broker and Redis embedded in the same process.
func BenchmarkStart100000(b *testing.B) {
	const webhooks = 100_000
	for b.Loop() {
		bundle := newBundle(b)
		records := make([]*kgo.Record, webhooks)
		for i := range records {
			w := typicalWebhook(i)
			value, err := encodeRecord(bundle.keys, webhookKey(w), w)
			require.NoError(b, err)
			records[i] = &kgo.Record{Topic: testTopics.Webhooks(), Key: []byte(webhookKey(w).String()), Value: value}
		}
		require.NoError(b, bundle.kafka.ProduceSync(b.Context(), records...).FirstErr())

		began := time.Now()
		r := bundle.start()
		b.ReportMetric(time.Since(began).Seconds(), "s/start-from-topic")
		require.Equal(b, webhooks, r.Count())
		began = time.Now()
		require.NoError(b, r.cache.covered.wait(b.Context(), webhooks))
		b.ReportMetric(time.Since(began).Seconds(), "s/rebuild-copy")
		r.stop()
		began = time.Now()
		r = bundle.start()
		b.ReportMetric(time.Since(began).Seconds(), "s/start-from-redis")
		require.Equal(b, SourceRedis, r.Status().Source)
		require.Equal(b, webhooks, r.Count())
		r.stop()
	}
}
