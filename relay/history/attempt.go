package history

import "time"

// Attempt is one attempt of a delivery, or a delivery that was settled without one. It is the value of a record of
// relay.attempts, whose field names it gives; fields are only ever added.
type Attempt struct {
	UID        string `json:"uid"`
	Tenant     string `json:"tenant"`
	DeliveryID string `json:"deliveryId"`
	WebhookID  string `json:"webhookId"`
	EventID    string `json:"eventId,omitempty"`
	EventType  string `json:"eventType"`
	// Attempt counts from 1, over resends; 0: none was made.
	Attempt   int       `json:"attempt"`
	At        time.Time `json:"at"`
	LatencyMS float64   `json:"latencyMs"`
	Status    int       `json:"status,omitempty"`
	// Error is a class, or the status where that is the failure; never a detail that names addresses or secrets.
	Error string `json:"error,omitempty"`
	// Outcome is what follows, a deliver.Action, and Reason why it is diverted, dropped or suspended for.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	// RetryInMS is the wait until the next attempt when the outcome is retried.
	RetryInMS int64 `json:"retryInMs,omitempty"`
	// Response is the first bytes of the response's body, made valid UTF-8.
	Response string `json:"response,omitempty"`
}

// The outcomes that are counted, as deliver.Action spells them.
const (
	OutcomeDelivered = "delivered"
	OutcomeRetried   = "retried"
	OutcomeDiverted  = "diverted"
	OutcomeSuspended = "suspended" // diverted as well
	OutcomeDropped   = "dropped"
	OutcomeCancelled = "cancelled"
)

// Delivered reports whether the receiver took it.
func (a *Attempt) Delivered() bool { return a.Outcome == OutcomeDelivered }

// NextAt is when the next attempt is due; zero when none is.
func (a *Attempt) NextAt() time.Time {
	if a.Outcome != OutcomeRetried {
		return time.Time{}
	}
	return a.At.Add(time.Duration(a.RetryInMS) * time.Millisecond)
}

// Result is a selection of attempts by their result.
type Result string

// The results; empty selects all.
const (
	ResultDelivered Result = "delivered"
	ResultFailed    Result = "failed"
)

func (r Result) selects(a *Attempt) bool {
	return r == "" || (r == ResultDelivered) == a.Delivered()
}
