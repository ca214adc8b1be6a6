package payload

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"eventrelay/catalog"
)

// jsonData gives the event's data for splicing; no data is null. The bytes decide whether data is JSON, not its declared
// media type, which a body that splices data does not carry.
func jsonData(ev *catalog.Event) ([]byte, error) {
	if len(ev.Data) == 0 {
		return []byte("null"), nil
	}
	if !ev.DataIsJSON() {
		return nil, fmt.Errorf("%w: data is not JSON", ErrFormat)
	}
	return ev.Data, nil
}

// isJSONType reports whether a media type declares JSON: subtype json, or the suffix +json. None declared means JSON.
func isJSONType(mediaType string) bool {
	base, _, _ := strings.Cut(mediaType, ";")
	base = strings.TrimSpace(base)
	if base == "" {
		return true
	}
	_, subtype, _ := strings.Cut(base, "/")
	if i := strings.LastIndexByte(subtype, '+'); i >= 0 {
		subtype = subtype[i+1:]
	}
	return strings.EqualFold(subtype, "json")
}

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte { return gjson.AppendJSONString(dst, s) }

// appendField appends ,"name":"value". Names are constants of this package and need no escaping.
func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	return appendString(dst, value)
}

// appendTime appends t as RFC 3339 in UTC, with as many digits of the second as it has. RFC 3339 has no years beyond
// 9999, which come from a platform that mixed up its units.
func appendTime(dst []byte, t time.Time) ([]byte, error) {
	return appendTimeAs(dst, t, time.RFC3339Nano)
}

func appendTimeAs(dst []byte, t time.Time, layout string) ([]byte, error) {
	t = t.UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		return dst, fmt.Errorf("%w: the event's time is in the year %d", ErrFormat, year)
	}
	return t.AppendFormat(dst, layout), nil
}
