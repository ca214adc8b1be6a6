package catalog

import (
	"errors"
	"fmt"
	"strings"
)

// PatternKind is the form of a Pattern; an index keeps each kind in a structure of its own.
type PatternKind uint8

// The kinds of pattern.
const (
	// PatternExact names one event type, or every version of one that is versioned.
	PatternExact PatternKind = iota
	// PatternPrefix ("debt.*") names all event types that begin with the part before the asterisk.
	PatternPrefix
	// PatternAll ("*") names every event type but the relay's own.
	PatternAll
)

// String implements fmt.Stringer.
func (k PatternKind) String() string {
	switch k {
	case PatternExact:
		return "exact"
	case PatternPrefix:
		return "prefix"
	case PatternAll:
		return "all"
	default:
		return fmt.Sprintf("PatternKind(%d)", uint8(k))
	}
}

// MaxEventTypeLength bounds the name of an event type, and so a pattern, in bytes.
const MaxEventTypeLength = 256

// relayPrefix begins the names of the relay's own event types. They are matched by exact name only, so that a
// webhook for "*" is never told about itself.
const relayPrefix = "relay."

// ErrPattern is matched by every error of ParsePattern.
var ErrPattern = errors.New("not an event pattern")

// Pattern says which event types a webhook wants: "debt.paid", "debt.*" or "*". The zero value matches nothing.
type Pattern struct {
	kind PatternKind
	text string
}

// ParsePattern reads a pattern. Names are visible ASCII without spaces; an asterisk stands alone or after a dot at
// the end.
func ParsePattern(text string) (Pattern, error) {
	switch {
	case text == "":
		return Pattern{}, fmt.Errorf("%w: it is empty", ErrPattern)
	case len(text) > MaxEventTypeLength:
		return Pattern{}, fmt.Errorf("%w: longer than %d bytes", ErrPattern, MaxEventTypeLength)
	case text == "*":
		return Pattern{kind: PatternAll, text: text}, nil
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f {
			return Pattern{}, fmt.Errorf("%w: %q has a space, a control or a non-ASCII character", ErrPattern, text)
		}
	}
	kind, name := PatternExact, text
	if before, isPrefix := strings.CutSuffix(text, "*"); isPrefix {
		kind, name = PatternPrefix, before
		if len(name) < 2 || !strings.HasSuffix(name, ".") {
			return Pattern{}, fmt.Errorf("%w: in %q the asterisk has to follow a name and a dot, as in \"debt.*\"", ErrPattern, text)
		}
		if strings.HasPrefix(name, relayPrefix) {
			return Pattern{}, fmt.Errorf("%w: %q: the relay's own events are subscribed to by exact name only", ErrPattern, text)
		}
	}
	if strings.Contains(name, "*") {
		return Pattern{}, fmt.Errorf("%w: in %q the asterisk is not at the end", ErrPattern, text)
	}
	return Pattern{kind: kind, text: name}, nil
}

// Kind is the form of the pattern.
func (p Pattern) Kind() PatternKind { return p.kind }

// Text is what an index looks up: the event type of an exact pattern, what a prefix pattern's types begin with (the
// dot included, "debt."), or "*".
func (p Pattern) Text() string { return p.text }

// String is the pattern as it was written.
func (p Pattern) String() string {
	if p.kind == PatternPrefix {
		return p.text + "*"
	}
	return p.text
}

// Match reports whether the pattern names an event type. An exact pattern without a version suffix also matches
// every version of a type that the catalog marks as versioned; an index does the same with VersionBase.
func (p Pattern) Match(eventType string) bool {
	switch p.kind {
	case PatternAll:
		return p.text != "" && !IsRelayEvent(eventType)
	case PatternPrefix:
		return strings.HasPrefix(eventType, p.text) && !IsRelayEvent(eventType)
	default:
		if p.text == eventType {
			return p.text != ""
		}
		base, versioned := VersionBase(eventType)
		return versioned && p.text == base
	}
}

// IsRelayEvent reports whether an event type is one of the relay's own, which exact patterns alone match.
func IsRelayEvent(eventType string) bool { return strings.HasPrefix(eventType, relayPrefix) }
