package catalog

import (
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Bounds of the headers that a webhook, integration or override may set.
const (
	MaxHeaders           = 32
	MaxHeaderNameLength  = 256  // bytes
	MaxHeaderValueLength = 4096 // bytes
)

// ErrHeader is matched by every error of CheckHeader. The errors name the header, never its value.
var ErrHeader = errors.New("header not allowed")

// ownHeaders are those that the relay, its HTTP client or HTTP itself sets. Letting a webhook set them would let it
// smuggle requests, forge the relay's identity, or hide credentials where nobody redacts them. In lower case.
var ownHeaders = map[string]string{
	"host":              "it follows from the URL",
	"content-length":    "it follows from the body",
	"content-type":      "it follows from the format",
	"transfer-encoding": "it belongs to the connection",
	"connection":        "it belongs to the connection",
	"keep-alive":        "it belongs to the connection",
	"upgrade":           "it belongs to the connection",
	"http2-settings":    "it belongs to the connection",
	"te":                "it belongs to the connection",
	"trailer":           "it belongs to the connection",
	"expect":            "it belongs to the connection",
	"via":               "it names proxies",
	"forwarded":         "it names proxies",
	"idempotency-key":   "receivers tell duplicates by webhook-id",
	"user-agent":        "the relay's is fixed",
	"traceparent":       "it follows from the event",
	"tracestate":        "it follows from the event",
	"authorization":     "credentials belong in auth",
	"cookie":            "credentials belong in auth",
	"x-webhook-token":   "it is the signature of a format",
}

var ownHeaderPrefixes = map[string]string{
	"proxy-":       "it belongs to proxies",
	"webhook-":     "the relay sets these",
	"x-forwarded-": "it names proxies",
	// Whatever the webhook's own format is: a receiver of several must not take a custom header for a signature.
	"ophelos-": "the relay sets these in a format",
	"socotra-": "the relay sets these in a format",
	"ce-":      "the relay sets these in a format",
}

// CheckHeader says whether a webhook may set a header to a value. The grammar is an allow-list: a token for the
// name; visible ASCII, spaces and tabs for the value.
func CheckHeader(name, value string) error {
	if err := checkHeaderName(name); err != nil {
		return err
	}
	lower := strings.ToLower(name)
	if why, own := ownHeaders[lower]; own {
		return fmt.Errorf("%w: %s: %s", ErrHeader, lower, why)
	}
	for prefix, why := range ownHeaderPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return fmt.Errorf("%w: %s: %s", ErrHeader, lower, why)
		}
	}
	return checkHeaderValue(name, value)
}

// CheckAuthHeader says whether auth of type "header" may use a header: like CheckHeader, but Authorization is the
// usual choice there, since the value is treated as a secret.
func CheckAuthHeader(name, value string) error {
	if strings.EqualFold(name, "authorization") {
		return checkHeaderValue(name, value)
	}
	return CheckHeader(name, value)
}

func checkHeaderName(name string) error {
	if len(name) > MaxHeaderNameLength {
		return fmt.Errorf("%w: a name is longer than %d bytes", ErrHeader, MaxHeaderNameLength)
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%w: %q is not a header name", ErrHeader, name)
	}
	return nil
}

func checkHeaderValue(name, value string) error {
	if len(value) > MaxHeaderValueLength {
		return fmt.Errorf("%w: %s: the value is longer than %d bytes", ErrHeader, name, MaxHeaderValueLength)
	}
	for i := range len(value) {
		if c := value[i]; c != '\t' && (c < ' ' || c >= 0x7f) {
			return fmt.Errorf("%w: %s: the value has a control or non-ASCII character at byte %d", ErrHeader, name, i)
		}
	}
	return nil
}

// canonicalHeaders gives names their canonical form, so that "win by name" is independent of case. Two names that
// differ in case only are both kept, for validation to refuse, rather than one of them lost at random.
func canonicalHeaders(headers map[string]string) map[string]string {
	if headers == nil {
		return nil
	}
	uses := make(map[string]int, len(headers))
	for name := range headers {
		uses[textproto.CanonicalMIMEHeaderKey(name)]++
	}
	canonical := make(map[string]string, len(headers))
	for name, value := range headers {
		if key := textproto.CanonicalMIMEHeaderKey(name); uses[key] == 1 {
			name = key
		}
		canonical[name] = value
	}
	return canonical
}
