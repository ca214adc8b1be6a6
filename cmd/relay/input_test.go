package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
	"eventrelay/relay/intake"
)

// TestBadRecords: whatever stands on a domain topic, it is kept with a reason that an operator can see, and what
// comes after it is delivered.
func TestBadRecords(t *testing.T) {
	f := newFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 1, 1)

	ce := func(extra ...string) []kgo.RecordHeader {
		headers := []kgo.RecordHeader{{Key: "ce_id", Value: []byte("x")}, {Key: "ce_source", Value: []byte("/s")}}
		for i := 0; i < len(extra); i += 2 {
			headers = append(headers, kgo.RecordHeader{Key: extra[i], Value: []byte(extra[i+1])})
		}
		return headers
	}
	huge := strings.Repeat("x", 1<<20+1)
	bad := []struct {
		reason string
		rec    kgo.Record
	}{
		{"not_json", kgo.Record{Value: []byte("no json at all")}},
		{"no_envelope", kgo.Record{Value: []byte(`{"neither":"fish","nor":"fowl"}`)}},
		{"no_type", kgo.Record{Value: []byte(`{}`), Headers: ce("ce_specversion", "1.0")}},
		{"too_large", kgo.Record{Value: []byte(huge), Headers: ce("ce_type", "load.type0")}},
		{"bad_header", kgo.Record{Value: []byte(`{}`), Headers: ce("ce_type", "load.type0", "ce_subject", "a\r\nX-Evil: 1")}},
		{"", kgo.Record{Value: nil, Headers: ce("ce_type", "load.type0")}}, // a tombstone: skipped
	}
	big, err := kgo.NewClient(append(append([]kgo.Opt{}, f.kafka...), kgo.ProducerBatchMaxBytes(4<<20), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer big.Close()
	for i := range bad {
		rec := bad[i].rec
		rec.Topic, rec.Partition = f.domains[0], 1 // all on one partition: none may stop it
		require.NoError(t, big.ProduceSync(t.Context(), &rec).FirstErr())
	}
	o.owe("good", "hook-000")
	require.NoError(t, big.ProduceSync(t.Context(), &kgo.Record{Topic: f.domains[0], Partition: 1, Value: []byte(`{"n":1}`),
		Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte("good")}, {Key: "ce_source", Value: []byte("/s")}, {Key: "ce_type", Value: []byte("load.type0")}}}).FirstErr())
	l.awaitDelivered(t, 1)

	var rejected []*kgo.Record
	require.Eventually(t, func() bool {
		rejected = readAll(t, f.kafka, f.topics.Rejected())
		return len(rejected) >= len(bad)-1
	}, 10*time.Second, 50*time.Millisecond)
	require.Len(t, rejected, len(bad)-1)
	for i, rec := range rejected {
		reason, _ := relay.Header(rec, intake.HeaderReason)
		source, _ := relay.Header(rec, intake.HeaderSource)
		require.Equal(t, bad[i].reason, string(reason), "record %d", i)
		require.Equal(t, fmt.Sprintf("%s/1/%d", f.domains[0], i), string(source))
		if bad[i].reason == "too_large" {
			require.Empty(t, rec.Value, "coordinates and reason only")
		} else {
			require.Equal(t, bad[i].rec.Value, rec.Value, "the bytes are kept")
		}
	}
	o.judge(t, nil)
}

// TestRedisGone: without Redis, deliveries go on and webhooks can still be written; listings say that they cannot be
// trusted instead of being empty; with Redis back, everything is as before.
func TestRedisGone(t *testing.T) {
	t.Setenv("RELAY_TEST_REDIS", "") // the test takes Redis away: an embedded one
	f := newFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, 2)
	l.publish(0, 100)
	l.awaitDelivered(t, 200)

	f.cache.Close()
	l.publish(100, 300)
	l.awaitDelivered(t, 600)
	_, err := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "made-without-redis", "url": receiver.URL + "/hook/x", "events": []string{}}, nil)
	require.NoError(t, err, "writes work without Redis")
	_, err = p.api.call(t.Context(), http.MethodGet, "/v1/webhooks/made-without-redis", nil, nil)
	require.NoError(t, err)
	status, err := p.api.call(t.Context(), http.MethodGet, "/v1/diverted", nil, nil)
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status, "never an empty list taken for the truth")

	require.NoError(t, f.cache.Restart())
	require.Eventually(t, func() bool {
		status, _ := p.api.call(t.Context(), http.MethodGet, "/v1/diverted", nil, nil)
		return status == http.StatusOK
	}, 30*time.Second, 100*time.Millisecond, "%s", &f.logs)
	l.publish(300, 400)
	l.awaitDelivered(t, 800)
}
