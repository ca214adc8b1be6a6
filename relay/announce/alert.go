package announce

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// AlertWebhook is the webhook that the alerts about w are delivered to, as w is now: nil when it has no alert
// integration. It is enabled as w is, and never suspended: a suspension is what it has to tell of.
func AlertWebhook(w *catalog.Webhook) *catalog.Webhook {
	if w == nil || w.Alert == nil || w.Alert.Integration == "" {
		return nil
	}
	return &catalog.Webhook{
		ID: w.ID, UID: relay.AlertUID(w.UID), Tenant: w.Tenant, Platform: w.Platform, Enabled: w.Enabled,
		Integration: w.Alert.Integration, Format: w.Format, Auth: catalog.Auth{Type: catalog.AuthNone}, Retry: relay.AlertRetry,
		FailureHandling: catalog.FailureHandling{Mode: catalog.FailureNone, Otherwise: catalog.FailureNone},
	}
}

// SuspendedAlert is the alert that follows from an event of relay.events, nil for all but the beginning of a suspension
// of a webhook that had an alert integration then. rec is the event's record.
func SuspendedAlert(rec *kgo.Record, ev *catalog.Event, src relay.Coordinates, now time.Time) *relay.Delivery {
	known, ok := relay.Header(rec, headerAlert)
	if !ok || ev.Domain != catalog.DomainRelay || ev.Type != TypeSuspended || ev.Subject == "" {
		return nil
	}
	matchedAt, err := strconv.ParseInt(string(known), 10, 64)
	if err != nil {
		return nil
	}
	var data suspendedData
	if err := json.Unmarshal(ev.Data, &data); err != nil {
		return nil
	}
	return relay.NewSuspendedAlert(ev, ev.Subject, src, matchedAt, relay.Alert{
		Kind: relay.AlertSuspended, Webhook: data.Webhook.ID, EventType: data.EventType, Integration: data.Integration}, now)
}
