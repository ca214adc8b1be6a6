package announce

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay/deliver"
	"eventrelay/relay/deliver/breaker"
)

// Producer is the part of kgo.Client that best-effort events are written with.
type Producer interface {
	TryProduce(ctx context.Context, rec *kgo.Record, promise func(*kgo.Record, error))
}

// Options of an Announcer. All are required.
type Options struct {
	Producer   Producer
	Topic      string
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

const (
	// notes that wait for the announcer: about 200 B each, 2 MiB in all. A storm of failures comes to some 10 000 a
	// second; the announcer takes in a million.
	noteBuffer = 10_000
	// coalesceFor is what the counts of diverted events cover.
	coalesceFor = time.Minute
	// countEvery is how often the announcer looks for minutes that are over.
	countEvery = time.Second
	// countsMost bounds the webhooks with a count under way: about 300 B each, 30 MiB in all.
	countsMost = 100_000
	// stopWait bounds how long the last events wait for Kafka at the end.
	stopWait = 2 * time.Second
)

// Announcer writes the best-effort events. Its methods may be called from anywhere and never block.
type Announcer struct {
	o       Options
	notes   chan note
	pending atomic.Int64 // records on their way
	written *prometheus.CounterVec
	shed    prometheus.Counter

	// Of the Run goroutine.
	failing  *failing
	diverted map[string]*divertedCount // by uid
}

// note is one thing that happened; exactly one of the fields below at is set.
type note struct {
	webhook  *catalog.Webhook // nil for a change of a breaker
	endpoint string
	at       time.Time

	diverted string // the reason
	failed   string // the last failure
	change   *breaker.Change
	expired  *expiredData
}

type divertedCount struct {
	webhook *catalog.Webhook
	since   time.Time
	count   int
	reasons map[string]int
}

// New returns an announcer that keeps notes until Run.
func New(o Options) *Announcer {
	a := &Announcer{o: o, notes: make(chan note, noteBuffer), failing: newFailing(), diverted: map[string]*divertedCount{},
		written: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_own_events_total",
			Help: "The relay's own events that were written, by type; those of suspensions are counted by the registry's writes."}, []string{"type"}),
		shed: prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_own_events_shed_total",
			Help: "Observations and events of the relay's own that were dropped because there was no room, or because Kafka refused them."})}
	for _, t := range []string{TypeFailing, TypeRecovered, TypeDiverted, TypeExpired} {
		a.written.WithLabelValues(t)
	}
	o.Registerer.MustRegister(a.written, a.shed)
	return a
}

// Report takes in the outcome of a delivery. It costs nothing for one that succeeded.
func (a *Announcer) Report(r deliver.Report) {
	if r.Next.Action == deliver.ActionSettle || r.Webhook == nil || r.Task.Delivery.Alert != nil || r.Task.Delivery.Event.Domain == catalog.DomainRelay {
		return
	}
	if failed := r.Attempt > 0 && r.Endpoint != "" && (r.Result.Status == 0 || r.Result.Status >= 500); failed {
		a.send(note{webhook: r.Webhook, endpoint: r.Endpoint, at: r.At, failed: r.Task.Delivery.LastError})
	}
	if r.Next.Action == deliver.ActionDivert || r.Next.Action == deliver.ActionSuspend {
		a.send(note{webhook: r.Webhook, at: r.At, diverted: string(r.Next.Reason)})
	}
}

// Breaker takes in a change of an endpoint's breaker.
func (a *Announcer) Breaker(endpoint string, c breaker.Change) {
	a.send(note{endpoint: endpoint, at: time.Now(), change: &c})
}

// Expired announces that count diverted events of a webhook were older than their retention and are gone; oldest is when
// the first of them was diverted. Of a webhook that was deleted, uid and tenant are enough.
func (a *Announcer) Expired(w *catalog.Webhook, count int, oldest time.Time) {
	now := time.Now()
	a.send(note{webhook: w, at: now, expired: &expiredData{Webhook: refOf(w), At: now.UTC(), Count: count, Oldest: oldest.UTC()}})
}

func (a *Announcer) send(n note) {
	select {
	case a.notes <- n:
	default:
		a.shed.Inc()
	}
}

// Run writes events until ctx ends, then what it has counted, and waits a moment for Kafka to take it.
func (a *Announcer) Run(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case n := <-a.notes:
			a.take(ctx, n)
		case now := <-tick.C:
			a.count(ctx, now, coalesceFor)
			a.failing.forget(now)
		case <-ctx.Done():
			a.finish(context.WithoutCancel(ctx))
			return
		}
	}
}

// finish takes in what was sent before the end and writes all counts.
func (a *Announcer) finish(ctx context.Context) {
	for {
		select {
		case n := <-a.notes:
			a.take(ctx, n)
			continue
		default:
		}
		break
	}
	a.count(ctx, time.Now(), 0)
	deadline := time.NewTimer(stopWait)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for a.pending.Load() > 0 {
		select {
		case <-poll.C:
		case <-deadline.C:
			a.o.Log.Warn("own_events_unwritten", "events", a.pending.Load(), "waited", stopWait.String())
			return
		}
	}
}

func (a *Announcer) take(ctx context.Context, n note) {
	switch {
	case n.diverted != "":
		c := a.diverted[n.webhook.UID]
		if c == nil {
			if len(a.diverted) >= countsMost {
				a.shed.Inc()
				return
			}
			c = &divertedCount{since: n.at, reasons: map[string]int{}}
			a.diverted[n.webhook.UID] = c
		}
		c.webhook = n.webhook
		c.count++
		c.reasons[n.diverted]++
	case n.change != nil:
		a.announce(ctx, n.endpoint, n.at, a.failing.changed(n.endpoint, *n.change, n.at))
	case n.expired != nil:
		a.write(ctx, TypeExpired, n.webhook, n.at, *n.expired)
	default:
		a.announce(ctx, n.endpoint, n.at, a.failing.attemptFailed(n.endpoint, failure{webhook: n.webhook, at: n.at, last: n.failed}))
	}
}

func (a *Announcer) announce(ctx context.Context, endpoint string, at time.Time, list []transition) {
	for _, t := range list {
		eventType := TypeFailing
		if t.recovered {
			eventType = TypeRecovered
		}
		a.write(ctx, eventType, t.webhook, at, failingData{Webhook: refOf(t.webhook), At: at.UTC(), Endpoint: endpoint, Reason: string(t.reason), LastFailure: t.last})
	}
}

// count writes the counts that cover so much time.
func (a *Announcer) count(ctx context.Context, now time.Time, covered time.Duration) {
	for _, uid := range slices.Collect(maps.Keys(a.diverted)) {
		c := a.diverted[uid]
		if now.Sub(c.since) < covered {
			continue
		}
		delete(a.diverted, uid)
		a.write(ctx, TypeDiverted, c.webhook, now, divertedData{Webhook: refOf(c.webhook), At: now.UTC(), Since: c.since.UTC(), Count: c.count, Reasons: c.reasons})
	}
}

// write gives an event to the producer, if that has room.
func (a *Announcer) write(ctx context.Context, eventType string, w *catalog.Webhook, at time.Time, data any) {
	a.pending.Add(1)
	rec := record(a.o.Topic, eventType, catalog.NewUID("evt_"), w, at, data)
	// The context without its end: an event that waits to be written outlives Run by stopWait at most.
	a.o.Producer.TryProduce(context.WithoutCancel(ctx), rec, func(_ *kgo.Record, err error) {
		a.pending.Add(-1)
		if err != nil {
			a.shed.Inc()
			a.o.Log.Debug("own_event_shed", "type", eventType, "uid", w.UID, "err", fmt.Sprint(err))
			return
		}
		a.written.WithLabelValues(eventType).Inc()
	})
}
