package announce

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
)

// The relay's own event types; the catalog describes them.
const (
	TypeSuspended   = "relay.webhook.suspended"
	TypeUnsuspended = "relay.webhook.unsuspended"
	TypeFailing     = "relay.webhook.failing"
	TypeRecovered   = "relay.webhook.recovered"
	TypeDiverted    = "relay.event.diverted"
	TypeExpired     = "relay.event.expired"
)

// source is the CloudEvents source of all of them.
const source = "/relay"

// webhookRef names the webhook that an event is about.
type webhookRef struct {
	ID  string `json:"id"`
	UID string `json:"uid"`
}

// The data of the events. Fields are only ever added.
type (
	suspendedData struct {
		Webhook     webhookRef `json:"webhook"`
		At          time.Time  `json:"at"`
		Epoch       int64      `json:"epoch"`
		Reason      string     `json:"reason"`
		LastFailure string     `json:"lastFailure,omitempty"`
		EventType   string     `json:"eventType,omitempty"`
		Integration string     `json:"integration,omitempty"`
	}
	unsuspendedData struct {
		Webhook webhookRef `json:"webhook"`
		At      time.Time  `json:"at"`
		Epoch   int64      `json:"epoch"`
		// Resend: what was diverted in the epoch is sent on.
		Resend bool `json:"resend"`
	}
	failingData struct {
		Webhook     webhookRef `json:"webhook"`
		At          time.Time  `json:"at"`
		Endpoint    string     `json:"endpoint"`
		Reason      string     `json:"reason,omitempty"`
		LastFailure string     `json:"lastFailure,omitempty"`
	}
	divertedData struct {
		Webhook webhookRef     `json:"webhook"`
		At      time.Time      `json:"at"`
		Since   time.Time      `json:"since"`
		Count   int            `json:"count"`
		Reasons map[string]int `json:"reasons"`
	}
	expiredData struct {
		Webhook webhookRef `json:"webhook"`
		At      time.Time  `json:"at"`
		Count   int        `json:"count"`
		// Oldest is when the oldest of them was diverted.
		Oldest time.Time `json:"oldest"`
	}
)

func refOf(w *catalog.Webhook) webhookRef { return webhookRef{ID: w.ID, UID: w.UID} }

// record is an event about a webhook as a CloudEvent in the binary mode of the Kafka binding.
func record(topic, eventType, id string, w *catalog.Webhook, at time.Time, data any) *kgo.Record {
	value, err := json.Marshal(data)
	if err != nil {
		panic("announce: " + err.Error()) // strings, numbers and times of this century
	}
	header := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
	return &kgo.Record{Topic: topic, Key: []byte(w.UID), Value: value, Headers: []kgo.RecordHeader{
		header("ce_specversion", "1.0"), header("ce_id", id), header("ce_source", source), header("ce_type", eventType),
		header("ce_time", at.UTC().Format(time.RFC3339Nano)), header("ce_subject", w.UID), header("ce_tenant", w.Tenant),
		header("content-type", "application/json"),
	}}
}

// headerAlert is on the record of a suspension of which the webhook's alert integration is to be told: a registry offset
// at which the webhook is known, so that an instance that is behind it waits.
const headerAlert = "relay-alert"

// Suspension is the record by which the platform learns that s began or ended, for the topic. It is made once for each
// change, and its id is the same whenever it is made again. applied is the registry offset that w is known at.
func Suspension(topic string, w *catalog.Webhook, s *catalog.Suspension, applied int64) *kgo.Record {
	id := w.UID + "." + strconv.FormatInt(s.Epoch, 10)
	if !s.Active {
		return record(topic, TypeUnsuspended, id+".unsuspended", w, time.Now(), unsuspendedData{
			Webhook: refOf(w), At: time.Now().UTC(), Epoch: s.Epoch, Resend: s.Drains(s.Epoch)})
	}
	rec := record(topic, TypeSuspended, id+".suspended", w, s.Since, suspendedData{
		Webhook: refOf(w), At: s.Since.UTC(), Epoch: s.Epoch, Reason: s.Reason, LastFailure: s.LastFailure, EventType: s.EventType, Integration: w.Integration})
	if w.Alert != nil && w.Alert.Integration != "" {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: headerAlert, Value: strconv.AppendInt(nil, applied, 10)})
	}
	return rec
}
