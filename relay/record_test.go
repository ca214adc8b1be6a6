package relay

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
)

func sampleDelivery() *Delivery {
	raw := []byte(`{"id":"e1","data":{"b":1.0,"a":9007199254740993}}`)
	span := catalog.Span{From: 18, To: len(raw) - 1}
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	ev := &catalog.Event{ID: "e1", Source: "/debts", Type: "debt.paid", Domain: "debt", Tenant: "acme", Office: "north", Subject: "d-1",
		Time: at, TimeText: "2026-01-02T03:04:05.6789Z", TransactionID: "t1", User: catalog.User{Name: "ann", PoolID: "p"}, Livemode: true,
		DataContentType: "application/json", Raw: raw, Span: span, TraceParent: "00-x", TraceState: "a=b"}
	ev.Data, _ = span.Extract(raw)
	src := Coordinates{Topic: "debt", TopicID: [16]byte{1, 2, 3}, Partition: 3, Offset: 42}
	d := NewDelivery(ev, "wh_1", src, 17, []time.Duration{time.Hour}, time.UnixMilli(at.UnixMilli()))
	d.Attempts, d.Retries, d.Gone, d.Postponed, d.DivertKey, d.Resends = 4, 2, true, 7, "wh_1/x/0", 1
	d.LastStatus, d.LastError = 503, "status 503"
	d.Alert = &Alert{Kind: AlertFailure, Webhook: "claims", URL: "https://a.example/", Status: 503, Count: 2}
	return d
}

func TestDeliveryRecord_RoundTrip(t *testing.T) {
	want := sampleDelivery()
	rec := &kgo.Record{Value: want.Event.Raw, Headers: append(EncodeDelivery(want), WaitHeader(1500*time.Millisecond))}
	got, err := DecodeDelivery(rec)
	require.NoError(t, err)
	require.True(t, want.Read.Equal(got.Read) && want.Deadline.Equal(got.Deadline))
	got.Read, got.Deadline = want.Read, want.Deadline
	require.Equal(t, want, got)
	require.Equal(t, `{"b":1.0,"a":9007199254740993}`, string(got.Event.Data), "bytes are kept")
	wait, err := Wait(rec)
	require.NoError(t, err)
	require.Equal(t, 1500*time.Millisecond, wait)
}

func TestDeliveryRecord_Base64Data(t *testing.T) {
	d := sampleDelivery()
	text := base64.StdEncoding.EncodeToString([]byte{0, 1, 255})
	d.Event.Raw = []byte(fmt.Sprintf(`{"data_base64":%q}`, text))
	d.Event.Span = catalog.Span{From: 16, To: 16 + len(text), Base64: true}
	got, err := DecodeDelivery(&kgo.Record{Value: d.Event.Raw, Headers: EncodeDelivery(d)})
	require.NoError(t, err)
	require.Equal(t, []byte{0, 1, 255}, got.Event.Data)
}

func TestDecodeDelivery_Refuses(t *testing.T) {
	good := EncodeDelivery(sampleDelivery())
	for name, rec := range map[string]*kgo.Record{
		"no headers":   {},
		"no event":     {Headers: good[:1]},
		"not json":     {Headers: []kgo.RecordHeader{{Key: HeaderDelivery, Value: []byte("{")}, good[1]}},
		"no ids":       {Headers: []kgo.RecordHeader{{Key: HeaderDelivery, Value: []byte("{}")}, good[1]}},
		"data outside": {Headers: good, Value: []byte("short")},
	} {
		_, err := DecodeDelivery(rec)
		require.ErrorIs(t, err, ErrBadRecord, name)
	}
	_, err := Wait(&kgo.Record{Headers: []kgo.RecordHeader{{Key: HeaderWait, Value: []byte("-1")}}})
	require.ErrorIs(t, err, ErrBadRecord)
}

func FuzzDecodeDelivery(f *testing.F) {
	d := sampleDelivery()
	h := EncodeDelivery(d)
	f.Add(h[0].Value, h[1].Value, d.Event.Raw)
	f.Fuzz(func(t *testing.T, delivery, event, value []byte) {
		got, err := DecodeDelivery(&kgo.Record{Value: value, Headers: []kgo.RecordHeader{{Key: HeaderDelivery, Value: delivery}, {Key: HeaderEvent, Value: event}}})
		if err != nil {
			require.ErrorIs(t, err, ErrBadRecord)
			return
		}
		require.NotEmpty(t, got.UID)
		_ = EncodeDelivery(got)
	})
}

func TestIdentity(t *testing.T) {
	ev := &catalog.Event{ID: "e1", Source: "/s"}
	at := Coordinates{Topic: "debt", Partition: 1, Offset: 2}
	id := DeliveryID("wh", at)
	require.Equal(t, id, DeliveryID("wh", at))
	other := at
	other.Offset++
	require.NotEqual(t, id, DeliveryID("wh", other), "two records are two deliveries")
	recreated := at
	recreated.TopicID[0] = 1
	require.NotEqual(t, id, DeliveryID("wh", recreated), "a recreated topic is another topic")

	require.Equal(t, WebhookID("wh", ev, id), WebhookID("wh", ev, "dlv_other"), "duplicates of an event share the webhook-id")
	require.NotEqual(t, WebhookID("wh", ev, id), WebhookID("wh2", ev, id))
	require.NotEqual(t, WebhookID("wh", &catalog.Event{ID: "b", Source: "a"}, id), WebhookID("wh", &catalog.Event{ID: "", Source: "ab"}, id))
	require.Equal(t, id, WebhookID("wh", &catalog.Event{Source: "/s"}, id), "without an event id it is the storage id")
	require.NotContains(t, WebhookID("wh", ev, id), ".")
}

func TestDeadlineFor(t *testing.T) {
	from := time.Unix(0, 0)
	require.Equal(t, from.Add(24*time.Hour), DeadlineFor([]time.Duration{time.Second}, from))
	require.Equal(t, from.Add(44*time.Hour), DeadlineFor([]time.Duration{20 * time.Hour, 20 * time.Hour}, from))
}

func TestDelayName(t *testing.T) {
	for d, want := range map[time.Duration]string{5 * time.Second: "5s", 2 * time.Minute: "2m", 6 * time.Hour: "6h", 90 * time.Second: "90s", 250 * time.Millisecond: "250ms"} {
		require.Equal(t, want, DelayName(d))
	}
}
