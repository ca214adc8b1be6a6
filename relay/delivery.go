package relay

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"eventrelay/catalog"
)

// Coordinates name a record of a source topic for good: the topic's id, not only its name, so that a recreated
// topic is another topic.
type Coordinates struct {
	Topic     string   `json:"topic"`
	TopicID   [16]byte `json:"-"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
}

// Delivery is one event for one webhook, until it is settled. It belongs to one goroutine at a time: intake or
// retry until Submit, the endpoint's lane after it.
type Delivery struct {
	Event *catalog.Event
	// UID of the webhook. The webhook itself is looked up at each attempt, so that an edit takes effect at once.
	UID string
	// ID is the storage id: a hash of (uid, topic id, partition, offset). Two records that carry the same event id
	// are two deliveries.
	ID string
	// WebhookID is the webhook-id header: the same for every attempt, retry, resend, replay and duplicate.
	WebhookID string
	Source    Coordinates

	// Attempts made so far, counted over resends; the next one is Attempts+1.
	Attempts int
	// Retries used of the webhook's schedule since the last (re)send.
	Retries int
	// Gone: the last attempt was answered 410; a second 410 suspends the webhook.
	Gone bool
	// Read is when the relay first read the event; Deadline is when retrying ends (see DeadlineFor).
	Read, Deadline time.Time
	// MatchedAt is the registry offset it was matched at; an instance that is behind it waits.
	MatchedAt int64
	// Postponed counts rewrites that cost no attempt.
	Postponed int

	// DivertKey is set on a resend: the key of the diverted event that its settlement resolves.
	DivertKey string
	// Resends counts how often it was resent from the divert topic.
	Resends int

	// LastStatus and LastError describe the latest failed attempt, for the divert record and the attempt log.
	LastStatus int
	LastError  string

	// Alert is set on a delivery to the webhook's alert integration; nil on every other.
	Alert *Alert
}

// NewDelivery is a delivery that has not been tried. matchedAt is the registry offset of the snapshot it was
// matched against, schedule the webhook's waits between attempts.
func NewDelivery(ev *catalog.Event, uid string, src Coordinates, matchedAt int64, schedule []time.Duration, now time.Time) *Delivery {
	id := DeliveryID(uid, src)
	return &Delivery{
		Event: ev, UID: uid, ID: id, WebhookID: WebhookID(uid, ev, id), Source: src,
		Read: now, Deadline: DeadlineFor(schedule, now), MatchedAt: matchedAt,
	}
}

// minDeadline gives a delivery a day even when its schedule is short: postponements (open breaker, full lane) cost
// no attempt and need the time.
const minDeadline = 24 * time.Hour

// DeadlineFor is the schedule's sum, at least 24 h, postponements included; jitter (10 %) is allowed for.
func DeadlineFor(schedule []time.Duration, from time.Time) time.Time {
	var sum time.Duration
	for _, wait := range schedule {
		sum += wait + wait/10
	}
	return from.Add(max(sum, minDeadline))
}

// DeliveryID is the storage id of a delivery.
func DeliveryID(uid string, src Coordinates) string {
	var room [hashRoom]byte
	b := hashPart(room[:0], uid)
	b = hashPart(b, string(src.TopicID[:]))
	b = hashNumber(b, int64(src.Partition))
	b = hashNumber(b, src.Offset)
	return hashed("dlv_", b)
}

// WebhookID is the webhook-id header: a hash of (uid, event source, event id), or the storage id when the event has
// no id. It contains neither '.' nor anything that an event could choose, as Standard Webhooks asks.
func WebhookID(uid string, ev *catalog.Event, deliveryID string) string {
	if ev.ID == "" {
		return deliveryID
	}
	var room [hashRoom]byte
	b := hashPart(room[:0], uid)
	b = hashPart(b, ev.Source)
	b = hashPart(b, ev.ID)
	return hashed("msg_", b)
}

// hashRoom holds what is hashed of usual ids, so that it is built on the stack. Longer ones are built elsewhere.
const hashRoom = 256

// hashPart appends a part with its length before it, so that ("ab","c") and ("a","bc") differ.
func hashPart(b []byte, part string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(part))), part...)
}

// hashNumber is hashPart of the number's decimal digits.
func hashNumber(b []byte, n int64) []byte {
	var digits [20]byte // of the lowest int64, with its sign
	return hashPart(b, string(strconv.AppendInt(digits[:0], n, 10)))
}

// hashed is the prefix and the first half of the hash in hexadecimal: 128 bits.
func hashed(prefix string, b []byte) string {
	sum := sha256.Sum256(b)
	var room [4 + sha256.Size]byte
	return string(hex.AppendEncode(append(room[:0], prefix...), sum[:sha256.Size/2]))
}
