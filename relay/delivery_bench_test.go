package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func BenchmarkNewDelivery(b *testing.B) {
	ev := &catalog.Event{ID: "evt-0123456789", Source: "/bench", Type: "debt.paid", Tenant: "default"}
	src := Coordinates{Topic: "debt", TopicID: [16]byte{1, 2, 3}, Partition: 7, Offset: 123_456_789}
	schedule, now := catalog.RetryStandard.Schedule(), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		NewDelivery(ev, "wh_01234567890123456789012345", src, 42, schedule, now)
	}
}

// A delivery is made for each match of each event: the ids and the delivery itself, and nothing else.
func TestNewDelivery_Allocates(t *testing.T) {
	ev := &catalog.Event{ID: "evt-0123456789", Source: "/bench", Type: "debt.paid"}
	src, schedule, now := Coordinates{Offset: 123_456_789}, catalog.RetryStandard.Schedule(), time.Now()
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		NewDelivery(ev, "wh_01234567890123456789012345", src, 42, schedule, now)
	}), 3.0)
}

// The ids are in topics, in headers and at receivers: they must never change for the same delivery.
func TestIDs_AreWhatTheyAlwaysWere(t *testing.T) {
	ev := &catalog.Event{ID: "evt-1", Source: "/relay/debt"}
	src := Coordinates{Topic: "debt", TopicID: [16]byte{1, 2, 3}, Partition: 7, Offset: 123_456_789}
	require.Equal(t, "dlv_61d8dc4034dbdd84cc7bfddc5f1b9f4f", DeliveryID("wh_abc", src))
	require.Equal(t, "msg_b346027ae232fc8476be33c7c98f518c", WebhookID("wh_abc", ev, ""))
}
