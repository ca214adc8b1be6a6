package deliver

import (
	"fmt"
	"log/slog"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
	"eventrelay/relay/history"
)

// Report is one outcome, for whoever watches: the log, metrics, `relay dev`.
type Report struct {
	At      time.Time
	Task    *Task
	Webhook *catalog.Webhook // nil when it was deleted
	Attempt int              // number of the attempt; 0 when none was made
	Result  outbound.Result
	Next    Next
	// Endpoint is the key of the lane that the task was in; empty when it was settled before it came to one.
	Endpoint string
}

// History is the outcome as the recent view remembers it, without the response; false: nothing was attempted or
// decided, only postponed.
func (r *Report) History() (history.Attempt, bool) {
	if r.Next.Action == ActionHandOff || r.Next.Action == ActionPostpone {
		return history.Attempt{}, false
	}
	return attempted(r.Task.Delivery, r.Attempt, r.At, r.Result, r.Next), true
}

// settle carries out a decision: the next durable record, its acknowledgement, then Done.
func (d *Dispatcher) settle(t *Task, w *catalog.Webhook, next Next, res outbound.Result) {
	if t.forgotten() {
		t.Done()
		return
	}
	if t.Delivery.Alert != nil {
		next = endOfAlert(next)
	}
	attempted := 0
	if res.Status != 0 || res.Class != "" {
		if counts(res) {
			advance(t, res)
			attempted = t.Delivery.Attempts
		}
	}
	d.metrics.outcome(next.Action)
	d.o.OnReport(Report{At: time.Now(), Task: t, Webhook: w, Attempt: attempted, Result: res, Next: next, Endpoint: t.endpoint})
	d.log(t, w, next, res, attempted)
	if alarms(t.Delivery, w, next) {
		d.alert(t, w, res)
	}

	switch next.Action {
	case ActionSettle:
		if t.Delivery.DivertKey != "" {
			d.o.Divert.Resolve(t.Delivery, t.Done)
			return
		}
		t.Done()
	case ActionRetry:
		t.Delivery.Retries++
		d.o.Retry.Enqueue(t.Delivery, next.Wait, t.Done)
	case ActionDivert:
		d.divert(t, next, res)
	case ActionSuspend:
		d.work.Add(1)
		go d.suspend(t, next, res)
	case ActionDrop:
		// The attempt log is the only trace of a dropped delivery: it is written before the delivery is settled.
		d.o.Attempts.WriteDropped(t.Delivery, res, next, t.Done)
	case ActionHandOff:
		d.postpone(t, d.o.SmallestDelay)
	case ActionCancel:
		if t.Delivery.DivertKey != "" {
			d.o.Divert.Release(t.Delivery, t.Done)
			return
		}
		t.Done()
	}
}

func (d *Dispatcher) divert(t *Task, next Next, res outbound.Result) {
	status := res.Status
	if status == 0 {
		status = t.Delivery.LastStatus
	}
	d.o.Divert.Put(t.Delivery, divert.Why{Reason: next.Reason, Epoch: next.Epoch, Status: status, Error: t.Delivery.LastError}, t.Done)
}

// suspend writes the suspension first and diverts after it: the entry carries the epoch that the sweeper drains by.
// While the registry cannot be written, the delivery stays unsettled.
func (d *Dispatcher) suspend(t *Task, next Next, res outbound.Result) {
	defer d.work.Done()
	uid := t.Delivery.UID
	for backoff := time.Second; ; backoff = min(2*backoff, time.Minute) {
		s, err := d.o.Webhooks.Suspend(d.ctx, uid, t.Delivery.Event.Type, string(next.Reason), t.Delivery.LastError)
		if err == nil {
			if s != nil {
				next.Epoch = s.Epoch
			}
			d.divert(t, next, res)
			return
		}
		if d.ctx.Err() != nil {
			return // stopping: read again
		}
		d.o.Log.Warn("suspend_failed", "uid", uid, "err", err, "retry_in", backoff.String())
		select {
		case <-time.After(backoff):
		case <-d.ctx.Done():
			return
		}
	}
}

// postpone hands a delivery to the retry wheel without spending an attempt. A postponement never goes past the
// deadline by more than the wheel's precision: the failure handling then applies.
func (d *Dispatcher) postpone(t *Task, wait time.Duration) {
	if t.forgotten() {
		t.Done()
		return
	}
	t.Delivery.Postponed++
	wait = max(min(wait, time.Until(t.Delivery.Deadline)), 0)
	action := ActionPostpone
	if t.Share == Fresh {
		action = ActionHandOff
	}
	d.metrics.outcome(action)
	webhook, _, _ := d.o.Webhooks.Webhook(t.Delivery.UID)
	d.o.OnReport(Report{At: time.Now(), Task: t, Webhook: webhook, Next: Next{Action: action, Wait: wait}, Endpoint: t.endpoint})
	d.o.Retry.Enqueue(t.Delivery, wait, t.Done)
}

// record writes the attempt to the attempt log, best effort. What is dropped is recorded in settle, acknowledged.
func (d *Dispatcher) record(t *Task, res outbound.Result, next Next) {
	if counts(res) && next.Action != ActionDrop {
		d.o.Attempts.Write(t.Delivery, res, next)
	}
	d.metrics.attempt(res)
}

// log writes one line per outcome: failures at info, successes at debug, where volume would drown them.
func (d *Dispatcher) log(t *Task, w *catalog.Webhook, next Next, res outbound.Result, attempt int) {
	level := slog.LevelDebug
	if next.Action != ActionSettle && next.Action != ActionCancel {
		level = slog.LevelInfo
	}
	if !d.o.Log.Enabled(d.ctx, level) {
		return // the arguments would cost as much as the rest of settling
	}
	webhook := ""
	if w != nil {
		webhook = w.ID
	}
	dl := t.Delivery
	args := []any{"outcome", string(next.Action), "webhook", webhook, "uid", dl.UID, "delivery_id", dl.ID, "event_type", dl.Event.Type,
		"attempt", attempt, "status", res.Status, "latency_ms", float64(res.Latency.Microseconds()) / 1000}
	if res.Class != "" {
		args = append(args, "class", string(res.Class))
	}
	if res.Err != nil {
		args = append(args, "err", res.Err)
	}
	if next.Wait > 0 {
		args = append(args, "retry_in", next.Wait.Round(time.Millisecond).String())
	}
	if next.Reason != "" {
		args = append(args, "reason", fmt.Sprint(next.Reason))
	}
	d.o.Log.Log(d.ctx, level, "delivery", args...)
}
