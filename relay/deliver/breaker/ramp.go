package breaker

import "time"

// ramp is the slow start after closing. The zero value is no ramp. It is guarded by the mutex of its Breaker.
type ramp struct {
	// allowed attempts may be under way at once; 0 means that there is no ramp.
	allowed int
	// round counts the successes since allowed last changed.
	round int
	// limit is the endpoint's own concurrency, as Concurrency was last asked; reaching it ends the ramp.
	limit int
	// moved is when the ramp began or last saw a failure.
	moved time.Time
}

// rampLimit ends the ramp of a breaker whose Concurrency is never asked: the most that an endpoint may have.
const rampLimit = 1024

func (r *ramp) begin(now time.Time) { r.allowed, r.round, r.moved = 1, 0, now }

// success counts one and reports whether the ramp is over. After a full round the concurrency doubles.
func (r *ramp) success() (over bool) {
	if r.allowed == 0 {
		return false
	}
	r.round++
	if r.round >= r.allowed {
		r.allowed, r.round = 2*r.allowed, 0
	}
	limit := r.limit
	if limit <= 0 {
		limit = rampLimit
	}
	return r.allowed >= limit
}

// failure collapses the ramp to its beginning.
func (r *ramp) failure(now time.Time) {
	if r.allowed > 0 {
		r.begin(now)
	}
}

// lapse ends a ramp that has gone on without a failure for OpenMax: what it protects the endpoint from, the backlog
// of the time when it was down, has arrived by then, and an endpoint with few events would otherwise never end it.
func (b *Breaker) lapse(now time.Time) {
	if b.ramp.allowed > 0 && now.Sub(b.ramp.moved) >= b.settings.OpenMax {
		b.ramped()
	}
}

// ramped ends the ramp: the endpoint takes its full concurrency, and the next opening is again a first one.
func (b *Breaker) ramped() {
	b.ramp = ramp{limit: b.ramp.limit}
	b.opens = 0
}

// Concurrency is how many attempts may be under way now, of the limit that the endpoint itself has: limit when fully
// closed, 1 doubling to limit during the slow start, 1 in half-open, 0 when open. The breaker remembers limit, because
// reaching it is what ends the slow start.
func (b *Breaker) Concurrency(limit int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ramp.limit = limit
	if b.state == Closed && b.forced != Open && b.ramp.allowed == 0 {
		return limit // nothing of it depends on the time, which costs as much as all the rest to ask
	}
	now := time.Now()
	b.lapse(now)
	switch {
	case b.forced == Open, b.state == Open && now.Before(b.until):
		return 0
	case b.state != Closed:
		return min(1, limit)
	case b.ramp.allowed > 0:
		return min(b.ramp.allowed, limit)
	}
	return limit
}
