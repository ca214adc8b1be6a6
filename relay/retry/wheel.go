package retry

import (
	"context"
	"fmt"
	"log/slog"
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
	dispatcher *deliver.Dispatcher
	metrics    wheelMetrics
}

type wheelMetrics struct {
	enqueued, hops, due prometheus.Counter
	late                prometheus.Histogram
}

// New returns a wheel that can Enqueue at once. Dispatcher is set by Run, because the dispatcher needs the wheel.
func New(o Options) (*Wheel, error) {
	w := &Wheel{o: o, metrics: wheelMetrics{
		enqueued: prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_retry_enqueued_total", Help: "Deliveries put on the retry wheel."}),
		hops:     prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_retry_hops_total", Help: "Moves from one delay class to the next."}),
		due:      prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_retry_due_total", Help: "Deliveries that fell due."}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "relay_retry_late_seconds", Help: "How long after its due time a delivery left the wheel.",
			Buckets: []float64{.01, .05, .25, 1, 5, 30, 120, 600}}),
	}}
	o.Registerer.MustRegister(w.metrics.enqueued, w.metrics.hops, w.metrics.due, w.metrics.late)
	g := o.Group
	g.Topics = o.Topics.RetryAll()
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

// Group is the wheel's consumer group, for readiness.
func (w *Wheel) Group() *intake.Group { return w.group }

// Run delivers what falls due to the dispatcher until ctx ends, then drains.
func (w *Wheel) Run(ctx context.Context, d *deliver.Dispatcher) error {
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
// small remainder, hops for a large one, and is due when nothing is left.
func hop(left, class time.Duration) (stay time.Duration, hops bool) {
	switch {
	case left <= 0:
		return 0, false
	case left <= class/10:
		return left, false
	default:
		return 0, true
	}
}

// recheckEvery bounds a wait before the clock is read again.
const recheckEvery = 2 * time.Second

func (w *Wheel) work(a *intake.Assignment) {
	class := w.classOf(a.Topic)
	for {
		rec, ok := a.Next()
		if !ok {
			return
		}
		entry := a.Ledger.Track(rec)
		if !w.turn(a, class, rec, entry) {
			entry.Abandon() // the assignment ended
			return
		}
	}
}

// turn takes one record through its class. It returns false when the assignment ended first.
func (w *Wheel) turn(a *intake.Assignment, class time.Duration, rec *kgo.Record, entry *intake.Entry) bool {
	d, err := relay.DecodeDelivery(rec)
	var wait time.Duration
	if err == nil {
		wait, err = relay.Wait(rec)
	}
	if err != nil {
		w.o.Log.Error("retry_record_rejected", "topic", rec.Topic, "partition", rec.Partition, "offset", rec.Offset, "err", err)
		w.o.Reject(rec, "bad_retry_record", entry.Settle)
		return true
	}
	if !sleep(a.Context(), class, rec.Timestamp) {
		return false
	}
	left := wait - max(class, time.Since(rec.Timestamp))
	stay, hops := hop(left, class)
	if hops {
		w.metrics.hops.Inc()
		w.write(d, left, entry.Settle)
		return true
	}
	if stay > 0 && !sleep(a.Context(), class+stay, rec.Timestamp) {
		return false
	}
	if !w.registryKnows(a.Context(), d) {
		return false
	}
	w.metrics.due.Inc()
	w.metrics.late.Observe(max(0, time.Since(rec.Timestamp)-max(wait, class)).Seconds())
	w.dispatcher.Submit(&deliver.Task{
		Delivery: d, Share: deliver.Backlog, Owner: a, Context: a.Attempts(), Done: entry.Settle,
	})
	return true
}

// sleep waits until d has passed since the append, as the wall clock has it, and never longer than d by the
// monotonic one: a clock that jumped back cannot strand a partition.
func sleep(ctx context.Context, d time.Duration, appended time.Time) bool {
	begun := time.Now()
	for {
		now := time.Now()
		left := min(appended.Add(d).Sub(now), d-now.Sub(begun))
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
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
			if w.o.Registry.Fresh() && w.o.Registry.Applied() >= d.MatchedAt {
				return true
			}
		}
	}
}

func (w *Wheel) classOf(topic string) time.Duration {
	for _, d := range w.o.Topics.Delays {
		if w.o.Topics.Retry(d) == topic {
			return d
		}
	}
	panic("retry: not a retry topic: " + topic) // the group reads only RetryAll
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
