package breaker

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Breaker guards one endpoint. It is safe for concurrent use.
type Breaker struct {
	settings Settings
	jitter   func() float64 // from 0 to 1

	// mu guards everything below, and is held around every call of inner.
	mu    sync.Mutex
	inner *gobreaker.TwoStepCircuitBreaker[struct{}]
	// state is HalfOpen from the first probe on; when the open time is over but nobody asked yet, it is still Open.
	state  State
	since  time.Time
	reason Reason
	until  time.Time
	opens  int
	forced State // Open or Closed while an operator holds it there, else empty
	// generation is incremented by each transition; outcomes of attempts allowed in another one are ignored.
	generation uint64
	seq        uint64
	// streak counts failures in a row; lastFailure is when the latest came.
	streak      int
	lastFailure time.Time
	// lastAlive is when the endpoint last proved alive here; doubted, when advice last made this breaker probe although
	// it had proof of its own.
	lastAlive, doubted time.Time
	tripped            Reason // why inner opened; written by its ReadyToTrip, inside mu
	probe              probe
	ramp               ramp
}

// probe is the one attempt of the half-open state.
type probe struct {
	underway bool
	since    time.Time
	release  func(error) // gives the slot back to inner
}

// New makes a closed breaker.
func New(s Settings) *Breaker {
	b := &Breaker{settings: s.withDefaults(), jitter: rand.Float64, state: Closed, since: time.Now()}
	b.inner = b.newInner()
	return b
}

// The outcomes in gobreaker's words; Alive is nil.
var (
	errFailed   = errors.New("failed")
	errExcluded = errors.New("excluded")
)

// newInner makes gobreaker's part: the rolling window, the generations, the single probe. Its open time is constant,
// so it is set to half of our shortest: whenever ours is over, gobreaker has long been ready for a probe.
func (b *Breaker) newInner() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  1,
		Interval:     b.settings.Window,
		BucketPeriod: max(b.settings.Window/windowBuckets, 1),
		Timeout:      max(b.settings.OpenBase/2, 1),
		// The callbacks run inside inner's mutex and ours: they must not call either breaker.
		ReadyToTrip: func(window gobreaker.Counts) bool {
			if b.tripped = b.settings.trip(b.streak, window); b.forced == Closed {
				b.tripped = ReasonNone
			}
			return b.tripped != ReasonNone
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errExcluded) },
	})
}

// refused is the done of an attempt that may not start.
func refused(Outcome) {}

// Allow asks whether an attempt may start now. If ok, done must be called with its outcome on every path, panics
// included; only the first call counts. If not, retryAfter (more than zero) is the time to the next probe.
func (b *Breaker) Allow() (done func(Outcome), ok bool, retryAfter time.Duration) {
	b.mu.Lock()
	now := time.Now()
	if wait := b.wait(now); wait > 0 {
		b.mu.Unlock()
		return refused, false, wait
	}
	var change *Change
	switch {
	case b.state == Open:
		change = b.enter(HalfOpen, ReasonProbe, now)
	case b.probe.underway: // its lease is over, or wait would have refused
		b.probe.release(errExcluded)
		b.generation++ // a late outcome of the lost probe must not count for this one
	}
	report, err := b.inner.Allow()
	if err != nil {
		// Not reached: wait refuses whatever inner would, and a backward clock step cannot happen in monotonic time.
		b.mu.Unlock()
		b.announce(change)
		return refused, false, probePoll
	}
	if b.state == HalfOpen {
		b.probe = probe{underway: true, since: now, release: report}
	}
	generation := b.generation
	b.mu.Unlock()
	b.announce(change)

	reported := false // guarded by b.mu
	return func(o Outcome) {
		b.mu.Lock()
		if reported {
			b.mu.Unlock()
			return
		}
		reported = true
		change := b.settle(generation, o, report)
		b.mu.Unlock()
		b.announce(change)
	}, true, 0
}

// settle takes in one outcome and returns the change that follows from it, or nil.
func (b *Breaker) settle(generation uint64, o Outcome, report func(error)) *Change {
	if generation != b.generation {
		return nil
	}
	now := time.Now()
	b.lapse(now)
	wasProbe := b.state == HalfOpen
	if wasProbe {
		b.probe = probe{}
	}
	switch o {
	case Alive:
		b.streak, b.lastAlive = 0, now
		report(nil)
		if wasProbe {
			b.ramp.begin(now)
			return b.enter(Closed, ReasonProbeAlive, now)
		}
		if b.ramp.success() {
			b.ramped()
		}
	case Failed:
		b.streak++
		b.lastFailure = now
		report(errFailed)
		if wasProbe {
			return b.open(ReasonProbeFailed, now)
		}
		if b.inner.State() != gobreaker.StateClosed {
			return b.open(b.tripped, now)
		}
		b.ramp.failure(now)
	default:
		report(errExcluded)
	}
	return nil
}

// open begins the next, longer, opening.
func (b *Breaker) open(reason Reason, now time.Time) *Change {
	b.opens++
	b.ramp = ramp{limit: b.ramp.limit}
	b.until = now.Add(b.settings.openFor(b.opens, b.jitter()))
	change := b.enter(Open, reason, now)
	change.Wait = b.settings.openFor(b.opens, 0)
	return change
}

// enter begins a generation in the given state.
func (b *Breaker) enter(to State, reason Reason, now time.Time) *Change {
	from := b.state
	if to != Open {
		b.until = time.Time{}
	}
	b.state, b.since, b.reason = to, now, reason
	b.generation++
	b.seq++
	return &Change{Seq: b.seq, From: from, To: to, Reason: reason, Until: b.until, Opens: b.opens, Failures: b.streak, Forced: b.forced}
}

func (b *Breaker) announce(c *Change) {
	if c != nil && b.settings.OnChange != nil {
		b.settings.OnChange(*c)
	}
}

// Wait is 0 when an attempt may start now, else the time to the next probe. It changes nothing and promises nothing:
// of several that ask when a probe is due, Allow lets one through.
func (b *Breaker) Wait() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wait(time.Now())
}

// Blocked is Wait for a breaker that is open, as of now, and 0 for any other: half-open, attempts may queue behind the
// probe.
func (b *Breaker) Blocked(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != Open {
		return 0
	}
	return b.wait(now)
}

func (b *Breaker) wait(now time.Time) time.Duration {
	switch {
	case b.forced == Open:
		// Only an operator ends it, so there is no time to give.
		return min(forcedRecheck, b.settings.OpenMax)
	case b.state == Open:
		return max(b.until.Sub(now), 0)
	case b.state == HalfOpen && b.probe.underway && now.Sub(b.probe.since) < ProbeLease:
		return min(probePoll, b.settings.OpenBase)
	}
	return 0
}

// State describes the breaker now. An open time that is over reads as half-open, though nobody asked for the probe.
func (b *Breaker) State() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.lapse(now)
	s := Snapshot{
		State: b.state, Since: b.since, Reason: b.reason, Until: b.until, Opens: b.opens, Forced: b.forced,
		Ramp: b.ramp.allowed, Failures: b.streak,
	}
	if s.State == Open && s.Forced == "" && !now.Before(s.Until) {
		s.State, s.Since, s.Until = HalfOpen, s.Until, time.Time{}
	}
	return s
}

// Idle reports that evicting the breaker would lose nothing: closed, no slow start, and no failure so recent that it
// could still take part in opening it. So is one that nobody has asked for a probe since long after it was due: its
// webhook is gone, or has no events. What an operator opened is kept, so that it is listed.
func (b *Breaker) Idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.lapse(now)
	switch {
	case b.state == Open:
		return b.forced == "" && now.Sub(b.until) >= forgottenAfter
	case b.state == HalfOpen:
		return now.Sub(b.since) >= forgottenAfter
	}
	keep := b.settings.Window
	if b.streak > 0 { // does not age in the window; bounded, or endpoints that fail once would stay in memory
		keep = max(keep, b.settings.OpenMax)
	}
	return b.ramp.allowed == 0 && (b.lastFailure.IsZero() || now.Sub(b.lastFailure) >= keep)
}
