package deliver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestRouted(t *testing.T) {
	active := &catalog.Webhook{Enabled: true, FailureHandling: catalog.DefaultFailureHandling()}
	suspended := &catalog.Suspension{Epoch: 3, Active: true}
	for _, c := range []struct {
		name       string
		webhook    *catalog.Webhook
		suspension *catalog.Suspension
		deadline   time.Time
		want       Next
	}{
		{"sent", active, nil, t0.Add(time.Hour), Next{Action: ActionSend}},
		{"deleted", nil, nil, t0.Add(time.Hour), Next{Action: ActionCancel}},
		{"disabled", &catalog.Webhook{}, nil, t0.Add(time.Hour), Next{Action: ActionCancel}},
		{"disabled wins over suspended", &catalog.Webhook{}, suspended, t0.Add(time.Hour), Next{Action: ActionCancel}},
		{"suspended", active, suspended, t0.Add(time.Hour), Next{Action: ActionDivert, Reason: divert.ReasonSuspended, Epoch: 3}},
		{"suspension over", active, &catalog.Suspension{Epoch: 3}, t0.Add(time.Hour), Next{Action: ActionSend}},
		{"suspended wins over the deadline", active, suspended, t0.Add(-1), Next{Action: ActionDivert, Reason: divert.ReasonSuspended, Epoch: 3}},
		{"deadline", active, nil, t0.Add(-1), Next{Action: ActionDivert, Reason: divert.ReasonDeadline}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, routed(&relay.Delivery{Deadline: c.deadline}, c.webhook, c.suspension, t0))
		})
	}
}

func TestDecided(t *testing.T) {
	three := func(edit func(*catalog.FailureHandling)) *catalog.Webhook {
		w := &catalog.Webhook{Enabled: true, Retry: catalog.Retry{Name: "three"}, FailureHandling: catalog.DefaultFailureHandling()}
		if edit != nil {
			edit(&w.FailureHandling)
		}
		return w
	}
	status := func(code int) outbound.Result { return outbound.Result{Status: code} }
	fresh, spent := relay.Delivery{}, relay.Delivery{Retries: 3}
	for _, c := range []struct {
		name     string
		delivery relay.Delivery
		webhook  *catalog.Webhook
		result   outbound.Result
		want     Next
	}{
		{"200", fresh, three(nil), status(200), Next{Action: ActionSettle}},
		{"299", fresh, three(nil), status(299), Next{Action: ActionSettle}},
		{"redirect is a failure", fresh, three(nil), status(302), Next{Action: ActionRetry, Wait: 5 * time.Second}},
		{"500", fresh, three(nil), status(500), Next{Action: ActionRetry, Wait: 5 * time.Second}},
		{"second retry", relay.Delivery{Retries: 1}, three(nil), status(400), Next{Action: ActionRetry, Wait: 30 * time.Second}},
		{"timeout", fresh, three(nil), outbound.Result{Class: outbound.ClassTimeout}, Next{Action: ActionRetry, Wait: 5 * time.Second}},
		{"blocked", fresh, three(nil), outbound.Result{Class: outbound.ClassBlocked}, Next{Action: ActionRetry, Wait: 5 * time.Second}},
		{"our own fault", spent, three(nil), outbound.Result{Class: outbound.ClassInternal}, Next{Action: ActionHandOff}},
		{"cancelled", spent, three(nil), outbound.Result{Class: outbound.ClassCanceled}, Next{Action: ActionHandOff}},
		{"Retry-After lengthens", fresh, three(nil), outbound.Result{Status: 429, RetryAfter: time.Minute}, Next{Action: ActionRetry, Wait: time.Minute}},
		{"Retry-After never shortens", relay.Delivery{Retries: 2}, three(nil), outbound.Result{Status: 503, RetryAfter: time.Second}, Next{Action: ActionRetry, Wait: 2 * time.Minute}},
		{"beyond the deadline", relay.Delivery{Deadline: t0.Add(time.Second)}, three(nil), status(500), Next{Action: ActionDivert, Reason: divert.ReasonDeadline}},
		{"spent", spent, three(nil), status(500), Next{Action: ActionDivert, Reason: divert.ReasonExhausted}},
		{"spent, none", spent, three(func(f *catalog.FailureHandling) { f.Mode = catalog.FailureNone }), status(500), Next{Action: ActionDrop, Reason: divert.ReasonExhausted}},
		{"spent, none, but resent by an operator", relay.Delivery{Retries: 3, DivertKey: "k"}, three(func(f *catalog.FailureHandling) { f.Mode = catalog.FailureNone }), status(500),
			Next{Action: ActionDivert, Reason: divert.ReasonExhausted}},
		{"spent, suspend", spent, three(func(f *catalog.FailureHandling) { f.Mode = catalog.FailureSuspend }), status(500), Next{Action: ActionSuspend, Reason: divert.ReasonExhausted}},
		{"not named: otherwise", spent, three(func(f *catalog.FailureHandling) {
			f.Mode, f.ActOnStatusCodes, f.Otherwise = catalog.FailureSuspend, []string{"503"}, catalog.FailureNone
		}), status(500), Next{Action: ActionDrop, Reason: divert.ReasonExhausted}},
		{"first 410 with retries left", fresh, three(nil), status(410), Next{Action: ActionRetry, Wait: 5 * time.Second}},
		{"first 410 is tried once more in any case", spent, three(nil), status(410), Next{Action: ActionRetry, Wait: 5 * time.Second}},
		{"second 410 suspends", relay.Delivery{Retries: 1, Gone: true}, three(nil), status(410), Next{Action: ActionSuspend, Reason: divert.ReasonGone}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.delivery.Deadline.IsZero() {
				c.delivery.Deadline = t0.Add(24 * time.Hour)
			}
			require.Equal(t, c.want, decided(&c.delivery, c.webhook, c.result, t0, 0))
		})
	}
}

func TestDecided_Jitter(t *testing.T) {
	w := &catalog.Webhook{Retry: catalog.Retry{Custom: []time.Duration{10 * time.Second}}}
	d := &relay.Delivery{Deadline: t0.Add(time.Hour)}
	require.Equal(t, 9*time.Second, decided(d, w, outbound.Result{Status: 500}, t0, -1).Wait)
	require.Equal(t, 11*time.Second, decided(d, w, outbound.Result{Status: 500}, t0, 1).Wait)
}
