package bench

import (
	"bytes"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// eventBytes is the size of an event's value: a usual event of the platforms.
const eventBytes = 606

// What the receiver looks for in a request: the event's number and publishing time, first in its data, and which of
// the webhooks that want it this is.
var (
	numberMark = []byte(`{"seq":`)
	timeMark   = []byte(`,"at":`)
	slotMark   = []byte("\n" + slotHeader + ": ")
)

// slotHeader tells the receiver which of the webhooks that want an event a delivery is for.
const slotHeader = "Bench-Slot"

// eventValue is the data of event number seq, published at: eventBytes of JSON.
func eventValue(seq int, at time.Time) []byte {
	b := make([]byte, 0, eventBytes+1)
	b = append(b, numberMark...)
	b = strconv.AppendInt(b, int64(seq), 10)
	b = append(b, timeMark...)
	b = strconv.AppendInt(b, at.UnixNano(), 10)
	b = append(b, `,"amount":129.95,"note":"`...)
	const end = `","tags":["open","second reminder"],"currency":"EUR"}`
	for len(b) < eventBytes-len(end) {
		b = append(b, "0123456789 abcdefghij "[:min(22, eventBytes-len(end)-len(b))]...)
	}
	return append(b, end...)
}

// readEvent finds the number and time of an event in a request's body.
func readEvent(body []byte) (seq int, at int64, ok bool) {
	i := bytes.Index(body, numberMark)
	if i < 0 {
		return 0, 0, false
	}
	number, rest, ok := leadingInt(body[i+len(numberMark):])
	if !ok || !bytes.HasPrefix(rest, timeMark) {
		return 0, 0, false
	}
	at, _, ok = leadingInt(rest[len(timeMark):])
	return int(number), at, ok
}

// leadingInt reads the digits that b begins with.
func leadingInt(b []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		n = n*10 + int64(b[i]-'0')
		i++
	}
	return n, b[i:], i > 0
}

// eventRecord is event number seq as a platform publishes it: a CloudEvent in binary mode.
func eventRecord(topic, tenant, eventType string, seq int, at time.Time) *kgo.Record {
	id := strconv.AppendInt([]byte("evt-"), int64(seq), 10)
	return &kgo.Record{Topic: topic, Key: id, Value: eventValue(seq, at), Headers: []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: id}, {Key: "ce_source", Value: []byte("/bench")},
		{Key: "ce_type", Value: []byte(eventType)}, {Key: "ce_tenant", Value: []byte(tenant)},
		{Key: "ce_time", Value: at.UTC().AppendFormat(nil, time.RFC3339Nano)},
	}}
}
