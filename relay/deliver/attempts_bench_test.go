package deliver

import (
	"testing"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/outbound"
)

func BenchmarkAttemptRecord(b *testing.B) {
	ev := &catalog.Event{ID: "evt-0123456789", Source: "/bench", Type: "debt.paid", Tenant: "default"}
	d := relay.NewDelivery(ev, "wh_01234567890123456789012345", relay.Coordinates{Topic: "debt"}, 1, nil, time.Now())
	record := new(attemptRecord)
	res, next := outbound.Result{Status: 200, Latency: 1234 * time.Microsecond}, Next{Action: ActionSettle}
	b.ReportAllocs()
	for b.Loop() {
		record.fill("relay.attempts", d, 1, res, next)
	}
}
