package deliver

import (
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"eventrelay/relay/deliver/breaker"
)

// lane is the way to one endpoint: two queues, a bound on attempts under way, a rate limit, a breaker, and the
// pacing of what cannot start now.
//
// mu guards every field below it. The breaker is asked with mu held and never calls back.
type lane struct {
	key     string
	tenant  *tenant
	breaker *breaker.Breaker

	mu        sync.Mutex
	queues    [2]queue // by Share
	held      int      // fresh deliveries queued or under way: what counts against the share of the window
	running   int
	limit     int           // attempts under way at most, before slow start
	limiter   *rate.Limiter // nil: no rate limit
	rate      float64       // attempts per second that limiter was made for
	notBefore time.Time     // the receiver asked for a pause (Retry-After), here or on another instance
	advised   time.Time     // since when other instances' pauses count, while nothing was attempted; zero: they do not
	nextSlot  time.Time     // when the next postponed delivery may come back, see pace
	turn      int           // counts starts, for the shares
	latency   time.Duration // of attempts, moving average
	moved     time.Time     // an attempt ended, or the first of several began
	lastUsed  time.Time
	wake      *time.Timer // starts the lane again when the rate limit or a pause allows
	turns     int         // how often it is in line for a place, see gate
	evicted   bool        // no longer in the dispatcher's map: get another one
}

const (
	// backlogTurn: every fourth start is a retry, resend or replay while fresh deliveries wait.
	backlogTurn = 4
	// backlogQueue bounds the retries that wait in a lane, in multiples of its concurrency; more are postponed.
	backlogQueue = 4
	// hogAfter: an endpoint that works off what it holds faster than this takes nothing from others by holding more
	// than its share of the window; the next events are read before anybody would notice.
	hogAfter = time.Second
	// aloneFor is how much work, as time, a lane takes in while no other endpoint is busy: well below the age at which
	// deliveries are handed off, and enough to keep it busy between two looks.
	aloneFor = 2 * time.Second
	// slotEvery paces postponed deliveries of one endpoint: at most 500 rewrites a second, however many pend.
	slotEvery = 2 * time.Millisecond
	// maxPostpone bounds one postponement, so that a breaker closed by hand is noticed.
	maxPostpone = 10 * time.Minute
)

// queue is a first-in first-out list of tasks.
type queue struct{ tasks []*Task }

func (q *queue) len() int     { return len(q.tasks) }
func (q *queue) push(t *Task) { q.tasks = append(q.tasks, t) }

func (q *queue) pop() *Task {
	t := q.tasks[0]
	q.tasks[0] = nil
	if q.tasks = q.tasks[1:]; len(q.tasks) == 0 {
		q.tasks = nil // lets an idle lane give its memory back
	}
	return t
}

// removeIf takes out the tasks for which match is true.
func (q *queue) removeIf(match func(*Task) bool) []*Task {
	var removed []*Task
	kept := q.tasks[:0]
	for _, t := range q.tasks {
		if match(t) {
			removed = append(removed, t)
		} else {
			kept = append(kept, t)
		}
	}
	clear(q.tasks[len(kept):])
	q.tasks = kept
	return removed
}

// blocked is how long no attempt can start: the breaker is open, or the receiver asked for a pause. Callers hold mu.
func (l *lane) blocked(now time.Time) time.Duration {
	return max(l.notBefore.Sub(now), l.breaker.Blocked(now), 0)
}

// configure applies the endpoint's limits as they are now. Callers hold mu.
func (l *lane) configure(concurrency int, ratePerSecond float64, instances int) {
	l.limit = max(1, concurrency/max(instances, 1))
	if ratePerSecond /= float64(max(instances, 1)); ratePerSecond == l.rate {
		return
	}
	l.rate, l.limiter = ratePerSecond, nil
	if ratePerSecond > 0 {
		l.limiter = rate.NewLimiter(rate.Limit(ratePerSecond), max(1, int(ratePerSecond/10)))
	}
}

// verdict of admitting a task to a lane.
type verdict uint8

const (
	admitQueue    verdict = iota // it waits in the lane
	admitWait                    // intake waits with it, see admit
	admitPostpone                // it goes to the retry wheel, without an attempt
)

// pressure is what a lane must know of the others.
type pressure struct {
	// others: deliveries for other endpoints came lately, so that waiting for this one may hold them up.
	others bool
	// contended: the window is full.
	contended bool
	// share is how many fresh deliveries one endpoint may hold while others wait for room in the window.
	share int
	// age at which a delivery that has not begun is handed off.
	age time.Duration
}

// admit decides whether a task may wait in the lane. Callers hold mu.
//
// A backlog for one endpoint alone waits, and with it intake, so that it drains at that endpoint's speed. Where there
// are others, what would not begin in time is handed off at once, and so is what exceeds the share of an endpoint
// that works it off slowly while others wait.
func (l *lane) admit(t *Task, now time.Time, p pressure) verdict {
	if l.blocked(now) > 0 {
		return admitPostpone
	}
	if t.Share == Backlog {
		if l.queues[Backlog].len() >= backlogQueue*max(l.limit, 4) {
			return admitPostpone
		}
		return admitQueue
	}
	switch drain := l.drainTime(now); {
	case !p.others && drain > aloneFor:
		return admitWait
	case p.others && drain > p.age, l.hogs(now, p):
		return admitPostpone
	}
	return admitQueue
}

// hogs reports that the lane, or its tenant, holds more than its share of a full window and that the lane works it off
// slowly. Callers hold mu.
func (l *lane) hogs(now time.Time, p pressure) bool {
	return p.others && p.contended && (l.held >= max(p.share, l.limit) || l.tenant.over.Load()) && l.drainTime(now) > hogAfter
}

// ready reports whether an attempt may start now. wait is set when the rate limit is what holds it back. Callers hold
// mu.
func (l *lane) ready(now time.Time) (ok bool, wait time.Duration) {
	if l.queues[Fresh].len()+l.queues[Backlog].len() == 0 || l.running >= l.breaker.Concurrency(l.limit) {
		return false, 0
	}
	if l.blocked(now) > 0 {
		return false, 0 // the queue was flushed, or is about to be
	}
	if l.limiter != nil && l.limiter.TokensAt(now) < 1 {
		r := l.limiter.ReserveN(now, 1)
		wait = max(r.DelayFrom(now), 1)
		r.CancelAt(now)
		return false, wait
	}
	return true, 0
}

// startable is for how many attempts the lane should be in line. Callers hold mu.
func (l *lane) startable() int {
	queued := l.queues[Fresh].len() + l.queues[Backlog].len()
	return min(queued, max(l.limit-l.running, 1), turnsPerLane)
}

// start takes the task that is to be attempted now, where ready says that one may. Callers hold mu.
func (l *lane) start(now time.Time) *Task {
	if l.limiter != nil {
		l.limiter.AllowN(now, 1)
	}
	if l.running == 0 {
		l.moved = now
	}
	l.running++
	l.advised = time.Time{}
	l.turn++
	fresh, backlog := &l.queues[Fresh], &l.queues[Backlog]
	if fresh.len() == 0 || (backlog.len() > 0 && l.turn%backlogTurn == 0) {
		return backlog.pop()
	}
	return fresh.pop()
}

// pace gives the time until a postponed delivery may come back: not before base, with full jitter, and never more
// than one delivery in slotEvery, so that the rewrites of 300 000 pending deliveries stay bounded. Callers hold mu.
func (l *lane) pace(now time.Time, base time.Duration) time.Duration {
	base = min(base, maxPostpone)
	wait := base + time.Duration(rand.Int64N(int64(max(base/2, time.Second))))
	slot := l.nextSlot
	if at := now.Add(base); slot.Before(at) {
		slot = at
	}
	l.nextSlot = slot.Add(slotEvery)
	return max(wait, slot.Sub(now))
}

// drainTime estimates how long what is queued takes: by the average latency, or by how long nothing has come back
// while attempts are under way, which is all that is known of an endpoint that hangs. Callers hold mu.
func (l *lane) drainTime(now time.Time) time.Duration {
	queued := l.queues[Fresh].len() + l.queues[Backlog].len() + l.running
	latency := l.latency
	if l.running > 0 {
		latency = max(latency, now.Sub(l.moved))
	}
	estimate := latency * time.Duration(queued) / time.Duration(max(l.limit, 1))
	if l.rate > 0 {
		estimate = max(estimate, time.Duration(float64(queued)/l.rate*float64(time.Second)))
	}
	return estimate
}

// observe adds a latency to the moving average. Callers hold mu.
func (l *lane) observe(now time.Time, latency time.Duration) {
	l.moved = now
	if l.latency == 0 {
		l.latency = latency
	}
	l.latency += (latency - l.latency) / 8
}

// idle reports that the lane holds nothing worth keeping. Callers hold mu.
func (l *lane) idle(now time.Time) bool {
	held := l.notBefore
	if !l.advised.IsZero() {
		// Until what was postponed has come back, or a new lane might be held anew before it asks the receiver.
		held = held.Add(2 * maxPostpone)
	}
	return l.running == 0 && l.queues[Fresh].len()+l.queues[Backlog].len() == 0 &&
		now.Sub(l.lastUsed) > laneIdle && now.After(held) && l.breaker.Idle()
}

// laneIdle is how long an unused lane is kept, so that connections and counts survive short pauses.
const laneIdle = time.Minute
