package relay

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
)

// Header keys of retry, diverted and rejected records. The value of such a record is the event's bytes untouched.
const (
	HeaderDelivery = "relay-delivery" // JSON: deliveryHeader
	HeaderEvent    = "relay-event"    // JSON: eventHeader
	HeaderWait     = "relay-wait"     // retry only: milliseconds left from the broker's append
	HeaderDiverted = "relay-diverted" // diverted only: JSON, see relay/divert

	// Of rejected records: why, and topic/partition/offset of the record that was read.
	HeaderReason = "relay-reason"
	HeaderDetail = "relay-detail"
	HeaderSource = "relay-source"
)

// ErrBadRecord is returned for a record that is not one of ours, or damaged.
var ErrBadRecord = errors.New("not a relay record")

// deliveryHeader is the durable form of a Delivery. Fields are only ever added.
type deliveryHeader struct {
	UID        string `json:"uid"`
	ID         string `json:"id"`
	WebhookID  string `json:"webhookId"`
	Topic      string `json:"topic"`
	TopicID    string `json:"topicId"` // base64
	Partition  int32  `json:"partition"`
	Offset     int64  `json:"offset"`
	Attempts   int    `json:"attempts,omitempty"`
	Retries    int    `json:"retries,omitempty"`
	Gone       bool   `json:"gone,omitempty"`
	Read       int64  `json:"read"`     // Unix ms
	Deadline   int64  `json:"deadline"` // Unix ms
	MatchedAt  int64  `json:"matchedAt"`
	Postponed  int    `json:"postponed,omitempty"`
	DivertKey  string `json:"divertKey,omitempty"`
	Resends    int    `json:"resends,omitempty"`
	LastStatus int    `json:"lastStatus,omitempty"`
	LastError  string `json:"lastError,omitempty"`
	Alert      *Alert `json:"alert,omitempty"`
}

// eventHeader is what is known of the event besides its bytes. DataFrom and DataTo place the data inside the
// record's value (see catalog.Span).
type eventHeader struct {
	ID              string       `json:"id,omitempty"`
	Source          string       `json:"source"`
	Type            string       `json:"type"`
	Domain          string       `json:"domain,omitempty"`
	Tenant          string       `json:"tenant"`
	Office          string       `json:"office,omitempty"`
	Subject         string       `json:"subject,omitempty"`
	Time            string       `json:"time"` // RFC 3339, nanoseconds
	TimeText        string       `json:"timeText,omitempty"`
	TransactionID   string       `json:"transactionId,omitempty"`
	User            catalog.User `json:"user,omitzero"`
	Test            bool         `json:"test,omitempty"` // livemode false
	DataContentType string       `json:"dataContentType,omitempty"`
	DataFrom        int          `json:"dataFrom"`
	DataTo          int          `json:"dataTo"`
	DataBase64      bool         `json:"dataBase64,omitempty"`
	TraceParent     string       `json:"traceparent,omitempty"`
	TraceState      string       `json:"tracestate,omitempty"`
}

// EncodeDelivery gives the headers that, with d.Event.Raw as the value, restore d. The caller adds topic, key and
// headers of its own.
func EncodeDelivery(d *Delivery) []kgo.RecordHeader {
	ev := d.Event
	e := eventHeader{
		ID: ev.ID, Source: ev.Source, Type: ev.Type, Domain: ev.Domain, Tenant: ev.Tenant, Office: ev.Office,
		Subject: ev.Subject, Time: ev.Time.Format(time.RFC3339Nano), TimeText: ev.TimeText, TransactionID: ev.TransactionID,
		User: ev.User, Test: !ev.Livemode, DataContentType: ev.DataContentType, TraceParent: ev.TraceParent, TraceState: ev.TraceState,
		DataFrom: ev.Span.From, DataTo: ev.Span.To, DataBase64: ev.Span.Base64,
	}
	h := deliveryHeader{
		UID: d.UID, ID: d.ID, WebhookID: d.WebhookID, Topic: d.Source.Topic,
		TopicID: base64.RawStdEncoding.EncodeToString(d.Source.TopicID[:]), Partition: d.Source.Partition, Offset: d.Source.Offset,
		Attempts: d.Attempts, Retries: d.Retries, Gone: d.Gone, Read: d.Read.UnixMilli(), Deadline: d.Deadline.UnixMilli(),
		MatchedAt: d.MatchedAt, Postponed: d.Postponed, DivertKey: d.DivertKey, Resends: d.Resends,
		LastStatus: d.LastStatus, LastError: d.LastError, Alert: d.Alert,
	}
	return []kgo.RecordHeader{{Key: HeaderDelivery, Value: mustJSON(h)}, {Key: HeaderEvent, Value: mustJSON(e)}}
}

// DecodeDelivery restores the delivery that a retry or diverted record holds. Errors match ErrBadRecord.
func DecodeDelivery(rec *kgo.Record) (*Delivery, error) {
	var (
		h deliveryHeader
		e eventHeader
	)
	if err := headerJSON(rec, HeaderDelivery, &h); err != nil {
		return nil, err
	}
	if err := headerJSON(rec, HeaderEvent, &e); err != nil {
		return nil, err
	}
	if h.UID == "" || h.ID == "" || h.WebhookID == "" {
		return nil, fmt.Errorf("%w: header %s lacks an id", ErrBadRecord, HeaderDelivery)
	}
	at, err := time.Parse(time.RFC3339Nano, e.Time)
	if err != nil {
		return nil, fmt.Errorf("%w: header %s: time: %v", ErrBadRecord, HeaderEvent, err)
	}
	ev := &catalog.Event{
		ID: e.ID, Source: e.Source, Type: e.Type, Domain: e.Domain, Tenant: e.Tenant, Office: e.Office, Subject: e.Subject,
		Time: at, TimeText: e.TimeText, TransactionID: e.TransactionID, User: e.User, Livemode: !e.Test,
		DataContentType: e.DataContentType, Raw: rec.Value, TraceParent: e.TraceParent, TraceState: e.TraceState,
	}
	ev.Span = catalog.Span{From: e.DataFrom, To: e.DataTo, Base64: e.DataBase64}
	if ev.Data, err = ev.Span.Extract(rec.Value); err != nil {
		return nil, fmt.Errorf("%w: header %s: %v", ErrBadRecord, HeaderEvent, err)
	}
	d := &Delivery{
		Event: ev, UID: h.UID, ID: h.ID, WebhookID: h.WebhookID,
		Source:   Coordinates{Topic: h.Topic, Partition: h.Partition, Offset: h.Offset},
		Attempts: h.Attempts, Retries: h.Retries, Gone: h.Gone, Read: time.UnixMilli(h.Read), Deadline: time.UnixMilli(h.Deadline),
		MatchedAt: h.MatchedAt, Postponed: h.Postponed, DivertKey: h.DivertKey, Resends: h.Resends,
		LastStatus: h.LastStatus, LastError: h.LastError, Alert: h.Alert,
	}
	if id, err := base64.RawStdEncoding.DecodeString(h.TopicID); err == nil {
		copy(d.Source.TopicID[:], id)
	}
	return d, nil
}

// Wait reads how long a retry record still waits from its append.
func Wait(rec *kgo.Record) (time.Duration, error) {
	text, ok := Header(rec, HeaderWait)
	ms, err := strconv.ParseInt(string(text), 10, 64)
	if !ok || err != nil || ms < 0 {
		return 0, fmt.Errorf("%w: header %s is %q", ErrBadRecord, HeaderWait, text)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// WaitHeader is the header that Wait reads.
func WaitHeader(d time.Duration) kgo.RecordHeader {
	return kgo.RecordHeader{Key: HeaderWait, Value: strconv.AppendInt(nil, max(d, 0).Milliseconds(), 10)}
}

// Header returns the first header of that key.
func Header(rec *kgo.Record, key string) ([]byte, bool) {
	for i := range rec.Headers {
		if rec.Headers[i].Key == key {
			return rec.Headers[i].Value, true
		}
	}
	return nil, false
}

func headerJSON(rec *kgo.Record, key string, into any) error {
	value, ok := Header(rec, key)
	if !ok {
		return fmt.Errorf("%w: no header %s", ErrBadRecord, key)
	}
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("%w: header %s: %v", ErrBadRecord, key, err)
	}
	return nil
}

// mustJSON marshals structs of strings and numbers, which cannot fail.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("relay: " + err.Error())
	}
	return b
}
