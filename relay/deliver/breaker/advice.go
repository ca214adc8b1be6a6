package breaker

import "time"

// Advice is what the breaker of another instance, for the same endpoint, has just done. It may be late, repeated, out
// of order or plain wrong.
type Advice struct {
	To State
	// Wait is for how long it opened, without the jitter that each instance adds, when To is Open.
	Wait time.Duration
	// Opens are its openings in a row.
	Opens int
}

// heed is what advice does to a breaker.
type heed string

const (
	heedNothing heed = "nothing"
	heedHold    heed = "hold"    // no attempt before the sibling's next probe
	heedProbe   heed = "probe"   // one attempt at a time until one proved alive
	heedRelease heed = "release" // the next probe need not wait any longer
)

// evidence is what a breaker knows of its own when advice comes.
type evidence struct {
	state, forced State
	// probing: its own probe is under way.
	probing bool
	// failing: the latest outcome was a failure. alive is when the endpoint last proved alive, doubted when advice last
	// made the breaker probe in spite of such proof; zero for never.
	failing        bool
	alive, doubted time.Time
}

const (
	// freshProof is how long a success counts against advice: the sibling's trouble may be its own network.
	freshProof = 10 * time.Second
	// doubtEvery is how often advice may make a breaker probe that has fresh proof, so that an instance that has
	// trouble of its own does not slow down the others time and again.
	doubtEvery = time.Minute
	// probeHold is how long another instance's probe is waited for: the longest timeout of an attempt, and the way of
	// the news.
	probeHold = 32 * time.Second
	// believedFor bounds, in multiples of OpenMax, how long advice may keep one opening going: two hours. Of many
	// instances that take turns at probing, each has its own turn by then as a rule, which begins a new opening.
	believedFor = 12
	// maxOpens bounds what is believed of openings in a row; more than this many double nothing any more.
	maxOpens = 32
)

// weigh decides what advice counts for. What the breaker saw itself comes first: an operator's decision and a probe
// under way outweigh any advice, and fresh proof of life turns a hold into one probe.
func weigh(own evidence, to State, now time.Time) heed {
	if own.forced != "" || own.probing {
		return heedNothing
	}
	shut := own.state != Closed
	switch to {
	case Open:
		proof := !shut && !own.failing && !own.alive.IsZero() && now.Sub(own.alive) < freshProof
		switch {
		case !proof:
			return heedHold
		case !own.doubted.IsZero() && now.Sub(own.doubted) < doubtEvery:
			return heedNothing
		}
		return heedProbe
	case HalfOpen: // its probe is under way; a second one would tell no more
		if shut {
			return heedHold
		}
	case Closed:
		if own.state == Open {
			return heedRelease
		}
	}
	return heedNothing
}

// Advise takes another instance's word, within bounds: it holds attempts back for at most believedFor·OpenMax from when
// the breaker opened, and lets a probe through no earlier than OpenBase after that. An opening that comes of advice is not
// to be announced as advice in turn (Change.Reason says so); the probe that ends it is. It reports whether the breaker
// is held back now though it was not before, so that the caller hands off what is queued.
func (b *Breaker) Advise(a Advice) (held bool) {
	b.mu.Lock()
	now := time.Now()
	b.lapse(now)
	was := b.wait(now) > 0
	var change *Change
	own := evidence{state: b.state, forced: b.forced, probing: b.probe.underway, failing: b.streak > 0, alive: b.lastAlive, doubted: b.doubted}
	switch weigh(own, a.To, now) {
	case heedHold:
		wait := min(max(a.Wait, 0), b.settings.OpenMax)
		if a.To == HalfOpen {
			wait = min(probeHold, b.settings.OpenMax)
		}
		// Whoever has the least jitter probes, and tells the others.
		wait += time.Duration(b.jitter() * jitterPart * float64(wait))
		if b.state != Open {
			change = b.adviseOpen(now)
		}
		b.until = maxTime(b.until, minTime(now.Add(wait), b.since.Add(believedFor*b.settings.OpenMax)))
		if change != nil {
			change.Until = b.until
		}
		b.opens = max(b.opens, min(a.Opens, maxOpens))
	case heedProbe:
		b.doubted = now
		change = b.adviseOpen(now)
	case heedRelease:
		b.until = minTime(b.until, maxTime(now, b.since.Add(b.settings.OpenBase)))
	}
	held = !was && b.wait(now) > 0
	b.mu.Unlock()
	b.announce(change)
	return held
}

// adviseOpen opens a breaker whose next probe is due at once. It counts for no opening of its own.
func (b *Breaker) adviseOpen(now time.Time) *Change {
	b.ramp = ramp{limit: b.ramp.limit}
	b.until = now
	return b.enter(Open, ReasonAdvised, now)
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
