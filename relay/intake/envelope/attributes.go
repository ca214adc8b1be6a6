package envelope

import (
	"strings"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"eventrelay/catalog"
)

// Bounds of the attributes: everything of an event that is not its data. They travel in one header of the relay's
// own records, as JSON, next to some 2 KiB about the delivery; relay.EnvelopeBytes allows 64 KiB for all of it.
const (
	// MaxTypeBytes bounds the event type.
	MaxTypeBytes = catalog.MaxEventTypeLength
	// MaxAttributeBytes bounds each other attribute.
	MaxAttributeBytes = 1 << 10
	// MaxAttributesBytes bounds all of them together, as JSON text: escaped, '<' takes six bytes.
	MaxAttributesBytes = 16 << 10
)

// seal checks the attributes of ev and replaces them by copies in one allocation of their own. Until then they may
// be views of the record.
func seal(ev *catalog.Event) error {
	attributes := [...]struct {
		name string
		text *string
	}{
		{"type", &ev.Type}, {"id", &ev.ID}, {"source", &ev.Source}, {"subject", &ev.Subject}, {"time", &ev.TimeText},
		{"tenant", &ev.Tenant}, {"office", &ev.Office}, {"transaction id", &ev.TransactionID},
		{"user name", &ev.User.Name}, {"user id", &ev.User.ID}, {"user pool id", &ev.User.PoolID}, {"user originator", &ev.User.Originator},
		{"data content type", &ev.DataContentType}, {"traceparent", &ev.TraceParent}, {"tracestate", &ev.TraceState},
	}
	length, escaped := 0, 0
	for i := range attributes {
		name, text := attributes[i].name, *attributes[i].text
		if len(text) > MaxAttributeBytes {
			return reject(ReasonBadAttribute, "%s is %d bytes long, allowed are %d", name, len(text), MaxAttributeBytes)
		}
		if !printable(text) {
			return reject(ReasonBadAttribute, "%s contains a control character or is not UTF-8", name)
		}
		length += len(text)
		escaped += jsonLength(text)
	}
	switch {
	case ev.Type == "":
		return reject(ReasonNoType, "the type is empty")
	case len(ev.Type) > MaxTypeBytes:
		return reject(ReasonBadAttribute, "type is %d bytes long, allowed are %d", len(ev.Type), MaxTypeBytes)
	case strings.ContainsFunc(ev.Type, unicode.IsSpace):
		return reject(ReasonBadAttribute, "type contains white space")
	case escaped > MaxAttributesBytes:
		return reject(ReasonBadAttribute, "all attributes together take %d bytes, allowed are %d", escaped, MaxAttributesBytes)
	}
	var own strings.Builder
	own.Grow(length)
	for i := range attributes {
		own.WriteString(*attributes[i].text)
	}
	rest := own.String()
	for i := range attributes {
		n := len(*attributes[i].text)
		*attributes[i].text, rest = rest[:n], rest[n:]
	}
	return nil
}

// printable reports whether text is UTF-8 without control characters (C0, DEL and C1): what can go into headers, log
// lines and a terminal without being taken for something else.
func printable(text string) bool {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if (r == utf8.RuneError && size == 1) || r < 0xa0 {
			return false
		}
		i += size
	}
	return true
}

// jsonLength is the most that printable text takes inside a JSON string as encoding/json writes it.
func jsonLength(text string) int {
	n := len(text)
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"', '\\':
			n++
		case '<', '>', '&':
			n += len(`\u003c`) - 1
		case 0xe2: // may begin U+2028 or U+2029, which are escaped: three bytes become six
			n += 3
		}
	}
	return n
}

// view is b as a string without a copy. The bytes of a record are never modified while it is decoded, and seal copies
// whatever outlives that.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
