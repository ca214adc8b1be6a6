package envelope

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// timeLayouts are tried in order. The first is what CloudEvents asks for and nearly everybody writes; the others are
// what common serialisers write instead. A text without an offset is taken as UTC.
var timeLayouts = [...]string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05",
}

const (
	// An epoch below this magnitude counts seconds (up to the year 5138), from it on milliseconds (from 1973 on).
	firstEpochMillis = 100_000_000_000
	// 9999-12-31T23:59:59Z in seconds since 1970: the last second that RFC 3339 can write.
	maxEpochSeconds = 253_402_300_799
)

// parseTime reads RFC 3339 and its neighbours, and seconds or milliseconds since 1970 in digits.
func parseTime(text string) (time.Time, bool) {
	if t, ok := parseEpoch(text); ok {
		return t, writable(t)
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			t = t.UTC()
			return t, writable(t)
		}
	}
	return time.Time{}, false
}

// parseEpoch reads a number. Most times are not one, and strconv allocates to say so; it also reads "inf" and hex.
func parseEpoch(text string) (time.Time, bool) {
	if strings.Trim(text, "0123456789+-.eE") != "" {
		return time.Time{}, false
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n > -firstEpochMillis && n < firstEpochMillis {
			return time.Unix(n, 0).UTC(), true
		}
		return time.UnixMilli(n).UTC(), true
	}
	// 1700000000.123 and 1.7e9: seconds with a fraction, as Python and JavaScript write them.
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return time.Time{}, false
	}
	if math.Abs(f) >= firstEpochMillis {
		f /= 1000
	}
	if math.Abs(f) > maxEpochSeconds {
		return time.Time{}, false
	}
	// A float64 of today's seconds holds about a quarter of a microsecond; finer digits would be noise.
	return time.UnixMicro(int64(math.Round(f * 1e6))).UTC(), true
}

// writable reports whether t survives being written as RFC 3339 and read back, as retry and diverted records do.
func writable(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 0 && year <= 9999
}

// recordTime is the timestamp of the record, kept inside what can be written: producers choose it freely.
func recordTime(t time.Time) time.Time {
	switch {
	case writable(t):
		return t.UTC()
	case t.Unix() > maxEpochSeconds:
		return time.Unix(maxEpochSeconds, 0).UTC()
	default:
		return time.Unix(0, 0).UTC()
	}
}
