package outbound

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for name, tc := range map[string]struct {
		status int
		values []string
		want   time.Duration
	}{
		"none":                  {429, nil, 0},
		"seconds":               {429, []string{"5"}, 5 * time.Second},
		"seconds of a 503":      {503, []string{"5"}, 5 * time.Second},
		"not of a 500":          {500, []string{"5"}, 0},
		"not of a 200":          {200, []string{"5"}, 0},
		"zero":                  {429, []string{"0"}, 0},
		"date":                  {429, []string{date(90 * time.Second)}, 90 * time.Second},
		"past date":             {429, []string{date(-time.Hour)}, 0},
		"far date":              {429, []string{date(1000 * time.Hour)}, MaxRetryAfter},
		"RFC 850 date":          {429, []string{"Sunday, 01-Mar-26 12:00:07 GMT"}, 7 * time.Second},
		"negative":              {429, []string{"-1"}, 0},
		"exponent":              {429, []string{"1e9"}, 0},
		"a thousand million":    {429, []string{"1000000000"}, MaxRetryAfter},
		"digits that overflow":  {429, []string{"99999999999999999999999999"}, MaxRetryAfter},
		"fraction":              {429, []string{"1.5"}, 0},
		"junk":                  {429, []string{"soon"}, 0},
		"empty":                 {429, []string{""}, 0},
		"two headers":           {429, []string{"5", "30"}, 30 * time.Second},
		"two headers, one junk": {429, []string{"soon", "5"}, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			values := func(string) []string { return tc.values }
			require.Equal(t, tc.want, retryAfter(tc.status, values, func() time.Time { return now }))
		})
	}
}

func TestRetryAfterIsReadFromResponses(t *testing.T) {
	r := receive(t, serve("HTTP/1.1 429 Slow Down\r\nretry-after: 3\r\nRETRY-AFTER: 7\r\nContent-Length: 0\r\n\r\n"))
	got := newClient(t, Options{}).Do(t.Context(), post(r.url(), ample))
	require.Equal(t, 429, got.Status)
	require.Equal(t, 7*time.Second, got.RetryAfter)
}

func FuzzParseRetryAfter(f *testing.F) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, seed := range []string{"5", "-1", "1e9", "99999999999999999999", "Sun, 01 Mar 2026 12:00:07 GMT", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := parseRetryAfter(value, now)
		require.GreaterOrEqual(t, got, time.Duration(0))
		require.LessOrEqual(t, got, MaxRetryAfter)
	})
}
