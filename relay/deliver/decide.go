package deliver

import (
	"time"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
)

// Action is what follows for a delivery.
type Action string

// The actions. HandOff and Postpone cost no attempt.
const (
	ActionSend     Action = "send"      // try it now
	ActionSettle   Action = "delivered" // done
	ActionRetry    Action = "retried"   // again after Wait
	ActionDivert   Action = "diverted"  // keep it for an operator, for Reason
	ActionSuspend  Action = "suspended" // suspend the webhook, then divert
	ActionDrop     Action = "dropped"   // the webhook's own failure handling says so
	ActionCancel   Action = "cancelled" // the webhook is gone or disabled
	ActionHandOff  Action = "handed_off"
	ActionPostpone Action = "postponed"
)

// Next is a decision with its reason.
type Next struct {
	Action Action
	Reason divert.Reason // of ActionDivert and ActionSuspend
	Epoch  int64         // of a divert because of a suspension
	Wait   time.Duration // of ActionRetry
}

// routed decides before an attempt, from the webhook as it is now. A nil webhook was deleted: whoever asks has made
// sure that the registry is not behind the delivery.
func routed(d *relay.Delivery, webhook *catalog.Webhook, suspension *catalog.Suspension, now time.Time) Next {
	switch {
	case webhook == nil || !webhook.Enabled:
		return Next{Action: ActionCancel}
	case suspension != nil && suspension.Active:
		return Next{Action: ActionDivert, Reason: divert.ReasonSuspended, Epoch: suspension.Epoch}
	case now.After(d.Deadline):
		return givenUp(d, webhook.FailureHandling, 0, divert.ReasonDeadline)
	}
	return Next{Action: ActionSend}
}

// decided decides after an attempt. It reads d as it was before the attempt; jitter is in [-1, 1].
func decided(d *relay.Delivery, w *catalog.Webhook, res outbound.Result, now time.Time, jitter float64) Next {
	switch {
	case res.Class == outbound.ClassCanceled || res.Class == outbound.ClassInternal:
		return Next{Action: ActionHandOff}
	case res.Status >= 200 && res.Status <= 299:
		return Next{Action: ActionSettle}
	case res.Status == 410 && d.Gone:
		return Next{Action: ActionSuspend, Reason: divert.ReasonGone}
	}
	schedule := w.Retry.Schedule()
	wait := time.Duration(-1)
	if d.Retries < len(schedule) {
		wait = schedule[d.Retries]
		wait += time.Duration(jitter * scheduleJitter * float64(wait))
	} else if res.Status == 410 {
		wait = goneRetryWait
	}
	if wait < 0 {
		return givenUp(d, w.FailureHandling, res.Status, divert.ReasonExhausted)
	}
	wait = max(wait, res.RetryAfter) // Retry-After only lengthens
	if now.Add(wait).After(d.Deadline) {
		return givenUp(d, w.FailureHandling, res.Status, divert.ReasonDeadline)
	}
	return Next{Action: ActionRetry, Wait: wait}
}

const (
	// scheduleJitter spreads retries so that the deliveries that failed together do not come back together.
	scheduleJitter = 0.1
	// goneRetryWait: a first 410 is tried once more even when the schedule is spent, so that one bad deployment
	// does not suspend a webhook.
	goneRetryWait = 5 * time.Second
)

// givenUp applies the webhook's failure handling. A resend that failed is always diverted again: an operator asked
// for it.
func givenUp(d *relay.Delivery, f catalog.FailureHandling, status int, reason divert.Reason) Next {
	mode := f.ModeFor(status)
	switch {
	case mode == catalog.FailureSuspend:
		return Next{Action: ActionSuspend, Reason: reason}
	case mode == catalog.FailureNone && d.DivertKey == "":
		return Next{Action: ActionDrop, Reason: reason}
	default:
		return Next{Action: ActionDivert, Reason: reason}
	}
}
