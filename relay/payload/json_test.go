package payload

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "plain", `"\`, "\x00\x1f\x7f\u2028\u2029", "<>&'", "ü€😀", "a\xffb", "\xed\xa0\x80"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := appendString([]byte("["), s)[1:]
		var back string
		require.NoError(t, json.Unmarshal(text, &back), "%s", text)
		require.Equal(t, toValid(s), back)
	})
}

// toValid is s as JSON carries it: each byte that is not UTF-8 is U+FFFD.
func toValid(s string) string { return string([]rune(s)) }

func TestIsJSONType(t *testing.T) {
	for mediaType, want := range map[string]bool{
		"": true, " ; q=1": true, "application/json": true, "Application/JSON; charset=utf-8": true, "text/json": true,
		"application/vnd.api+json": true, "application/problem+JSON ; a=b": true,
		"application/jsonl": false, "application/json-seq": false, "text/plain": false, "application/octet-stream": false,
		"json": false, "application/json+xml": false, "text/plain; x=application/json": false,
	} {
		require.Equal(t, want, isJSONType(mediaType), "%q", mediaType)
	}
}

func TestAppendTime(t *testing.T) {
	for want, at := range map[string]time.Time{
		"2026-03-01T12:34:56Z":           time.Date(2026, 3, 1, 13, 34, 56, 0, time.FixedZone("", 3600)),
		"2026-03-01T12:34:56.000000001Z": time.Date(2026, 3, 1, 12, 34, 56, 1, time.UTC),
		"2026-03-01T12:34:56.5Z":         time.Date(2026, 3, 1, 12, 34, 56, 5e8, time.UTC),
		"9999-12-31T23:59:59Z":           time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		"0001-01-01T00:00:00Z":           {},
	} {
		got, err := appendTime(nil, at)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err := appendTime(nil, time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600)))
	require.ErrorIs(t, err, ErrFormat, "it is the year 10000 in UTC")
}
