package deliver

import (
	"sync/atomic"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
)

// alarms reports that a webhook's alert integration is to be told of what a delivery ended in: it was given up, after
// attempts or because none could be made. What is diverted during a suspension was not given up. Alerts themselves, and
// deliveries of the relay's own events, raise none.
func alarms(d *relay.Delivery, w *catalog.Webhook, next Next) bool {
	if w == nil || w.Alert == nil || w.Alert.Integration == "" || d.Alert != nil || d.Event.Domain == catalog.DomainRelay {
		return false
	}
	switch next.Action {
	case ActionDrop, ActionSuspend:
		return true
	case ActionDivert:
		return next.Reason != divert.ReasonSuspended
	}
	return false
}

// endOfAlert is what follows for an alert where next would follow for a delivery of a webhook: one that is given up is
// dropped, whatever the reason, and the attempt log keeps the trace. There is no webhook to suspend.
func endOfAlert(next Next) Next {
	if next.Action == ActionDivert || next.Action == ActionSuspend {
		return Next{Action: ActionDrop, Reason: next.Reason}
	}
	return next
}

// alert hands the alert about a delivery that is given up to the retry wheel. The delivery is settled when both the
// alert and what becomes of the delivery itself are durable; a crash before that repeats both.
func (d *Dispatcher) alert(t *Task, w *catalog.Webhook, res outbound.Result) {
	about := relay.Alert{Kind: relay.AlertFailure, Webhook: w.ID, Status: res.Status, Count: 1}
	_, _, integration := d.o.Webhooks.Webhook(w.UID)
	if endpoint, err := w.ResolveEndpoint(integration, t.Delivery.Event.Office); err == nil {
		about.URL = endpoint.URL
	}
	var left atomic.Int32
	left.Store(2)
	done := t.Done
	t.Done = func() {
		if left.Add(-1) == 0 {
			done()
		}
	}
	d.metrics.alerts.Inc()
	d.o.Retry.Enqueue(relay.NewFailureAlert(t.Delivery, about, time.Now()), 0, t.Done)
}
