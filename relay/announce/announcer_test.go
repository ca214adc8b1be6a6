package announce

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
)

// broker takes what is produced, or refuses it, or keeps it waiting.
type broker struct {
	mu      sync.Mutex
	records []*kgo.Record
	refuse  error
	hold    bool
}

func (b *broker) TryProduce(_ context.Context, rec *kgo.Record, promise func(*kgo.Record, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hold {
		return
	}
	if b.refuse == nil {
		b.records = append(b.records, rec)
	}
	promise(rec, b.refuse)
}

// events are what was written, as intake reads it, by type.
func (b *broker) events(t *testing.T) map[string][]*catalog.Event {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	events := map[string][]*catalog.Event{}
	for _, rec := range b.records {
		ev := decoded(t, rec)
		require.Equal(t, "acme", ev.Tenant)
		events[ev.Type] = append(events[ev.Type], ev)
	}
	return events
}

// counted reads a counter.
func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	require.NoError(t, c.Write(&m))
	return m.GetCounter().GetValue()
}

// runAnnouncer starts an announcer, which stop ends.
func runAnnouncer(t *testing.T, b *broker) (a *Announcer, stop func()) {
	t.Helper()
	a = New(Options{Producer: b, Topic: topic, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { a.Run(ctx) })
	return a, func() { cancel(); running.Wait() }
}

func outcome(uid string, action deliver.Action, reason divert.Reason, edit func(*deliver.Report)) deliver.Report {
	r := deliver.Report{At: time.Now(), Webhook: webhook(uid), Attempt: 1, Endpoint: endpoint, Result: outbound.Result{Status: 503},
		Next: deliver.Next{Action: action, Reason: reason},
		Task: &deliver.Task{Delivery: &relay.Delivery{UID: uid, Event: &catalog.Event{Domain: "claim", Tenant: "acme"}, LastError: "status 503"}}}
	if edit != nil {
		edit(&r)
	}
	return r
}

func TestAnnouncer_CountsDivertedByTheMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		a, stop := runAnnouncer(t, b)
		for range 1000 {
			a.Report(outcome("wh_1", deliver.ActionDivert, divert.ReasonExhausted, nil))
		}
		a.Report(outcome("wh_1", deliver.ActionSuspend, divert.ReasonGone, nil))
		a.Report(outcome("wh_2", deliver.ActionDivert, divert.ReasonFormat, func(r *deliver.Report) { r.Attempt = 0 }))
		<-time.After(coalesceFor - 2*countEvery)
		require.Empty(t, b.events(t)[TypeDiverted])
		<-time.After(3 * countEvery)
		events := b.events(t)[TypeDiverted]
		require.Len(t, events, 2, "one for each webhook")
		counts := map[string]string{}
		for _, ev := range events {
			data := gjson.ParseBytes(ev.Data)
			counts[ev.Subject] = data.Get("count").Raw + " " + data.Get("reasons").Raw
		}
		require.Equal(t, map[string]string{"wh_1": `1001 {"exhausted":1000,"gone":1}`, "wh_2": `1 {"format":1}`}, counts)

		a.Report(outcome("wh_1", deliver.ActionDivert, divert.ReasonSuspended, nil))
		stop()
		require.Len(t, b.events(t)[TypeDiverted], 3, "what was counted is written at the end")
	})
}

func TestAnnouncer_FailingAndRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		a, stop := runAnnouncer(t, b)
		defer stop()
		a.Report(outcome("wh_1", deliver.ActionRetry, "", nil))
		a.Report(outcome("alive", deliver.ActionRetry, "", func(r *deliver.Report) { r.Result.Status = 404 }))
		a.Breaker(endpoint, breaker.Change{Seq: 1, To: breaker.Open, Reason: breaker.ReasonConsecutive})
		synctest.Wait()
		events := b.events(t)[TypeFailing]
		require.Len(t, events, 1)
		require.Equal(t, "wh_1", events[0].Subject)
		require.Equal(t, endpoint, gjson.GetBytes(events[0].Data, "endpoint").Str)
		require.Equal(t, "status 503", gjson.GetBytes(events[0].Data, "lastFailure").Str)
		a.Breaker(endpoint, breaker.Change{Seq: 2, To: breaker.Closed, Reason: breaker.ReasonProbeAlive})
		a.Expired(webhook("wh_1"), 7, start)
		synctest.Wait()
		require.Len(t, b.events(t)[TypeRecovered], 1)
		require.Equal(t, "7", gjson.GetBytes(b.events(t)[TypeExpired][0].Data, "count").Raw)
		require.EqualValues(t, 1, counted(t, a.written.WithLabelValues(TypeExpired)))
	})
}

// TestAnnouncer_SaysNothingOfItself: deliveries of the relay's own events and of alerts are not observed, nor is success.
func TestAnnouncer_SaysNothingOfItself(t *testing.T) {
	a := New(Options{Producer: &broker{}, Topic: topic, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	a.Report(outcome("w", deliver.ActionDivert, divert.ReasonExhausted, func(r *deliver.Report) { r.Task.Delivery.Event.Domain = catalog.DomainRelay }))
	a.Report(outcome("w", deliver.ActionDivert, divert.ReasonExhausted, func(r *deliver.Report) { r.Task.Delivery.Alert = &relay.Alert{} }))
	a.Report(outcome("w", deliver.ActionDivert, divert.ReasonExhausted, func(r *deliver.Report) { r.Webhook = nil }))
	a.Report(outcome("w", deliver.ActionSettle, "", nil))
	require.Empty(t, a.notes)
}

// TestAnnouncer_NeverWaits: what there is no room for is counted, whether it is the announcer or Kafka that is behind.
func TestAnnouncer_NeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{refuse: errors.New("no")}
		a := New(Options{Producer: b, Topic: topic, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
		for range noteBuffer + 5 { // nobody runs
			a.Expired(webhook("w"), 1, start)
		}
		require.EqualValues(t, 5, counted(t, a.shed))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a.Run(ctx)
		require.EqualValues(t, noteBuffer+5, counted(t, a.shed))

		b.hold = true // Kafka is away: the end does not wait for it for long
		a.Expired(webhook("w"), 1, start)
		begun := time.Now()
		a.Run(ctx)
		require.Equal(t, stopWait, time.Since(begun))
	})
}
