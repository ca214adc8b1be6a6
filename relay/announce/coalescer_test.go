package announce

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver"
)

// wheel is dispatcher and retry wheel of a coalescer: what is enqueued comes back when it is due, in an assignment whose
// name is in owner; what is submitted is delivered.
type wheel struct {
	t *testing.T
	c *Coalescer

	mu        sync.Mutex
	owner     any
	sent      []sent
	kept      []*relay.Delivery // enqueued while nothing comes back
	stopped   bool
	unsettled int
	handedOff []any
	dropped   []any
}

type sent struct {
	at    time.Duration
	uid   string
	count int
}

var epoch time.Time // of the bubble

func (w *wheel) Submit(t *deliver.Task) {
	w.mu.Lock()
	count := 0
	if t.Delivery.Alert != nil {
		count = t.Delivery.Alert.Count
	}
	w.sent = append(w.sent, sent{time.Since(epoch).Round(time.Second), t.Delivery.UID, count})
	w.mu.Unlock()
	t.Done()
}

func (w *wheel) HandOff(owner any) { w.handedOff = append(w.handedOff, owner) }
func (w *wheel) Drop(owner any)    { w.dropped = append(w.dropped, owner) }

func (w *wheel) Enqueue(d *relay.Delivery, wait time.Duration, acked func()) {
	w.mu.Lock()
	w.kept = append(w.kept, d)
	if !w.stopped {
		time.AfterFunc(wait, func() { w.due(d) })
	}
	w.mu.Unlock()
	acked()
}

// due gives a copy of the delivery to the coalescer, as a record that is read gives one.
func (w *wheel) due(d *relay.Delivery) {
	w.mu.Lock()
	w.unsettled++
	owner := w.owner
	w.mu.Unlock()
	again := *d
	w.c.Submit(&deliver.Task{Delivery: &again, Share: deliver.Backlog, Owner: owner, Context: context.Background(), Done: sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.unsettled--
	})})
}

func (w *wheel) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unsettled
}

func alertOf(uid string, n int) *relay.Delivery {
	d := relay.NewDelivery(&catalog.Event{ID: fmt.Sprint(n), Source: "/s", Type: "t", Tenant: "acme"}, uid, relay.Coordinates{Offset: int64(n)}, 0, nil, time.Now())
	return relay.NewFailureAlert(d, relay.Alert{Kind: relay.AlertFailure, Webhook: uid, Count: 1}, time.Now())
}

func inBubble(t *testing.T, test func(t *testing.T, w *wheel)) {
	synctest.Test(t, func(t *testing.T) {
		epoch = time.Now()
		w := &wheel{t: t, owner: "home"}
		w.c = NewCoalescer(CoalescerOptions{Dispatcher: w, Retry: w, Home: func(owner any) bool { return owner != "elsewhere" }, Registerer: prometheus.NewRegistry()})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.c.Run(ctx) })
		test(t, w)
		cancel()
		running.Wait()
	})
}

// TestCoalescer_Storm: of a thousand failures in a moment the first is told at once and the others a minute later; those
// of another webhook are not held up by them.
func TestCoalescer_Storm(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wheel) {
		for n := range 1000 {
			w.due(alertOf("storm", n))
		}
		w.due(alertOf("calm", 0))
		require.Equal(t, []sent{{0, relay.AlertUID("storm"), 1}, {0, relay.AlertUID("calm"), 1}}, w.sent, "at once")
		<-time.After(gatherFor + flushEvery)
		require.Zero(t, w.open(), "nothing holds its offset for longer than it takes to gather")
		<-time.After(2 * alertEvery)
		require.Len(t, w.sent, 3)
		require.Equal(t, 999, w.sent[2].count)
		require.InDelta(t, alertEvery, w.sent[2].at, float64(2*time.Second))
		require.EqualValues(t, 998, counted(t, w.c.merged))
	})
}

// TestCoalescer_LongStorm: ten failures a second for five minutes are at most one message a minute, and every one is
// counted.
func TestCoalescer_LongStorm(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wheel) {
		const failures = 3000
		for n := range failures {
			w.due(alertOf("storm", n))
			<-time.After(100 * time.Millisecond)
		}
		<-time.After(3 * alertEvery)
		total := 0
		for i, s := range w.sent {
			total += s.count
			if i > 0 {
				require.GreaterOrEqual(t, s.at-w.sent[i-1].at, alertEvery, "%v", w.sent)
			}
		}
		require.Equal(t, failures, total, "%v", w.sent)
		require.LessOrEqual(t, len(w.sent), 1+int(time.Since(epoch)/alertEvery))
	})
}

func TestCoalescer_PassesWhatIsNotCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wheel) {
		w.due(alertOf("a", 0))
		retry := alertOf("a", 1)
		retry.Attempts = 1
		w.due(retry)
		suspended := alertOf("a", 2)
		suspended.Alert.Kind = relay.AlertSuspended
		w.due(suspended)
		ordinary := alertOf("a", 3)
		ordinary.Alert = nil
		w.due(ordinary)
		require.Len(t, w.sent, 4)

		w.owner = "elsewhere"
		w.stopped = true
		w.due(alertOf("b", 4))
		require.Len(t, w.sent, 4)
		require.Len(t, w.kept, 1, "it moves on to where the minutes are counted")
		require.Zero(t, w.kept[0].Postponed)
		require.Zero(t, w.open())
	})
}

// TestCoalescer_EndOfAssignment: what is gathered is handed off with its count, or forgotten where another member has
// it already.
func TestCoalescer_EndOfAssignment(t *testing.T) {
	inBubble(t, func(t *testing.T, w *wheel) {
		w.stopped = true
		for n := range 4 {
			w.due(alertOf("a", n))
		}
		require.Equal(t, 3, w.open())
		w.c.HandOff("other")
		require.Empty(t, w.kept)
		w.c.HandOff("home")
		require.Len(t, w.kept, 1)
		require.Equal(t, 3, w.kept[0].Alert.Count)
		require.Equal(t, []any{"other", "home"}, w.handedOff)
		require.Zero(t, w.open())

		w.due(alertOf("a", 5))
		w.c.Drop("home")
		require.Len(t, w.kept, 1, "nothing is written")
		require.Zero(t, w.open())
		require.Equal(t, []any{"home"}, w.dropped)
	})
}

func TestCoalescer_ForgetsMinutes(t *testing.T) {
	c := NewCoalescer(CoalescerOptions{Registerer: prometheus.NewRegistry(), Home: func(any) bool { return true }})
	for n := range 10 * minutesSweptAt {
		require.Equal(t, alertPasses, c.admit(&deliver.Task{Delivery: alertOf(fmt.Sprint(n), 0)}, start.Add(time.Duration(n)*time.Second)))
	}
	require.LessOrEqual(t, len(c.minutes), minutesSweptAt)
}
