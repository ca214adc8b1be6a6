package payload

import (
	"strings"
	"time"

	"eventrelay/catalog"
)

// rfc3339Millis is RFC 3339 with at least milliseconds, for times that have no more digits.
const rfc3339Millis = "2006-01-02T15:04:05.000Z07:00"

// appendOriginalTime appends the event's time as the platform wrote it, where it wrote RFC 3339 with at least the
// given number of digits of the second; else in UTC, with as many digits as the time has and at least so many (0 or
// 3). A receiver that compares texts, or stored one before it moved to the relay, sees no difference.
func appendOriginalTime(dst []byte, ev *catalog.Event, digits int) ([]byte, error) {
	if isRFC3339(ev.TimeText) && secondDigits(ev.TimeText) >= digits {
		return append(dst, ev.TimeText...), nil
	}
	if digits > 0 && ev.Time.Nanosecond()%int(time.Millisecond) == 0 {
		return appendTimeAs(dst, ev.Time, rfc3339Millis)
	}
	return appendTime(dst, ev.Time)
}

// isRFC3339 is strict where time.Parse is not (it accepts a comma before the fraction and one digit for the hour):
// what passes needs no escaping in JSON.
func isRFC3339(text string) bool {
	_, err := time.Parse(time.RFC3339Nano, text)
	return err == nil && len(text) >= len("2006-01-02T15:04:05Z") && text[13] == ':' && !strings.Contains(text, ",")
}

// secondDigits counts the digits of the second's fraction.
func secondDigits(text string) int {
	_, fraction, found := strings.Cut(text, ".")
	if !found {
		return 0
	}
	return len(fraction) - len(strings.TrimLeft(fraction, "0123456789"))
}
