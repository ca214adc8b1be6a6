package deliver

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
)

// forced is an operator's decision about every endpoint of a test.
type forced struct{ atomic.Value }

func (f *forced) state(string) catalog.BreakerState {
	s, _ := f.Load().(catalog.BreakerState)
	return s
}

// TestDispatcher_ForcedOpenForAnHour: no attempt is made and none is spent, deadlines apply, and when it is closed the
// backlog drains at the pace of the slow start.
func TestDispatcher_ForcedOpenForAnHour(t *testing.T) {
	var g gauge
	order := &forced{}
	order.Store(catalog.BreakerOpen)
	send := func(ctx context.Context, r *outbound.Request) outbound.Result {
		g.begin()
		defer g.end()
		return answers(ctx, r, 200, 100*time.Millisecond)
	}
	virtual(t, send, func(o *Options) { o.Forced = order.state }, func(t *testing.T, b *bench, w *wheel) {
		b.webhook("w", "https://example.com", func(w *catalog.Webhook) { w.Delivery.Concurrency = 16 })
		const pending = 300
		var tasks []*Task
		for range pending {
			tasks = append(tasks, b.submit("w", nil))
		}
		late := b.submit("w", func(task *Task) { task.Delivery.Deadline = time.Now().Add(30 * time.Minute) })
		pass(time.Hour)
		attempts, _ := g.take()
		require.Zero(t, attempts)
		for _, task := range tasks {
			require.Zero(t, task.Delivery.Attempts)
			require.GreaterOrEqual(t, task.Delivery.Postponed, 15, "every two or three minutes")
		}
		require.Equal(t, []divert.Why{{Reason: divert.ReasonDeadline}}, b.diverted, "an open breaker outlives no deadline")
		require.Zero(t, late.Delivery.Attempts)
		require.Less(t, w.enqueued(), pending*30)

		list, complete := b.d.Breakers(10)
		require.True(t, complete)
		require.Equal(t, []catalog.BreakerStatus{{Endpoint: "w:w", State: "open", Reason: "operator_opened", Since: list[0].Since}}, list)

		order.Store(catalog.BreakerClosed)
		b.d.Follow("w/w")
		var peaks []int
		delivered := 0
		for range 240 {
			pass(time.Second)
			attempts, peak := g.take()
			delivered += attempts
			if attempts > 0 && len(peaks) < 3 {
				peaks = append(peaks, peak)
			}
		}
		require.Equal(t, pending, delivered)
		require.LessOrEqual(t, peaks[0], 2, "one at a time first")
	})
}

// TestDispatcher_ForcedOpenStopsWhatIsQueued: a decision that comes while deliveries wait in the lane.
func TestDispatcher_ForcedOpenStopsWhatIsQueued(t *testing.T) {
	var g gauge
	order := &forced{}
	send := func(ctx context.Context, r *outbound.Request) outbound.Result {
		g.begin()
		defer g.end()
		return answers(ctx, r, 200, time.Second)
	}
	virtual(t, send, func(o *Options) { o.Forced = order.state }, func(t *testing.T, b *bench, w *wheel) {
		b.webhook("w", "https://example.com", func(w *catalog.Webhook) { w.Delivery.Concurrency = 1 })
		for range 4 {
			b.submit("w", nil)
		}
		pass(time.Millisecond)
		order.Store(catalog.BreakerOpen)
		b.d.Follow("w/w")
		pass(sweepEvery)
		require.Equal(t, 3, w.enqueued(), "handed off within a sweep")
		pass(9 * time.Minute)
		attempts, _ := g.take()
		require.Equal(t, 1, attempts, "the one that was under way")

		order.Store(catalog.BreakerState(""))
		b.d.Follow("w/w")
		pass(10 * time.Minute)
		attempts, _ = g.take()
		require.Equal(t, 3, attempts)
	})
}

func TestDispatcher_ForcedClosedNeverTrips(t *testing.T) {
	var g gauge
	order := &forced{}
	order.Store(catalog.BreakerClosed)
	send := func(ctx context.Context, r *outbound.Request) outbound.Result {
		g.begin()
		defer g.end()
		return answers(ctx, r, 500, time.Millisecond)
	}
	virtual(t, send, func(o *Options) { o.Forced = order.state }, func(t *testing.T, b *bench, _ *wheel) {
		b.webhook("w", "https://example.com", nil)
		for range 50 {
			b.submit("w", nil)
		}
		b.d.Advise("w/w", breaker.Advice{To: breaker.Open, Wait: time.Minute})
		pass(5 * time.Minute)
		attempts, _ := g.take()
		require.Equal(t, 50*4, attempts, "each at once and after 5 s, 30 s and 2 m")
	})
}

// TestDispatcher_ProbeThatEndsBadly: a probe that panics or is cancelled gives its slot back, and the next one may go.
func TestDispatcher_ProbeThatEndsBadly(t *testing.T) {
	var attempt atomic.Int64
	send := func(ctx context.Context, r *outbound.Request) outbound.Result {
		switch attempt.Add(1) {
		case 1, 2, 3, 4, 5:
			return answers(ctx, r, 500, time.Millisecond)
		case 6:
			panic("in the probe")
		case 7:
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return answers(ctx, r, 200, time.Second)
		}
		return answers(ctx, r, 200, time.Millisecond)
	}
	virtual(t, send, nil, func(t *testing.T, b *bench, _ *wheel) {
		b.webhook("w", "https://example.com", func(w *catalog.Webhook) { w.Delivery.Concurrency = 1 })
		var tasks []*Task
		for range 20 {
			tasks = append(tasks, b.submit("w", nil))
		}
		pass(5 * time.Minute)
		require.EqualValues(t, 27, attempt.Load(), "20 deliveries, 5 failures, and two probes that ended badly")
		failures := 0
		for _, task := range tasks {
			failures += task.Delivery.Retries
			require.Equal(t, task.Delivery.Retries+1, task.Delivery.Attempts, "a panic and a cancellation are no attempts of the endpoint's")
		}
		require.Equal(t, 5, failures)
		require.Empty(t, b.d.allLanes(), "evicted, so that nothing is taken for under way")
	})
}

func TestDispatcher_AdviceHoldsAndIsParked(t *testing.T) {
	var g gauge
	send := func(ctx context.Context, r *outbound.Request) outbound.Result {
		g.begin()
		defer g.end()
		return answers(ctx, r, 200, time.Millisecond)
	}
	virtual(t, send, nil, func(t *testing.T, b *bench, _ *wheel) {
		b.webhook("open", "https://example.com", nil)
		b.webhook("held", "https://example.com", nil)
		b.webhook("late", "https://example.com", nil)
		b.d.Advise("w/open", breaker.Advice{To: breaker.Open, Wait: time.Minute, Opens: 3})
		b.d.Hold("w/held", time.Minute)
		b.d.Hold("w/late", time.Second)
		pass(2 * time.Second)
		for _, uid := range []string{"open", "held", "late"} {
			for range 5 {
				b.submit(uid, nil)
			}
		}
		pass(50 * time.Second)
		attempts, _ := g.take()
		require.Equal(t, 5, attempts, "advice that is over counts for nothing")
		list, _ := b.d.Breakers(10)
		require.Len(t, list, 2)
		short, complete := b.d.Breakers(1)
		require.Len(t, short, 1)
		require.False(t, complete)
		pass(2 * time.Minute)
		attempts, _ = g.take()
		require.Equal(t, 10, attempts)

		b.d.Hold("w/late", time.Hour)
		b.d.Hold("w/late", 100*time.Hour)
		b.submit("late", nil)
		pass(59 * time.Minute)
		attempts, _ = g.take()
		require.Zero(t, attempts)
		for range 60 { // as often as it is said
			b.d.Hold("w/late", time.Hour)
			pass(time.Minute)
		}
		b.submit("late", nil)
		pass(time.Hour)
		attempts, _ = g.take()
		require.Equal(t, 2, attempts, "an hour at most, then it asks the receiver itself")
	})
}

// TestDispatcher_ParkedAdviceIsBounded: names that come over Redis may be anything.
func TestDispatcher_ParkedAdviceIsBounded(t *testing.T) {
	virtual(t, nil, nil, func(t *testing.T, b *bench, _ *wheel) {
		for i := range 2 * parkedKept {
			b.d.Advise(fmt.Sprint("w/", i), breaker.Advice{To: breaker.Open, Wait: time.Minute})
			b.d.Hold(fmt.Sprint("w/", i), -time.Minute)
			b.d.Advise(fmt.Sprint("w/never", i), breaker.Advice{To: "junk"})
		}
		require.Len(t, b.d.parked, parkedKept)
		require.Empty(t, b.d.allLanes())
		pass(2 * time.Minute)
		b.d.Advise("w/new", breaker.Advice{To: breaker.Open, Wait: time.Minute})
		require.Len(t, b.d.parked, 1, "what is over makes room")
		b.d.Advise("w/new", breaker.Advice{To: breaker.Closed})
		require.Empty(t, b.d.parked)
	})
}

// TestDispatcher_HoldIsTold: one pause that many attempts under way are answered with is told once.
func TestDispatcher_HoldIsTold(t *testing.T) {
	var told []time.Duration
	send := func(ctx context.Context, r *outbound.Request) outbound.Result {
		res := answers(ctx, r, 429, time.Millisecond)
		res.RetryAfter = 30 * time.Second
		return res
	}
	virtual(t, send, func(o *Options) { o.OnHold = func(_ string, d time.Duration) { told = append(told, d) } }, func(t *testing.T, b *bench, _ *wheel) {
		b.webhook("w", "https://example.com", nil)
		for range 4 {
			b.submit("w", nil)
		}
		pass(time.Second)
		require.Equal(t, []time.Duration{30 * time.Second}, told)
		list, _ := b.d.Breakers(10)
		require.Len(t, list, 1)
		require.EqualValues(t, "closed", list[0].State)
		require.InDelta(t, 29, time.Until(list[0].HeldUntil).Seconds(), 0.1)
	})
}
