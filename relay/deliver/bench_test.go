package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/outbound"
)

// BenchmarkDispatcher_Submit is the way of a delivery into its lane, and out of it again. Contended is that of a full
// window with two tenants, as intake meets it.
func BenchmarkDispatcher_Submit(b *testing.B) {
	for _, contended := range []bool{false, true} {
		b.Run(fmt.Sprintf("contended=%v", contended), func(b *testing.B) {
			s := &stores{webhooks: map[string]*catalog.Webhook{}, suspended: map[string]*catalog.Suspension{}}
			held := make(chan struct{})
			hung := sender(func(context.Context, *outbound.Request) outbound.Result {
				<-held
				return outbound.Result{Status: 200}
			})
			d := New(Options{Webhooks: s, Client: hung, Retry: s, Divert: s, Attempts: noAttempts{}, Contended: func() bool { return contended },
				Share: 1 << 30, Room: 1 << 30, SmallestDelay: 5 * time.Second, HandOffAfter: 24 * time.Hour, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
			bench := &bench{stores: s, d: d}
			for i := range 64 {
				bench.webhook(fmt.Sprint("w", i), "https://example.com", func(w *catalog.Webhook) { w.Delivery.Concurrency = 1; w.Tenant = fmt.Sprint(i % 2) })
				bench.submit(fmt.Sprint("w", i), func(t *Task) { t.Owner = "the attempt under way" })
			}
			ev := &catalog.Event{ID: "e", Source: "/s", Type: "debt.paid", Raw: []byte(`{}`)}
			tasks := make([]*Task, 64)
			now := time.Now()
			for i := range tasks {
				tasks[i] = &Task{Delivery: &relay.Delivery{Event: ev, UID: fmt.Sprint("w", i), Read: now, Deadline: now.Add(24 * time.Hour)}, Owner: d, Context: context.Background(), Done: func() {}}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d.Submit(tasks[i%64])
				if i%64 == 63 {
					d.Drop(d)
				}
			}
			close(held)
			_ = d.Close(context.Background())
		})
	}
}

// BenchmarkDispatcher_Sweep is what all endpoints cost four times a second.
func BenchmarkDispatcher_Sweep(b *testing.B) {
	for _, contended := range []bool{false, true} {
		b.Run(fmt.Sprintf("lanes=10000/contended=%v", contended), func(b *testing.B) {
			d := New(Options{Contended: func() bool { return contended }, Share: 1000, Room: 10_000, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
			for i := range 10_000 {
				d.lane(fmt.Sprint("w/", i), fmt.Sprint(i%100)).lastUsed = time.Now().Add(time.Hour)
			}
			b.ReportAllocs()
			for b.Loop() {
				d.sweep(time.Now())
			}
		})
	}
}
