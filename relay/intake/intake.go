package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver"
	"eventrelay/relay/intake/envelope"
	"eventrelay/relay/match"
)

// Registry is the gate before a match: while the subscriptions cannot be confirmed fresh, an event that nobody seems
// to want may be wanted.
type Registry interface {
	Fresh() bool
	Applied() int64
}

// Options configure an Intake. All but Alert are required.
type Options struct {
	// Group reads the domain topics; Work, HandOff, Drop and Window are set by New.
	Group      GroupOptions
	Limits     Limits
	Decoder    *envelope.Decoder
	Index      *match.Index
	Registry   Registry
	Dispatcher *deliver.Dispatcher
	Rejecter   *Rejecter
	// Alert gives the alert that follows from an event of the relay's own, or nil. Optional.
	Alert      func(rec *kgo.Record, ev *catalog.Event, src relay.Coordinates, now time.Time) *relay.Delivery
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Intake reads the domain topics and submits a delivery for each webhook that wants an event.
type Intake struct {
	o       Options
	window  *Window
	group   *Group
	metrics intakeMetrics
}

type intakeMetrics struct {
	events   *prometheus.CounterVec
	unlisted prometheus.Counter
	matched  prometheus.Counter
}

func newIntakeMetrics(reg prometheus.Registerer) intakeMetrics {
	m := intakeMetrics{
		events:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_events_total", Help: "Records read, by what they were: event, tombstone or rejected."}, []string{"kind"}),
		unlisted: prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_events_unlisted_total", Help: "Events of a type that the catalog does not list."}),
		matched:  prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_matches_total", Help: "Deliveries made of events."}),
	}
	reg.MustRegister(m.events, m.unlisted, m.matched)
	return m
}

// NewIntake returns an intake that does nothing until Run. window is the one that the dispatcher asks whether it is
// contended.
func NewIntake(o Options, window *Window) (*Intake, error) {
	in := &Intake{o: o, window: window, metrics: newIntakeMetrics(o.Registerer)}
	g := o.Group
	g.Window = window
	g.Work = in.work
	g.HandOff = func(a *Assignment) { o.Dispatcher.HandOff(a) }
	g.Drop = func(a *Assignment) { o.Dispatcher.Drop(a) }
	group, err := NewGroup(g)
	if err != nil {
		return nil, err
	}
	in.group = group
	return in, nil
}

// Group is the intake's consumer group, for readiness.
func (in *Intake) Group() *Group { return in.group }

// Run reads until ctx ends, then drains.
func (in *Intake) Run(ctx context.Context) error { return in.group.Run(ctx) }

func (in *Intake) work(a *Assignment) {
	for {
		rec, ok := a.Next()
		if !ok {
			return
		}
		detach(rec)
		entry := a.Ledger.Track(rec)
		if !in.whenFresh(a.Context()) || !in.process(a, entry, rec) {
			entry.Abandon() // the assignment ended
			return
		}
		entry.Settle()
	}
}

// process makes the deliveries of one record. It returns false when the assignment ended before all were made.
func (in *Intake) process(a *Assignment, entry *Entry, rec *kgo.Record) bool {
	ev, err := in.o.Decoder.Decode(rec)
	var reject *envelope.RejectError
	switch {
	case errors.Is(err, envelope.ErrTombstone):
		in.metrics.events.WithLabelValues("tombstone").Inc()
		return true
	case errors.As(err, &reject):
		in.metrics.events.WithLabelValues("rejected").Inc()
		entry.Hold(1)
		in.o.Rejecter.Reject(rec, string(reject.Reason), reject.Detail, entry.Settle)
		return true
	case err != nil:
		in.metrics.events.WithLabelValues("rejected").Inc()
		entry.Hold(1)
		in.o.Rejecter.Reject(rec, "undecodable", err.Error(), entry.Settle)
		return true
	}
	in.metrics.events.WithLabelValues("event").Inc()
	if _, listed := catalog.LookupEventType(ev.Type); !listed {
		in.metrics.unlisted.Inc()
	}
	in.alert(a, entry, rec, ev)
	return in.expand(a, entry, rec, ev)
}

const (
	// expandChunk is how many deliveries are made at a time: an event that all webhooks want enters the window in
	// pieces.
	expandChunk = 64
	// expandAfterEnd bounds how many deliveries of a half expanded event are handed off when the assignment ends.
	expandAfterEnd = 10_000
)

// alert hands the alert that follows from an event to the retry wheel, where it waits until this instance knows the
// webhook. It is not part of the window: a suspension makes one.
func (in *Intake) alert(a *Assignment, entry *Entry, rec *kgo.Record, ev *catalog.Event) {
	if in.o.Alert == nil {
		return
	}
	src := relay.Coordinates{Topic: rec.Topic, TopicID: a.TopicID, Partition: rec.Partition, Offset: rec.Offset}
	if d := in.o.Alert(rec, ev, src, time.Now()); d != nil {
		entry.Hold(1)
		in.o.Dispatcher.Postpone(&deliver.Task{Delivery: d, Share: deliver.Fresh, Owner: a, Context: a.Attempts(), Done: entry.Settle})
	}
}

// expand makes a delivery for each webhook that wants the event, as the window has room.
func (in *Intake) expand(a *Assignment, entry *Entry, rec *kgo.Record, ev *catalog.Event) bool {
	src := relay.Coordinates{Topic: rec.Topic, TopicID: a.TopicID, Partition: rec.Partition, Offset: rec.Offset}
	candidates := in.o.Index.Match(ev)
	applied := in.o.Registry.Applied()
	var room [expandChunk]*deliver.Task // on the stack: most events make one delivery
	chunk := room[:0]
	submitted, afterEnd := false, 0
	for {
		chunk = chunk[:0]
		for len(chunk) < min(expandChunk, in.o.Limits.Deliveries) {
			sub, err := candidates.Next()
			if sub == nil {
				break
			}
			ev.CheckData() // while nobody else has the event
			w := sub.Webhook
			d := relay.NewDelivery(ev, w.UID, src, max(applied, sub.Known), w.Retry.Schedule(), time.Now())
			chunk = append(chunk, &deliver.Task{Delivery: d, Share: deliver.Fresh, Owner: a, Context: a.Attempts(), Refused: err})
		}
		if len(chunk) == 0 {
			return true
		}
		in.metrics.matched.Add(float64(len(chunk)))
		if afterEnd == 0 && in.window.acquire(a.Context(), len(chunk)) == nil {
			submitted = true
			entry.Hold(len(chunk))
			for _, t := range chunk {
				t.Done = func() {
					in.window.release(1)
					entry.Settle()
				}
				in.o.Dispatcher.Submit(t)
			}
			continue
		}
		// The assignment ended in the middle of an event. If what was made of it has been delivered, reading it
		// again would repeat that; so the rest is handed off, within reason.
		afterEnd += len(chunk)
		if !submitted || afterEnd > expandAfterEnd || errors.Is(context.Cause(a.Context()), ErrLost) {
			return false
		}
		entry.Hold(len(chunk))
		for _, t := range chunk {
			t.Done = entry.Settle
			in.o.Dispatcher.Postpone(t)
		}
	}
}

// whenFresh waits until the subscriptions are confirmed fresh. It returns false when the assignment ended.
func (in *Intake) whenFresh(ctx context.Context) bool {
	if in.o.Registry.Fresh() {
		return ctx.Err() == nil
	}
	in.o.Log.Warn("intake_waits", "reason", "the subscriptions cannot be confirmed fresh", "hint", "is the webhooks topic readable?")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
			if in.o.Registry.Fresh() {
				return true
			}
		}
	}
}

// Rejecter keeps undecodable records for an operator: bytes, coordinates and reason.
type Rejecter struct {
	journal  *relay.Journal
	topic    string
	maxBytes int
	log      *slog.Logger
	rejected *prometheus.CounterVec
}

// NewRejecter writes to topic. A record larger than maxBytes is kept as coordinates and reason only.
func NewRejecter(journal *relay.Journal, topic string, maxBytes int, log *slog.Logger, reg prometheus.Registerer) *Rejecter {
	r := &Rejecter{journal: journal, topic: topic, maxBytes: maxBytes, log: log, rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "relay_rejected_total", Help: "Records that could not be decoded, by reason."}, []string{"reason"})}
	reg.MustRegister(r.rejected)
	return r
}

// Headers of a rejected record.
const (
	HeaderReason = relay.HeaderReason
	HeaderDetail = relay.HeaderDetail
	HeaderSource = relay.HeaderSource // topic/partition/offset
)

// Reject keeps a record; acked is called when it is durable.
func (r *Rejecter) Reject(rec *kgo.Record, reason, detail string, acked func()) {
	r.rejected.WithLabelValues(reason).Inc()
	source := fmt.Sprintf("%s/%d/%d", rec.Topic, rec.Partition, rec.Offset)
	r.log.Warn("record_rejected", "topic", rec.Topic, "partition", rec.Partition, "offset", rec.Offset, "reason", reason, "detail", detail)
	kept := &kgo.Record{Topic: r.topic, Key: []byte(source), Headers: []kgo.RecordHeader{
		{Key: HeaderReason, Value: []byte(reason)}, {Key: HeaderDetail, Value: []byte(detail)}, {Key: HeaderSource, Value: []byte(source)},
	}}
	if int(recordBytes(rec)) <= r.maxBytes {
		kept.Value = rec.Value
		var size int
		for _, h := range rec.Headers {
			if size += len(h.Key) + len(h.Value); size > relay.EnvelopeBytes/2 {
				break
			}
			kept.Headers = append(kept.Headers, h)
		}
	}
	r.journal.Write(kept, acked)
}
