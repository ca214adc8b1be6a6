package deliver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/divert"
)

func TestAlarms(t *testing.T) {
	alerted := &catalog.Webhook{Alert: &catalog.Alert{Integration: "pager"}}
	plain := &relay.Delivery{Event: &catalog.Event{Domain: "claim"}}
	for name, tt := range map[string]struct {
		d    *relay.Delivery
		w    *catalog.Webhook
		next Next
		want bool
	}{
		"spent":             {plain, alerted, Next{Action: ActionDivert, Reason: divert.ReasonExhausted}, true},
		"deadline":          {plain, alerted, Next{Action: ActionDivert, Reason: divert.ReasonDeadline}, true},
		"format":            {plain, alerted, Next{Action: ActionDivert, Reason: divert.ReasonFormat}, true},
		"dropped":           {plain, alerted, Next{Action: ActionDrop, Reason: divert.ReasonExhausted}, true},
		"suspends":          {plain, alerted, Next{Action: ActionSuspend, Reason: divert.ReasonGone}, true},
		"while suspended":   {plain, alerted, Next{Action: ActionDivert, Reason: divert.ReasonSuspended}, false},
		"delivered":         {plain, alerted, Next{Action: ActionSettle}, false},
		"retried":           {plain, alerted, Next{Action: ActionRetry}, false},
		"handed off":        {plain, alerted, Next{Action: ActionHandOff}, false},
		"cancelled":         {plain, alerted, Next{Action: ActionCancel}, false},
		"nobody to tell":    {plain, &catalog.Webhook{}, Next{Action: ActionDrop}, false},
		"deleted":           {plain, nil, Next{Action: ActionDrop}, false},
		"an alert":          {&relay.Delivery{Event: plain.Event, Alert: &relay.Alert{}}, alerted, Next{Action: ActionDrop}, false},
		"relay's own event": {&relay.Delivery{Event: &catalog.Event{Domain: catalog.DomainRelay}}, alerted, Next{Action: ActionDrop}, false},
	} {
		require.Equal(t, tt.want, alarms(tt.d, tt.w, tt.next), name)
	}
}

func TestEndOfAlert(t *testing.T) {
	for _, action := range []Action{ActionDivert, ActionSuspend} {
		require.Equal(t, Next{Action: ActionDrop, Reason: divert.ReasonGone}, endOfAlert(Next{Action: action, Reason: divert.ReasonGone, Epoch: 3}))
	}
	for _, action := range []Action{ActionSettle, ActionRetry, ActionDrop, ActionCancel, ActionHandOff} {
		require.Equal(t, Next{Action: action, Wait: time.Second}, endOfAlert(Next{Action: action, Wait: time.Second}))
	}
}

// held makes the acknowledgements of a bench wait, so that a test sees what a crash would leave.
type held struct {
	*stores
	mu   sync.Mutex
	acks []func()
}

func (h *held) Enqueue(d *relay.Delivery, wait time.Duration, acked func()) {
	h.stores.Enqueue(d, wait, func() {})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acks = append(h.acks, acked)
}

// TestDispatcher_AlertIsDurableBeforeTheDeliverySettles: a delivery that is given up stays unsettled until its alert is
// acknowledged as well, so that a crash in between repeats both.
func TestDispatcher_AlertIsDurableBeforeTheDeliverySettles(t *testing.T) {
	var h *held
	reg := prometheus.NewRegistry()
	b := newBench(t, func(o *Options) {
		h = &held{stores: o.Retry.(*stores)}
		o.Retry, o.Registerer = h, reg
	})
	server := answering(t, 503)
	b.webhook("w", server.URL, func(w *catalog.Webhook) {
		w.Retry, w.Alert = catalog.Retry{Name: "none"}, &catalog.Alert{Integration: "pager"}
	})
	task := b.submit("w", nil)
	require.Eventually(t, func() bool {
		b.stores.mu.Lock()
		defer b.stores.mu.Unlock()
		return len(b.diverted) == 1 && len(b.retried) == 1
	}, waitFor, tick)
	require.Zero(t, b.done.Load(), "diverted, and not settled")

	alert := b.retried[0]
	require.Equal(t, relay.AlertUID("w"), alert.UID)
	require.Equal(t, &relay.Alert{Kind: relay.AlertFailure, Webhook: "w", URL: server.URL, Status: 503, Count: 1}, alert.Alert)
	require.Equal(t, task.Delivery.Event.Data, alert.Event.Data)
	require.Zero(t, b.waits[0])
	require.Equal(t, alert.WebhookID, relay.NewFailureAlert(task.Delivery, *alert.Alert, time.Now()).WebhookID, "after a crash it is the same message")
	h.mu.Lock()
	ack := h.acks[0]
	h.mu.Unlock()
	ack()
	b.await(t, 1)
	require.EqualValues(t, 1, metric(t, reg, "relay_alerts_total"))
}

func metric(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return sum(f.GetMetric())
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func sum(metrics []*dto.Metric) (total float64) {
	for _, m := range metrics {
		total += m.GetCounter().GetValue()
	}
	return total
}

// TestDispatcher_AlertIsSentToItsIntegration: as a delivery of the webhook of alerts, with the FailureMessage as its body.
func TestDispatcher_AlertIsSentToItsIntegration(t *testing.T) {
	bodies := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body strings.Builder
		_ = r.Write(&body)
		bodies <- body.String()
	}))
	t.Cleanup(server.Close)
	b := newBench(t, nil)
	b.webhook(relay.AlertUID("w"), server.URL, nil)
	b.submit(relay.AlertUID("w"), func(task *Task) {
		task.Delivery.Alert = &relay.Alert{Kind: relay.AlertFailure, Webhook: "w", URL: "https://there.example/", Count: 3}
	})
	b.await(t, 1)
	require.Contains(t, <-bodies, `{"webhookName":"w","url":"https://there.example/","expectedStatus":"2xx","actualStatus":"timeout","eventData":{"a":1}}`)
}
