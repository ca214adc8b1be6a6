package breaker

import "time"

// ForceOpen stops all attempts until ForceClosed or Reset. Attempts under way end as they do; their outcomes are
// ignored.
func (b *Breaker) ForceOpen() {
	b.mu.Lock()
	var change *Change
	if b.forced != Open {
		b.clear()
		b.forced = Open
		b.until = time.Time{}
		change = b.enter(Open, ReasonForced, time.Now())
	}
	b.mu.Unlock()
	b.announce(change)
}

// ForceClosed lets attempts through until ForceOpen or Reset, whatever comes of them: nothing opens the breaker, its own
// counting no more than advice. One that was not closed closes without a probe, and the slow start begins; failures go
// on to slow that down, so that what waited does not arrive at once.
func (b *Breaker) ForceClosed() {
	b.mu.Lock()
	var change *Change
	if b.forced != Closed {
		if b.state != Closed {
			now := time.Now()
			b.clear()
			b.ramp.begin(now)
			change = b.enter(Closed, ReasonClosed, now)
		}
		b.forced = Closed
		if change != nil {
			change.Forced = Closed
		}
	}
	b.mu.Unlock()
	b.announce(change)
}

// Reset makes the breaker as new: automatic, closed, nothing counted, no slow start. It is announced only if it was not
// closed.
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

// clear forgets counts, probe and ramp, and lifts what an operator forced. The caller enters a state next, which begins
// the generation that makes outcomes of earlier attempts void.
func (b *Breaker) clear() {
	b.inner = b.newInner()
	b.forced = ""
	b.streak, b.lastFailure = 0, time.Time{}
	b.lastAlive, b.doubted = time.Time{}, time.Time{}
	b.probe = probe{}
	b.ramp = ramp{limit: b.ramp.limit}
}
