package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"eventrelay/cmd/relay/demo"
	"eventrelay/relay/deliver"
	"eventrelay/relay/deliver/breaker"
)

// watcher turns what the dispatcher reports into lines for a person.
type watcher struct {
	printer *demo.Printer

	mu    sync.Mutex
	names map[string]string // uid → the webhook's id, as last seen
}

func newWatcher(p *demo.Printer) *watcher { return &watcher{printer: p, names: map[string]string{}} }

func (w *watcher) report(r deliver.Report) {
	line := demo.Line{At: r.At, EventType: r.Task.Delivery.Event.Type, Webhook: r.Task.Delivery.UID,
		Status: r.Result.Status, Class: string(r.Result.Class), Latency: r.Result.Latency, Attempt: r.Attempt, Note: note(r)}
	if r.Webhook != nil {
		line.Webhook, line.Format = r.Webhook.ID, string(r.Webhook.Format)
		w.mu.Lock()
		w.names[r.Webhook.UID] = r.Webhook.ID
		w.mu.Unlock()
	}
	if r.Task.Delivery.Alert != nil {
		line.Format = "alert"
	}
	w.printer.Print(line)
}

func note(r deliver.Report) string {
	switch wait := shortWait(r.Next.Wait); r.Next.Action {
	case deliver.ActionSettle:
		if r.Task.Delivery.DivertKey != "" {
			return "resent and delivered"
		}
		return ""
	case deliver.ActionRetry:
		return "retry in " + wait
	case deliver.ActionDivert:
		return fmt.Sprintf("diverted: %s", r.Next.Reason)
	case deliver.ActionSuspend:
		return fmt.Sprintf("webhook suspended and event diverted: %s", r.Next.Reason)
	case deliver.ActionHandOff, deliver.ActionPostpone:
		return "no attempt now, waits " + wait
	default:
		return string(r.Next.Action)
	}
}

func (w *watcher) breaker(endpoint string, c breaker.Change) {
	name := endpoint
	if parts := strings.Split(endpoint, "/"); len(parts) > 1 {
		w.mu.Lock()
		if id := w.names[parts[1]]; id != "" {
			name = id
		}
		w.mu.Unlock()
	}
	switch c.To {
	case breaker.Open:
		w.printer.Say(fmt.Sprintf("Breaker of %s is open (%s): next probe in %s, no attempt is spent until then.", name, c.Reason, shortWait(time.Until(c.Until))))
	case breaker.HalfOpen:
		w.printer.Say(fmt.Sprintf("Breaker of %s lets one probe through.", name))
	case breaker.Closed:
		w.printer.Say(fmt.Sprintf("Breaker of %s is closed again (%s).", name, c.Reason))
	}
}

func shortWait(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
