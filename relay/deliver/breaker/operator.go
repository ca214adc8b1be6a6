package breaker

import "time"

// ForceOpen stops all attempts until Close or Reset. Attempts under way end as they do; their outcomes are ignored.
func (b *Breaker) ForceOpen() {
	b.mu.Lock()
	var change *Change
	if !b.forced {
		b.clear()
		b.forced = true
		b.until = time.Time{}
		change = b.enter(Open, ReasonForced, time.Now())
	}
	b.mu.Unlock()
	b.announce(change)
}

// Close ends an opening, forced or not, without a probe: the slow start begins. The count of openings stays, so that
// an endpoint that is closed too early is left alone for longer. On a closed breaker it does nothing.
func (b *Breaker) Close() {
	b.mu.Lock()
	var change *Change
	if b.state != Closed {
		now := time.Now()
		b.clear()
		b.ramp.begin(now)
		change = b.enter(Closed, ReasonClosed, now)
	}
	b.mu.Unlock()
	b.announce(change)
}

// Reset makes the breaker as new: closed, nothing counted, no slow start. It is announced only if it was not closed.
func (b *Breaker) Reset() {
	b.mu.Lock()
	was := b.state
	b.clear()
	b.opens = 0
	change := b.enter(Closed, ReasonReset, time.Now())
	b.mu.Unlock()
	if was != Closed {
		b.announce(change)
	}
}

// clear forgets counts, probe and ramp, and lifts a forced opening. The caller enters a state next, which begins the
// generation that makes outcomes of earlier attempts void.
func (b *Breaker) clear() {
	b.inner = b.newInner()
	b.forced = false
	b.streak, b.lastFailure = 0, time.Time{}
	b.probe = probe{}
	b.ramp = ramp{limit: b.ramp.limit}
}
