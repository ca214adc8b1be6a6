package catalog

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Redacted is how a secret reads in every answer, log line and error. A client that sends it back keeps the
// stored value, so that what it GETs it may PUT.
const Redacted = "redacted"

// Secret is a value that must never be printed, logged or marshalled. Every way of formatting it gives Redacted;
// Reveal is the one way to the plaintext, so that a search for its callers is a complete audit.
//
// The zero value means "not set" and marshals as an empty string.
type Secret struct{ plain string }

// NewSecret wraps a plaintext.
func NewSecret(plain string) Secret { return Secret{plain: plain} }

// Reveal returns the plaintext.
func (s Secret) Reveal() string { return s.plain }

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.plain != "" }

// IsRedacted reports whether a client sent the placeholder back, meaning "keep what is stored".
func (s Secret) IsRedacted() bool { return s.plain == Redacted }

func (s Secret) text() string {
	if s.plain == "" {
		return ""
	}
	return Redacted
}

// String implements fmt.Stringer without the plaintext.
func (s Secret) String() string { return s.text() }

// GoString implements fmt.GoStringer without the plaintext.
func (s Secret) GoString() string { return s.text() }

// Format implements fmt.Formatter so that no verb, %x and %q included, reaches the plaintext.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.text())) }

// LogValue implements slog.LogValuer without the plaintext.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.text()) }

// MarshalJSON writes the placeholder, never the plaintext.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.text()) }

// MarshalText writes the placeholder, never the plaintext.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.text()), nil }

// UnmarshalJSON reads a plaintext (or the placeholder) that a client sent.
func (s *Secret) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &s.plain) }
