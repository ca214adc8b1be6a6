package breaker

import (
	"time"

	"github.com/sony/gobreaker/v2"
)

// Settings are the numbers of a breaker. A zero field takes its default.
type Settings struct {
	// OpenBase is how long the first opening lasts. Default 10 s.
	OpenBase time.Duration
	// OpenMax bounds the doubling; jitter of up to a tenth comes on top. Default 10 min.
	OpenMax time.Duration
	// Consecutive failures open the breaker, however far apart they are. Default 5.
	Consecutive int
	// MinRequests and FailureRatio: it also opens when of at least MinRequests outcomes within Window this part
	// failed. Defaults 10 and 0.5.
	MinRequests  int
	FailureRatio float64
	// Window is rolled in ten steps. Default 60 s.
	Window time.Duration
	// OnChange is told of every transition: outside every lock, on the goroutine of the call that caused it.
	OnChange func(Change)
}

const (
	windowBuckets = 10
	// jitterPart keeps the instances that saw the same failure from probing together. It only lengthens, so that
	// OpenBase is a promise to the endpoint.
	jitterPart = 0.1
	// ProbeLease is how long a probe may stay unreported: twice the longest timeout of an attempt (30 s).
	ProbeLease = time.Minute
	// forgottenAfter is how long after its probe was due an open breaker is kept although nobody asks for the probe:
	// longer than the hour between two retries that a schedule may have.
	forgottenAfter = 2 * time.Hour
	// forcedRecheck is when to ask again while an operator keeps the breaker open: a delivery that waits is written anew
	// as often, and comes that much after the operator's next decision.
	forcedRecheck = 2 * time.Minute
	// probePoll is the advice to whoever asks while a probe is under way: most answers take less.
	probePoll = time.Second
)

func (s Settings) withDefaults() Settings {
	set(&s.OpenBase, 10*time.Second)
	set(&s.OpenMax, 10*time.Minute)
	set(&s.Consecutive, 5)
	set(&s.MinRequests, 10)
	set(&s.FailureRatio, 0.5)
	set(&s.Window, time.Minute)
	s.OpenBase = min(s.OpenBase, s.OpenMax)
	return s
}

func set[T int | float64 | time.Duration](field *T, def T) {
	if *field <= 0 {
		*field = def
	}
}

// trip decides whether a failure opens a closed breaker: ReasonNone, or why. streak is the number of failures in a
// row including this one. It is counted here because gobreaker's own forgets what is older than the window, in
// which four attempts that time out one after the other would fit.
func (s Settings) trip(streak int, window gobreaker.Counts) Reason {
	outcomes := window.TotalSuccesses + window.TotalFailures
	switch {
	case streak >= s.Consecutive:
		return ReasonConsecutive
	case outcomes >= uint32(s.MinRequests) && float64(window.TotalFailures) >= s.FailureRatio*float64(outcomes):
		return ReasonRatio
	}
	return ReasonNone
}

// openFor is how long the opens-th opening in a row lasts (from 1): OpenBase·2^(opens-1), at most OpenMax, lengthened
// by jitter (from 0 to 1) of a tenth.
func (s Settings) openFor(opens int, jitter float64) time.Duration {
	d := s.OpenBase
	for ; opens > 1 && d < s.OpenMax; opens-- {
		d *= 2
	}
	d = min(d, s.OpenMax)
	return d + time.Duration(jitter*jitterPart*float64(d))
}
