package outbound

import (
	"net/http"
	"time"
)

// MaxRetryAfter caps what a receiver may ask for: its wish lengthens a schedule, it must not park a delivery.
const MaxRetryAfter = 24 * time.Hour

// retryAfter reads the Retry-After values of a response: the longest wish among the valid ones, so that a second,
// contradicting header is no way around the first. 0 when nothing valid is there, or the status has no use for it;
// then neither function is called.
func retryAfter[V string | []byte](status int, values func(name string) []V, now func() time.Time) time.Duration {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return 0
	}
	var longest time.Duration
	for _, value := range values("Retry-After") {
		longest = max(longest, parseRetryAfter(string(value), now()))
	}
	return longest
}

// parseRetryAfter reads one value (RFC 9110, 10.2.3): digits, in seconds, or an HTTP date. Anything else is 0.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if seconds, ok := parseDigits(value); ok {
		return min(time.Duration(seconds)*time.Second, MaxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}

// parseDigits stops counting above MaxRetryAfter, so that no number of digits overflows.
func parseDigits(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n <= int64(MaxRetryAfter/time.Second) {
			n = n*10 + int64(s[i]-'0')
		}
	}
	return n, s != ""
}
