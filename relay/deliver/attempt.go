package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
	"eventrelay/relay/payload"
)

// scratch is what one attempt builds; pooled, because at full speed it is most of the garbage.
type scratch struct {
	message payload.Message
	headers []outbound.Header
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// recycle lets go of the event and of a large body: a pool would keep them as long as it is used.
func (s *scratch) recycle() {
	s.message.Reset()
	clear(s.headers)
	scratches.Put(s)
}

// attempt makes one attempt of a task and carries out what follows. The webhook is looked up again: an edit,
// suspension or deletion since Submit takes effect here.
func (d *Dispatcher) attempt(l *lane, t *Task) {
	began := time.Now()
	webhook, suspension, integration := d.o.Webhooks.Webhook(t.Delivery.UID)
	if next := routed(t.Delivery, webhook, suspension, began); next.Action != ActionSend {
		d.settle(t, webhook, next, outbound.Result{})
		return
	}
	tgt := d.target(webhook, integration, t.Delivery.Event.Office)
	if tgt.err != nil || !tgt.endpoint.Enabled || tgt.endpoint.Key != l.key {
		d.Submit(t) // edited meanwhile: it goes elsewhere, or nowhere
		return
	}
	memory, ok := d.room.take(t.Context, tgt.encoding.Room(t.Delivery), l.first(), d.patience(t))
	if !ok {
		d.postpone(t, l.paced(d.o.SmallestDelay))
		return
	}
	// Only when what follows is written: while Kafka takes nothing, attempts that would pile up before it do not begin.
	defer memory.give()
	report, ok, retryAfter := l.breaker.Allow()
	if !ok {
		d.postpone(t, l.paced(retryAfter))
		return
	}
	res, err := d.send(t, tgt, began, report)
	if errors.Is(err, payload.ErrFormat) {
		t.Delivery.LastError = err.Error()
		d.settle(t, webhook, Next{Action: ActionDivert, Reason: divert.ReasonFormat}, res)
		return
	}
	ended := time.Now()
	d.react(l, res, ended)
	next := decided(t.Delivery, webhook, res, ended, 2*rand.Float64()-1)
	if t.Delivery.Alert != nil {
		next = endOfAlert(next) // before it is recorded
	}
	d.record(t, res, next)
	d.settle(t, webhook, next, res)
}

// send composes and sends one request. The breaker learns the outcome on every path, a panic included: a probe
// whose outcome is never told would keep the endpoint closed for ever.
func (d *Dispatcher) send(t *Task, tgt *target, now time.Time, report func(breaker.Outcome)) (res outbound.Result, err error) {
	outcome := breaker.Excluded
	defer func() {
		if r := recover(); r != nil {
			d.o.Log.Error("attempt_panicked", "uid", t.Delivery.UID, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			res, err = outbound.Result{Class: outbound.ClassInternal, Err: fmt.Errorf("attempt panicked: %v", r)}, nil
		}
		report(outcome)
	}()
	s := scratches.Get().(*scratch)
	defer s.recycle()
	if err := tgt.encoding.Compose(&s.message, t.Delivery, now); err != nil {
		return res, err
	}
	s.headers = s.headers[:0]
	for _, h := range s.message.Headers {
		s.headers = append(s.headers, outbound.Header(h))
	}
	s.headers = append(s.headers, tgt.headers...)
	ctx := t.Context
	if ctx == nil {
		ctx = context.Background() // a task without an owner is bounded by its timeout alone
	}
	t.trace.request(tgt, s.headers, s.message.Body)
	request := &outbound.Request{Endpoint: &tgt.endpoint, Headers: s.headers, Body: s.message.Body, KeepHeaders: t.trace != nil}
	if tgt.credentials == nil {
		res = d.o.Client.Do(ctx, request)
	} else {
		res = d.doAuthorized(ctx, request, tgt.credentials)
	}
	outcome = classify(res)
	scrub(&res, tgt.secrets)
	return res, nil
}

// classify says what a result tells of the endpoint's health. A 4xx proves it alive, and so does a 503 that asks for a
// pause, which it gets; our own faults say nothing.
func classify(res outbound.Result) breaker.Outcome {
	switch {
	case res.Class == outbound.ClassCanceled || res.Class == outbound.ClassInternal:
		return breaker.Excluded
	case res.Status == http.StatusServiceUnavailable && res.RetryAfter > 0:
		return breaker.Alive
	case res.Status >= 500 || res.Status == 0:
		return breaker.Failed
	default:
		return breaker.Alive
	}
}

// react applies a result to the lane: latency, the pause that a receiver asked for, and a breaker that opened, which
// hands off what is queued.
func (d *Dispatcher) react(l *lane, res outbound.Result, now time.Time) {
	l.mu.Lock()
	l.observe(now, res.Latency)
	held := res.RetryAfter > 0 && now.Add(res.RetryAfter).Sub(l.notBefore) > holdStep
	if res.RetryAfter > 0 {
		l.notBefore = maxTime(l.notBefore, now.Add(res.RetryAfter))
	}
	blocked := l.blocked(now)
	var flushed []*Task
	if blocked > 0 {
		flushed = l.recall(func(*Task) bool { return true })
	}
	waits := make([]time.Duration, len(flushed))
	for i := range flushed {
		waits[i] = l.pace(now, max(blocked, d.o.SmallestDelay))
	}
	l.mu.Unlock()
	if held {
		d.o.OnHold(l.key, res.RetryAfter)
	}
	for i, t := range flushed {
		d.postpone(t, waits[i])
	}
}

// holdStep is by how much a pause must grow to be told to others: many attempts under way are answered alike.
const holdStep = time.Second

// paced is pace for callers that do not hold mu.
func (l *lane) paced(base time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pace(time.Now(), base)
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lastError is what an operator reads of a failed attempt: a class for tenants, never an address or a secret.
func lastError(res outbound.Result) string {
	switch {
	case res.Class != "":
		return string(res.Class)
	case res.Status >= 200 && res.Status <= 299:
		return ""
	default:
		return fmt.Sprintf("status %d", res.Status)
	}
}

// advance counts an attempt that was made.
func advance(t *Task, res outbound.Result) {
	d := t.Delivery
	d.Attempts++
	d.LastStatus, d.LastError = res.Status, lastError(res)
	d.Gone = res.Status == 410
}

// counts reports whether a result is an attempt at all: our own faults are not.
func counts(res outbound.Result) bool {
	return res.Class != outbound.ClassCanceled && res.Class != outbound.ClassInternal
}
