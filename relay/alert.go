package relay

import (
	"strconv"
	"strings"
	"time"

	"eventrelay/catalog"
)

// AlertKind is what an alert tells of.
type AlertKind string

// The kinds.
const (
	// AlertFailure: deliveries of the webhook were given up.
	AlertFailure AlertKind = "failure"
	// AlertSuspended: the webhook was suspended.
	AlertSuspended AlertKind = "suspended"
)

// Alert makes a Delivery one that tells a webhook's alert integration of something instead of bringing the event to
// the webhook: Delivery.UID is then AlertUID of the webhook's, and Delivery.Event what the alert is about.
type Alert struct {
	Kind AlertKind `json:"kind"`
	// Webhook is the webhook's id, as it was called then.
	Webhook string `json:"webhook"`

	// URL and Status are those of the delivery that was given up; Status is 0 when there was no answer.
	URL    string `json:"url,omitempty"`
	Status int    `json:"status,omitempty"`
	// Count is how many deliveries that were given up the alert stands for: more than one in a storm.
	Count int `json:"count,omitempty"`

	// EventType and Integration are those of the delivery that led to the suspension; empty when none did, or when the
	// webhook has an endpoint of its own.
	EventType   string `json:"eventType,omitempty"`
	Integration string `json:"integration,omitempty"`
}

// SuspendedEventType is the type of the event by which the alert integration learns of a suspension.
const SuspendedEventType = "webhook.suspended"

// alertPrefix makes the uid of a webhook's alerts out of its own. No uid of a webhook begins with it.
const alertPrefix = "alert_"

// AlertUID is the uid under which the alerts of a webhook are delivered, so that they are retried, paced and resolved
// like the deliveries of any webhook, and yet are not among those of the webhook itself.
func AlertUID(webhook string) string { return alertPrefix + webhook }

// AlertedUID is the uid of the webhook whose alerts are delivered under uid.
func AlertedUID(uid string) (webhook string, ok bool) { return strings.CutPrefix(uid, alertPrefix) }

// AlertRetry is the schedule of alerts.
var AlertRetry = catalog.RetryStandard

// NewFailureAlert is the alert about d, which is given up. The same delivery that is given up once more after a crash
// gives the same webhook-id; given up after a resend it gives another.
func NewFailureAlert(d *Delivery, alert Alert, now time.Time) *Delivery {
	return newAlert(d.Event, d.UID, d.ID+"/"+strconv.Itoa(d.Resends), d.Source, d.MatchedAt, alert, now)
}

// NewSuspendedAlert is the alert about a suspension, of which ev tells. matchedAt is a registry offset at which the
// webhook was known.
func NewSuspendedAlert(ev *catalog.Event, webhook string, src Coordinates, matchedAt int64, alert Alert, now time.Time) *Delivery {
	about := *ev
	about.Type = SuspendedEventType
	return newAlert(&about, webhook, ev.ID, src, matchedAt, alert, now)
}

func newAlert(ev *catalog.Event, webhook, cause string, src Coordinates, matchedAt int64, alert Alert, now time.Time) *Delivery {
	uid := AlertUID(webhook)
	id := hashPart(hashPart(hashPart(nil, uid), string(alert.Kind)), cause)
	return &Delivery{
		Event: ev, UID: uid, ID: hashed("dlv_", id), WebhookID: hashed("msg_", id), Source: src, Alert: &alert,
		Read: now, Deadline: DeadlineFor(AlertRetry.Schedule(), now), MatchedAt: matchedAt,
	}
}
