package divert

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// Reason is why a delivery was diverted.
type Reason string

// The reasons.
const (
	ReasonSuspended   Reason = "suspended"    // its webhook was suspended; it was not sent
	ReasonGone        Reason = "gone"         // answered 410 twice
	ReasonExhausted   Reason = "exhausted"    // the retry schedule is spent
	ReasonDeadline    Reason = "deadline"     // the deadline passed, postponements included
	ReasonFormat      Reason = "format"       // the webhook's format cannot carry the event
	ReasonFilterError Reason = "filter_error" // the filter could not be evaluated
	ReasonBlocked     Reason = "blocked"      // the endpoint may not be reached: refused by the egress policy
	ReasonInvalid     Reason = "invalid"      // the webhook's stored configuration cannot be used
)

// Reasons lists them all; metrics are initialised from it.
var Reasons = []Reason{ReasonSuspended, ReasonGone, ReasonExhausted, ReasonDeadline, ReasonFormat, ReasonFilterError, ReasonBlocked, ReasonInvalid}

// Why says what led to the diversion.
type Why struct {
	Reason Reason
	// Epoch of the suspension, for ReasonSuspended.
	Epoch int64
	// Status of the last attempt, 0 when there was none or no answer.
	Status int
	// Error describes the failure for reading; never with a secret in it.
	Error string
}

// divertedHeader is the durable form of Why, in the header relay-diverted. Fields are only ever added.
type divertedHeader struct {
	Reason     Reason `json:"reason"`
	DivertedAt int64  `json:"divertedAt"` // Unix ms
	Epoch      int64  `json:"epoch,omitempty"`
	Status     int    `json:"status,omitempty"`
	Error      string `json:"error,omitempty"`
	Tenant     string `json:"tenant"`
}

// maxErrorBytes bounds the error text in the header (and so in Redis): enough to read, small beside the event.
const maxErrorBytes = 512

// headerSince is on a marker: when the resend began, Unix ms.
const headerSince = "relay-since"

func divertedRecord(topic string, d *relay.Delivery, why Why, now time.Time) *kgo.Record {
	// The stored delivery is one that nothing resolves yet; a resend names its key anew.
	stored := *d
	stored.DivertKey = ""
	header, _ := json.Marshal(divertedHeader{ // strings and numbers cannot fail
		Reason: why.Reason, DivertedAt: now.UnixMilli(), Epoch: why.Epoch, Status: why.Status,
		Error: truncate(why.Error, maxErrorBytes), Tenant: tenantOf(d.Event),
	})
	value := d.Event.Raw
	if value == nil {
		value = []byte{} // a record without a value is a tombstone: an empty event must not look like one
	}
	return &kgo.Record{
		Topic: topic, Key: []byte(KeyOf(d).String()), Value: value,
		Headers: append(relay.EncodeDelivery(&stored), kgo.RecordHeader{Key: relay.HeaderDiverted, Value: header}),
	}
}

func tombstone(topic string, key Key) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(key.String())}
}

func markerRecord(topic string, key Key, now time.Time) *kgo.Record {
	since := strconv.AppendInt(nil, now.UnixMilli(), 10)
	return &kgo.Record{Topic: topic, Key: []byte(key.marker()), Value: []byte{}, Headers: []kgo.RecordHeader{{Key: headerSince, Value: since}}}
}

func markerTombstone(topic string, key Key) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(key.marker())}
}

func barrierRecord(topic string, partition int32) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(barrierKey(partition)), Value: []byte{}}
}

// change is what a record of the topic says about its key.
type change int

const (
	changeNothing  change = iota // a barrier
	changeDiverted               // the generation is diverted
	changeRemoved                // the generation is resolved
	changeMarked                 // the generation is being resent
	changeUnmarked               // it no longer is
)

// classify reads the key and whether there is a value; it decodes nothing else.
func classify(rec *kgo.Record) (change, Key, error) {
	text := string(rec.Key)
	if strings.HasPrefix(text, barrierPrefix) {
		return changeNothing, Key{}, nil
	}
	text, marker := strings.CutSuffix(text, markerSuffix)
	key, err := ParseKey(text)
	switch {
	case err != nil:
		return changeNothing, Key{}, err
	case marker && rec.Value == nil:
		return changeUnmarked, key, nil
	case marker:
		return changeMarked, key, nil
	case rec.Value == nil:
		return changeRemoved, key, nil
	default:
		return changeDiverted, key, nil
	}
}

// DecodeDiverted reads the record of a diverted event. Errors match relay.ErrBadRecord. The detail's state is not in
// the record and reads as diverted.
func DecodeDiverted(rec *kgo.Record) (Detail, error) {
	kind, key, err := classify(rec)
	if err != nil {
		return Detail{}, err
	}
	if kind != changeDiverted {
		return Detail{}, fmt.Errorf("%w: key %q holds no diverted event", relay.ErrBadRecord, shorten(string(rec.Key)))
	}
	d, err := relay.DecodeDelivery(rec)
	if err != nil {
		return Detail{}, fmt.Errorf("diverted event %s: %w", key, err)
	}
	var h divertedHeader
	value, ok := relay.Header(rec, relay.HeaderDiverted)
	if !ok {
		return Detail{}, fmt.Errorf("diverted event %s: %w: no header %s", key, relay.ErrBadRecord, relay.HeaderDiverted)
	}
	if err := json.Unmarshal(value, &h); err != nil {
		return Detail{}, fmt.Errorf("diverted event %s: %w: header %s: %v", key, relay.ErrBadRecord, relay.HeaderDiverted, err)
	}
	if KeyOf(d) != key {
		return Detail{}, fmt.Errorf("diverted event %s: %w: it holds delivery %s", key, relay.ErrBadRecord, shorten(KeyOf(d).String()))
	}
	tenant := h.Tenant
	if tenant == "" {
		tenant = tenantOf(d.Event)
	}
	return Detail{
		Entry: Entry{
			DeliveryID: d.ID, UID: d.UID, Tenant: tenant, EventID: d.Event.ID, EventType: d.Event.Type,
			TransactionID: d.Event.TransactionID, DivertedAt: time.UnixMilli(h.DivertedAt), Reason: h.Reason, Epoch: h.Epoch,
			Attempts: d.Attempts, LastStatus: h.Status, LastError: h.Error, State: StateDiverted, Generation: key.Generation,
			Partition: rec.Partition, Offset: rec.Offset,
		},
		Delivery: d,
		Why:      Why{Reason: h.Reason, Epoch: h.Epoch, Status: h.Status, Error: h.Error},
	}, nil
}

func tenantOf(ev *catalog.Event) string {
	if ev.Tenant == "" {
		return catalog.DefaultTenant
	}
	return ev.Tenant
}

// truncate cuts text to at most that many bytes, never inside a character.
func truncate(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}
