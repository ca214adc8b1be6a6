package breaker

import "time"

// State is what the breaker lets through.
type State string

// The states.
const (
	Closed   State = "closed"
	HalfOpen State = "half-open"
	Open     State = "open"
)

// Outcome is what an attempt says about the life of its endpoint, which is not whether the delivery succeeded.
type Outcome int

// The outcomes. The zero value is Excluded, so that an attempt that ended without a verdict counts for nothing.
const (
	// Excluded: our own fault, or cancelled. It proves nothing and releases the probe.
	Excluded Outcome = iota
	// Alive: 2xx, and any answer that proves that the endpoint lives, 4xx and 429 included.
	Alive
	// Failed: connect, TLS, timeout, protocol error, 5xx.
	Failed
)

// Reason is why the breaker changed.
type Reason string

// The reasons.
const (
	ReasonNone        Reason = ""
	ReasonConsecutive Reason = "consecutive_failures"
	ReasonRatio       Reason = "failure_ratio"
	ReasonProbe       Reason = "probe_allowed"
	ReasonProbeFailed Reason = "probe_failed"
	ReasonProbeAlive  Reason = "probe_alive"
	ReasonForced      Reason = "operator_opened"
	ReasonClosed      Reason = "operator_closed"
	ReasonReset       Reason = "operator_reset"
	ReasonAdvised     Reason = "advised" // by another instance
)

// Change is one transition.
type Change struct {
	// Seq increases with each change of one Breaker. Callbacks may overtake each other; a lower Seq is older.
	Seq      uint64
	From, To State
	Reason   Reason
	// Until is when the next probe may start; zero unless To is Open, and when an operator opened it.
	Until time.Time
	// Wait is that without jitter, as advice for other instances; zero unless it opened of its own.
	Wait  time.Duration
	Opens int
	// Failures is the number of failures in a row.
	Failures int
	// Forced is Open or Closed when an operator holds it there.
	Forced State
}

// Snapshot is a breaker at one moment, for reading.
type Snapshot struct {
	State State
	// Since is when it entered State; Reason is why.
	Since  time.Time
	Reason Reason
	// Until is when the next probe may start; zero unless State is Open, and when an operator opened it.
	Until time.Time
	// Opens counts the openings since the endpoint last took its full concurrency.
	Opens int
	// Forced is Open or Closed when an operator holds it there, which only an operator ends.
	Forced State
	// Ramp is the concurrency that the slow start has reached; 0 when there is none.
	Ramp int
	// Failures is the number of failures in a row.
	Failures int
}
