package retry

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
	"eventrelay/relay/deliver"
	"eventrelay/relay/intake"
)

// Registry is the gate before a due delivery: an instance that is behind the registry offset at which it was matched
// would take its webhook for deleted.
type Registry interface {
	Fresh() bool
	Applied() int64
}

// Dispatcher takes what falls due.
type Dispatcher interface {
	Submit(t *deliver.Task)
	// HandOff hands off the tasks of an assignment that have not begun, Drop forgets them.
	HandOff(owner any)
	Drop(owner any)
}

// Options configure a Wheel. All are required.
type Options struct {
	Topics   relay.Topics
	Journal  *relay.Journal
	Registry Registry
	// Group reads the retry topics; Work, HandOff, Drop, Each and Topics are set by New.
	Group intake.GroupOptions
	// Reject takes records that cannot be decoded: acked when they are kept for an operator.
	Reject     func(rec *kgo.Record, reason string, acked func())
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Wheel is the retry wheel of one process.
type Wheel struct {
	o          Options
	group      *intake.Group
	dispatcher Dispatcher
	clock      *clock
	metrics    wheelMetrics
}

type wheelMetrics struct {
	enqueued, hops, due prometheus.Counter
	late                prometheus.Histogram
}

// New returns a wheel that can Enqueue at once. Dispatcher is set by Run, because the dispatcher needs the wheel.
func New(o Options) (*Wheel, error) {
	w := &Wheel{o: o, clock: newClock(time.Now), metrics: wheelMetrics{
		enqueued: prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_retry_enqueued_total", Help: "Deliveries put on the retry wheel."}),
		hops:     prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_retry_hops_total", Help: "Moves from one delay class to the next."}),
		due:      prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_retry_due_total", Help: "Deliveries that fell due."}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "relay_retry_late_seconds", Help: "How long after its due time a delivery left the wheel.",
			Buckets: []float64{.01, .05, .25, 1, 5, 30, 120, 600}}),
	}}
	o.Registerer.MustRegister(w.metrics.enqueued, w.metrics.hops, w.metrics.due, w.metrics.late)
	g := o.Group
	// All retry topics there are, not only those of today's delays: a delay that was taken out of the configuration
	// leaves deliveries behind.
	g.Topics, g.Pattern = []string{"^" + regexp.QuoteMeta(retryPrefix(o.Topics)) + `[0-9]+(h|m|s|ms)$`}, true
	g.Inbox = inbox
	g.Work = w.work
	g.HandOff = func(a *intake.Assignment) { w.dispatcher.HandOff(a) }
	g.Drop = func(a *intake.Assignment) { w.dispatcher.Drop(a) }
	g.Each = w.trim
	group, err := intake.NewGroup(g)
	if err != nil {
		return nil, err
	}
	w.group = group
	return w, nil
}

// inbox of a retry partition: what waits in memory behind its head. 72 partitions of full inboxes hold 36 MiB.
var inbox = intake.Inbox{Records: 1000, Bytes: 512 << 10, Waiting: true}

// Group is the wheel's consumer group, for readiness.
func (w *Wheel) Group() *intake.Group { return w.group }

// Run delivers what falls due to the dispatcher until ctx ends, then drains.
func (w *Wheel) Run(ctx context.Context, d Dispatcher) error {
	w.dispatcher = d
	return w.group.Run(ctx)
}

// Enqueue writes the delivery to the wheel; acked is called when it is durable.
func (w *Wheel) Enqueue(d *relay.Delivery, wait time.Duration, acked func()) {
	w.metrics.enqueued.Inc()
	w.write(d, wait, acked)
}

func (w *Wheel) write(d *relay.Delivery, wait time.Duration, acked func()) {
	w.o.Journal.Write(&kgo.Record{
		Topic:   w.o.Topics.Retry(classFor(w.o.Topics.Delays, wait)),
		Key:     []byte(d.UID),
		Value:   d.Event.Raw,
		Headers: append(relay.EncodeDelivery(d), relay.WaitHeader(wait)),
	}, acked)
}

// classFor is the largest delay that fits into wait, else the smallest there is. delays rise.
func classFor(delays []time.Duration, wait time.Duration) time.Duration {
	class := delays[0]
	for _, d := range delays {
		if d <= wait {
			class = d
		}
	}
	return class
}

// hop decides what a record does after its class's delay: left is what remains of its wait. It stays in place for a
// small remainder, hops for a large one, and is due when nothing is left. What stays holds up the records behind it,
// so it stays for less than the smallest delay only, which is what a hop would round it up to.
func hop(left, class, smallest time.Duration) (stay time.Duration, hops bool) {
	switch {
	case left <= 0:
		return 0, false
	case left <= min(class/10, smallest):
		return left, false
	default:
		return 0, true
	}
}

const (
	// recheckEvery bounds a wait before the clock is read again.
	recheckEvery = 2 * time.Second
	// registryPatience bounds the wait for a registry offset while the registry is fresh: after twice the time that
	// freshness stands for, the offset is not one of this topic (it was restored from a copy), and waiting for it
	// would hold up the partition for ever.
	registryPatience = time.Minute
)

func (w *Wheel) work(a *intake.Assignment) {
	class := w.classOf(a.Topic)
	for {
		rec, polled, ok := a.NextPolled()
		if !ok {
			return
		}
		entry := a.Ledger.Track(rec)
		if !w.turn(a, class, rec, polled, entry) {
			entry.Abandon() // the assignment ended
			return
		}
	}
}

// turn takes one record through its class. It returns false when the assignment ended first.
func (w *Wheel) turn(a *intake.Assignment, class time.Duration, rec *kgo.Record, polled time.Time, entry *intake.Entry) bool {
	var d *relay.Delivery // nil: its value was left out, so that it is decoded when it is due
	wait, err := relay.Wait(rec)
	if err == nil && !a.LeftOut(rec) {
		d, err = relay.DecodeDelivery(rec)
	}
	if err != nil {
		return w.reject(a, rec, err, entry)
	}
	appended := w.clock.appended(rec.Timestamp, polled)
	if !w.sleep(a.Context(), class, appended) {
		return false
	}
	left := wait - max(class, w.clock.Now().Sub(appended))
	stay, hops := hop(left, class, w.o.Topics.Delays[0])
	if stay > 0 && !w.sleep(a.Context(), class+stay, appended) {
		return false
	}
	done, release := entry.Settle, func() {}
	if d == nil { // it waits for room only now, so that no room waits for it
		if rec, release, err = a.Whole(rec); err != nil {
			return false // the assignment ended
		}
		done = func() { release(); entry.Settle() }
		if d, err = relay.DecodeDelivery(rec); err != nil {
			return w.rejectWhole(rec, err, done)
		}
	}
	if hops {
		w.metrics.hops.Inc()
		w.write(d, left, done)
		return true
	}
	if !w.registryKnows(a.Context(), d) {
		release()
		return false
	}
	w.metrics.due.Inc()
	w.metrics.late.Observe(max(0, w.clock.Now().Sub(appended)-max(wait, class)).Seconds())
	w.dispatcher.Submit(&deliver.Task{
		Delivery: d, Share: deliver.Backlog, Owner: a, Context: a.Attempts(), Done: done,
	})
	return true
}

// reject keeps a record that cannot be decoded for an operator, whole. It returns false when the assignment ended first.
func (w *Wheel) reject(a *intake.Assignment, rec *kgo.Record, why error, entry *intake.Entry) bool {
	whole, release, err := a.Whole(rec)
	if err != nil {
		return false
	}
	return w.rejectWhole(whole, why, func() { release(); entry.Settle() })
}

func (w *Wheel) rejectWhole(rec *kgo.Record, why error, done func()) bool {
	w.o.Log.Error("retry_record_rejected", "topic", rec.Topic, "partition", rec.Partition, "offset", rec.Offset, "err", why)
	w.o.Reject(rec, "bad_retry_record", done)
	return true
}

// sleep waits until d has passed since the append, and never longer than d by the monotonic clock: nothing that a clock
// does can strand a partition.
func (w *Wheel) sleep(ctx context.Context, d time.Duration, appended time.Time) bool {
	for begun := time.Now(); ; {
		left := min(appended.Add(d).Sub(w.clock.Now()), d-time.Since(begun))
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(min(left, recheckEvery))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// registryKnows waits until this instance knows what the delivery was matched against.
func (w *Wheel) registryKnows(ctx context.Context, d *relay.Delivery) bool {
	if w.o.Registry.Fresh() && w.o.Registry.Applied() >= d.MatchedAt {
		return ctx.Err() == nil
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for freshSince := time.Now(); ; {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		switch {
		case !w.o.Registry.Fresh():
			freshSince = time.Now()
		case w.o.Registry.Applied() >= d.MatchedAt:
			return true
		case time.Since(freshSince) >= registryPatience:
			w.o.Log.Warn("registry_offset_unknown", "delivery_id", d.ID, "uid", d.UID, "matched_at", d.MatchedAt, "applied", w.o.Registry.Applied(),
				"hint", "the webhooks topic ends before it: was it restored or recreated?")
			return true
		}
	}
}

func retryPrefix(t relay.Topics) string { return t.Prefix + "retry." }

// classOf reads the delay of a retry topic from its name; the group's pattern takes only names that have one.
func (w *Wheel) classOf(topic string) time.Duration {
	delay, err := time.ParseDuration(strings.TrimPrefix(topic, retryPrefix(w.o.Topics)))
	if err != nil {
		panic("retry: not a retry topic: " + topic)
	}
	return delay
}

// trim deletes what lies below the committed offsets of the partitions held.
func (w *Wheel) trim(ctx context.Context, admin *kadm.Client, committed map[string]map[int32]kgo.EpochOffset) {
	offsets := kadm.Offsets{}
	for topic, parts := range committed {
		for num, at := range parts {
			if at.Offset > 0 {
				offsets.Add(kadm.Offset{Topic: topic, Partition: num, At: at.Offset})
			}
		}
	}
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, fmt.Errorf("trim took longer than 10s"))
	defer cancel()
	responses, err := admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = responses.Error()
	}
	if err != nil && ctx.Err() == nil {
		w.o.Log.Warn("trim_failed", "err", err, "hint", "the relay needs the Delete permission on its retry topics; they grow until it can trim them")
	}
}
