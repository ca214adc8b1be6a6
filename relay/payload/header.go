package payload

import (
	"strconv"
	"strings"

	"eventrelay/catalog"
)

// The headers that deliveries carry.
const (
	headerID          = "webhook-id"
	headerTimestamp   = "webhook-timestamp"
	headerAttempt     = "webhook-attempt"
	headerEventID     = "webhook-event-id"
	headerEventType   = "webhook-event-type"
	headerSignature   = "webhook-signature"
	headerContentType = "content-type"
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
)

// Media types that the relay names itself.
const (
	mediaJSON        = "application/json"
	mediaOctets      = "application/octet-stream"
	mediaCloudEvents = "application/cloudevents" // prefix of +json and of the batch and other structured modes
)

// addCommon adds what every format's request carries. There is no Idempotency-Key, because HTTP clients that see one
// repeat a POST unasked.
func (m *Message) addCommon(a *attempt) {
	m.add(headerID, a.id)
	m.add(headerTimestamp, a.timestamp)
	m.add(headerAttempt, strconv.Itoa(a.Attempts+1))
	if a.Event.ID != "" {
		m.add(headerEventID, escape(a.Event.ID, &visible))
	}
	if a.Event.Type != "" {
		m.add(headerEventType, escape(a.Event.Type, &visible))
	}
	if !isTraceParent(a.Event.TraceParent) {
		return
	}
	m.add(headerTraceParent, a.Event.TraceParent)
	if s := a.Event.TraceState; s != "" && len(s) <= maxTraceState && printable(s) {
		m.add(headerTraceState, s)
	}
}

// maxTraceState bytes of tracestate are passed on: what W3C Trace Context asks for at least. Longer ones are dropped.
const maxTraceState = 512

// isTraceParent reports whether s has the shape of version-traceid-parentid-flags, longer versions included. Anything
// else is dropped, since escaping would not make a trace context of it.
func isTraceParent(s string) bool {
	const v0 = len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if len(s) < v0 || len(s) > 2*v0 || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// byteSet says which bytes of a header value may stand for themselves.
type byteSet [256]bool

var (
	// visible is visible ASCII. The percent sign is encoded too, so that a reader can decode without guessing.
	visible = visibleExcept("%")
	// cloudEventsSafe is the set of the CloudEvents HTTP binding (section 3.1.3.2): visible ASCII without double
	// quote and percent sign.
	cloudEventsSafe = visibleExcept(`%"`)
)

func visibleExcept(chars string) (set byteSet) {
	for c := '!'; c <= '~'; c++ {
		set[c] = !strings.ContainsRune(chars, c)
	}
	return set
}

// escape percent-encodes the bytes of s that are not in the set: a value from an event can neither end the header
// (CR, LF) nor become ambiguous. Invalid UTF-8 is encoded byte for byte. What needs no encoding is not copied.
func escape(s string, keep *byteSet) string {
	dirty := 0
	for i := range len(s) {
		if !keep[s[i]] {
			dirty++
		}
	}
	if dirty == 0 {
		return s
	}
	const upperHex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 2*dirty)
	for i := range len(s) {
		if c := s[i]; keep[c] {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// contentType is the media type of the event's data as a header value. Data without one is JSON; one that no header
// can carry says nothing, so the data is plain octets.
func contentType(ev *catalog.Event) string {
	t := strings.TrimSpace(ev.DataContentType)
	switch {
	case t == "":
		return mediaJSON
	case !printable(t):
		return mediaOctets
	}
	return t
}

// printable reports whether s is ASCII without control characters.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
