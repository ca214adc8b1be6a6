package catalog

import (
	"crypto/subtle"
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
//
// The plaintext is behind a pointer because package fmt cannot call the methods of a value in an unexported field: it
// prints the bare fields there, of which this one is an address. For the same reason secrets do not compare: == would
// compare addresses.
type Secret struct {
	_     [0]func()
	plain *string // nil: not set
}

// NewSecret wraps a plaintext.
func NewSecret(plain string) Secret {
	if plain == "" {
		return Secret{}
	}
	return Secret{plain: &plain}
}

// Reveal returns the plaintext.
func (s Secret) Reveal() string {
	if s.plain == nil {
		return ""
	}
	return *s.plain
}

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.plain != nil }

// IsRedacted reports whether a client sent the placeholder back, meaning "keep what is stored".
func (s Secret) IsRedacted() bool { return s.Reveal() == Redacted }

// Equal compares the plaintexts, in a time that tells nothing but whether their lengths differ.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

func (s Secret) text() string {
	if !s.IsSet() {
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
func (s *Secret) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	plain, ok := jsonText(b)
	if !ok {
		return json.Unmarshal(b, new(string)) // says what it is instead
	}
	*s = NewSecret(plain)
	return nil
}
