package deliver

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/relay"
	"eventrelay/relay/deliver/breaker"
)

func testLane() *lane {
	l := &lane{key: "w/1", tenant: &tenant{}, breaker: breaker.New(breaker.Settings{})}
	l.configure(4, 0, 1)
	return l
}

func (l *lane) fill(share Share, n int) {
	for range n {
		l.queues[share].push(&Task{Share: share, Delivery: &relay.Delivery{Read: time.Now()}})
	}
}

func TestLane_SharesStarts(t *testing.T) {
	l := testLane()
	l.configure(1000, 0, 1)
	l.fill(Fresh, 100)
	l.fill(Backlog, 100)
	starts := map[Share]int{}
	for range 40 {
		task, _ := l.next(time.Now())
		starts[task.Share]++
	}
	require.Equal(t, map[Share]int{Fresh: 30, Backlog: 10}, starts)
}

func TestLane_ConcurrencyIsDividedByInstances(t *testing.T) {
	l := testLane()
	l.fill(Fresh, 100)
	running := func() int {
		n := 0
		for {
			if task, _ := l.next(time.Now()); task == nil {
				return n
			}
			n++
		}
	}
	require.Equal(t, 4, running())
	l.running = 0
	l.configure(4, 0, 2)
	require.Equal(t, 2, running())
	l.running = 0
	l.configure(4, 0, 100)
	require.Equal(t, 1, running(), "at least one")
}

func TestLane_RateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testLane()
		l.configure(1000, 10, 1)
		l.fill(Fresh, 100)
		started := 0
		for begun := time.Now(); time.Since(begun) < 5*time.Second; {
			task, wait := l.next(time.Now())
			if task != nil {
				started++
				continue
			}
			require.Positive(t, wait)
			time.Sleep(wait) //nolint:forbidigo // virtual time
		}
		require.InDelta(t, 50, started, 2)
	})
}

// TestLane_PaceBoundsRewrites: however many deliveries are postponed, they come back at most 500 a second.
func TestLane_PaceBoundsRewrites(t *testing.T) {
	l := testLane()
	now := time.Now()
	const pending = 300_000
	perSecond := map[int]int{}
	for range pending {
		wait := l.pace(now, 10*time.Second)
		require.GreaterOrEqual(t, wait, 10*time.Second)
		perSecond[int(wait/time.Second)]++
	}
	// The jitter of the first seconds may add up once; afterwards the slots alone decide.
	for second, n := range perSecond {
		if second > 20 {
			require.LessOrEqual(t, n, 500, "second %d", second)
		}
	}
}

func TestLane_Admit(t *testing.T) {
	now := time.Now()
	fresh, backlog := &Task{Share: Fresh}, &Task{Share: Backlog}
	others := pressure{others: true, share: 10, age: 5 * time.Second}
	contended := others
	contended.contended = true
	for _, c := range []struct {
		name            string
		latency         time.Duration
		fresh, backlogs int
		task            *Task
		p               pressure
		want            verdict
	}{
		{"empty", 0, 0, 0, fresh, others, admitQueue},
		{"begins in time", 100 * time.Millisecond, 100, 0, fresh, others, admitQueue},             // 2.5 s of work
		{"would not begin in time", 100 * time.Millisecond, 300, 0, fresh, others, admitPostpone}, // 7.5 s
		{"over its share while others wait", 100 * time.Millisecond, 100, 0, fresh, contended, admitPostpone},
		{"over its share, but fast", time.Millisecond, 1000, 0, fresh, contended, admitQueue}, // 0.25 s
		{"below its share", time.Second, 8, 0, fresh, contended, admitQueue},
		{"alone: intake waits", 100 * time.Millisecond, 100, 0, fresh, pressure{contended: true, share: 10, age: 5 * time.Second}, admitWait},
		{"alone, with little", 100 * time.Millisecond, 50, 0, fresh, pressure{}, admitQueue},
		{"retries up to their bound", time.Second, 0, backlogQueue * 4, backlog, others, admitPostpone},
		{"retries have a queue of their own", 0, 0, backlogQueue * 4, fresh, others, admitQueue},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := testLane()
			l.latency = c.latency
			l.fill(Fresh, c.fresh)
			l.held = c.fresh
			l.fill(Backlog, c.backlogs)
			require.Equal(t, c.want, l.admit(c.task, now, c.p))
		})
	}
}

// next starts what may start: nil when nothing may.
func (l *lane) next(now time.Time) (*Task, time.Duration) {
	ready, wait := l.ready(now)
	if !ready {
		return nil, wait
	}
	return l.start(now), 0
}
