package jobs

import (
	"errors"
	"time"
)

// Kind is what a job does with what it selects.
type Kind string

// The kinds.
const (
	KindResend Kind = "resend"
	KindDelete Kind = "delete"
)

// State is how far a job has come.
type State string

// The states. The last three are final.
const (
	StateQueued     State = "queued"     // nobody has begun
	StateRunning    State = "running"    // begun; it waits while its webhook is suspended or disabled
	StateCancelling State = "cancelling" // to be cancelled; what it is doing this moment may still take effect
	StateFinished   State = "finished"   // everything selected was dealt with
	StateCancelled  State = "cancelled"  // ended before that; what was done stays done
	StateFailed     State = "failed"     // cannot go on; Progress.Error says why
)

// Final reports whether the job will not change any more.
func (s State) Final() bool { return s == StateFinished || s == StateCancelled || s == StateFailed }

// Selection says which of a webhook's diverted events a job is for. All that is set applies together.
type Selection struct {
	UID           string `json:"uid"`
	Type          string `json:"type,omitempty"`
	Reason        string `json:"reason,omitempty"`
	TransactionID string `json:"transactionId,omitempty"`
	EventID       string `json:"eventId,omitempty"`
	// From and To bound when it was diverted: From inclusive, To exclusive.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// Definition is what was asked for. It never changes.
type Definition struct {
	ID        string    `json:"-"`
	Tenant    string    `json:"tenant"`
	Kind      Kind      `json:"kind"`
	Selection Selection `json:"selection"`
	// Below is the end of the webhook's partition of the diverted topic when the job was created: what stands there or
	// behind was diverted later and is not selected. So a job ends, whatever fails again meanwhile.
	Below   int64     `json:"below"`
	Created time.Time `json:"created"`
	// Fingerprint of the request, to tell a repeated request from another one with the same idempotency key.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Progress is how far a job has come. Only the runner writes it.
type Progress struct {
	// State is running or final.
	State State `json:"state"`
	// Selected is how many diverted events matched when the job began. Done were dealt with, Failed could not be; what
	// was resolved otherwise in the meantime is in neither.
	Selected int64 `json:"selected"`
	Done     int64 `json:"done"`
	Failed   int64 `json:"failed"`
	// Position is where the runner goes on; its meaning is the runner's.
	Position string    `json:"position,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Updated  time.Time `json:"updated,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// Error says for an operator why it failed.
	Error string `json:"error,omitempty"`
}

// Job is a definition with what has become of it.
type Job struct {
	Definition
	Progress Progress
	// CancelRequested is when somebody asked for its end; zero: nobody has.
	CancelRequested time.Time
}

// State of the job.
func (j Job) State() State {
	switch {
	case j.Progress.State.Final():
		return j.Progress.State
	case !j.CancelRequested.IsZero():
		return StateCancelling
	case j.Progress.State == "":
		return StateQueued
	default:
		return StateRunning
	}
}

// Retention is how long a finished job can be looked up.
const Retention = 7 * 24 * time.Hour

const (
	// maxOpen bounds the jobs of one tenant that are not finished: each costs the runner a look at every tick.
	maxOpen = 100
	// maxFinished bounds the finished jobs of one tenant that are kept, so that memory is bounded whoever creates them:
	// about 500 bytes each. The oldest go first.
	maxFinished = 1000
)

// Errors of the operations. Match them with errors.Is.
var (
	// ErrNotFound: there is no such job, or it is another tenant's.
	ErrNotFound = errors.New("no such job")
	// ErrTooMany: the tenant has too many jobs that are not finished.
	ErrTooMany = errors.New("too many unfinished jobs; wait for some or cancel some")
	// ErrBehind: it could not be confirmed in time that all jobs are known; try again.
	ErrBehind = errors.New("the list of jobs is not up to date; try again shortly")
	// ErrFenced: another process runs the jobs now.
	ErrFenced = errors.New("another process runs the jobs")
	// ErrBadCursor: the cursor is not one that List gave.
	ErrBadCursor = errors.New("cursor is not valid for this list")
)
