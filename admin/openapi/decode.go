package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxDepth is how deeply arrays and objects may nest; a webhook's filter, the deepest documented value, needs 16 and
// its place in the body.
const MaxDepth = 64

// SyntaxError says why a text is not one JSON value that is safe to interpret. Its text never repeats the input
// beyond the name of a member.
type SyntaxError struct {
	Offset int64 // bytes from the start of the text
	Reason string
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %s", e.Offset, e.Reason) }

// Decode reads exactly one JSON value as nil, bool, string, json.Number, []any or map[string]any. Stricter than
// encoding/json: a member that occurs twice is refused, because two readers could each see another value, and so are
// invalid UTF-8, which would be replaced silently, and nesting beyond MaxDepth. Errors are *SyntaxError.
func Decode(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, &SyntaxError{Reason: "not valid UTF-8"}
	}
	d := decoder{json.NewDecoder(bytes.NewReader(text))}
	d.UseNumber()
	value, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, d.fail("more follows after the value")
	}
	return value, nil
}

type decoder struct{ *json.Decoder }

func (d decoder) fail(reason string) error {
	return &SyntaxError{Offset: d.InputOffset(), Reason: reason}
}

func (d decoder) token() (json.Token, error) {
	token, err := d.Token()
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return token, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, d.fail("ends too early")
	case errors.As(err, &syntax):
		return nil, &SyntaxError{Offset: syntax.Offset, Reason: "not valid JSON"}
	default:
		return nil, d.fail("not valid JSON")
	}
}

func (d decoder) value(depth int) (any, error) {
	token, err := d.token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth >= MaxDepth {
		return nil, d.fail(fmt.Sprintf("nested more than %d levels deep", MaxDepth))
	}
	if delim == '[' {
		return d.array(depth)
	}
	return d.object(depth)
}

func (d decoder) array(depth int) (any, error) {
	items := []any{}
	for d.More() {
		item, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := d.token() // ']'
	return items, err
}

func (d decoder) object(depth int) (any, error) {
	members := map[string]any{}
	for d.More() {
		token, err := d.token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, d.fail("a member has no name")
		}
		if _, twice := members[name]; twice {
			return nil, d.fail(fmt.Sprintf("member %q occurs twice", member("", name)))
		}
		if members[name], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := d.token() // '}'
	return members, err
}
