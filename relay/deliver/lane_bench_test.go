package deliver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/relay"
	"eventrelay/relay/deliver/breaker"
)

// passed takes a task through a lane whose attempts end at once: admitted, queued, started, observed.
func passed(l *lane, t *Task, now time.Time) {
	l.configure(8, 0, 1)
	if l.admit(t, now, pressure{share: 1000, age: 5 * time.Second}) != admitQueue {
		panic("not admitted")
	}
	l.queues[t.Share].push(t)
	if started, _ := l.next(now); started != t {
		panic("not started")
	}
	l.running--
	l.observe(now, time.Millisecond)
}

func newBenchLane() (*lane, *Task) {
	return &lane{key: "w/1", breaker: breaker.New(breaker.Settings{})}, &Task{Delivery: &relay.Delivery{}, Share: Fresh}
}

func BenchmarkLane(b *testing.B) {
	l, t := newBenchLane()
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		passed(l, t, now)
	}
}

// A lane that is not behind allocates at most the queue's one slot.
func TestLane_Allocates(t *testing.T) {
	l, task := newBenchLane()
	now := time.Now()
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { passed(l, task, now) }), 1.0)
}
