package receive

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind checks one member; its value is nil when the member is missing.
type kind func(value json.RawMessage) error

// members are the names that a page documents, and what they hold.
type members map[string]kind

// read takes an object apart that has these members and no others.
func read(object []byte, want members) (map[string]json.RawMessage, error) {
	var got map[string]json.RawMessage
	if err := json.Unmarshal(object, &got); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if want[name] == nil {
			return nil, fmt.Errorf("the member %.64q is not documented", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if err := want[name](got[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return got, nil
}

// unquote gives the text of a member that a kind has checked to be one; "" when it is none.
func unquote(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

var errMissing = errors.New("it is missing")

func anything(value json.RawMessage) error {
	if value == nil {
		return errMissing
	}
	return nil
}

// optional is a member that may be left out, which null is not.
func optional(is kind) kind {
	return func(value json.RawMessage) error {
		if value == nil {
			return nil
		}
		return is(value)
	}
}

func textOrEmpty(value json.RawMessage) error {
	if value == nil {
		return errMissing
	}
	var s *string
	if json.Unmarshal(value, &s) != nil || s == nil {
		return errors.New("it is not a string")
	}
	return nil
}

func text(value json.RawMessage) error {
	if err := textOrEmpty(value); err != nil {
		return err
	}
	if unquote(value) == "" {
		return errors.New("it is empty")
	}
	return nil
}

// exactly is a text that the page gives.
func exactly(want string) kind {
	return func(value json.RawMessage) error {
		if err := text(value); err != nil {
			return err
		}
		if unquote(value) != want {
			return fmt.Errorf("it is not %q", want)
		}
		return nil
	}
}

func object(value json.RawMessage) error {
	if value == nil {
		return errMissing
	}
	if len(value) == 0 || value[0] != '{' {
		return errors.New("it is not an object")
	}
	return nil
}

func boolean(value json.RawMessage) error {
	switch string(value) {
	case "":
		return errMissing
	case "true", "false":
		return nil
	}
	return errors.New("it is not a boolean")
}

// epochMillis is a time as Socotra writes it: milliseconds since 1970, as text.
func epochMillis(value json.RawMessage) error {
	if err := text(value); err != nil {
		return err
	}
	if _, err := strconv.ParseInt(unquote(value), 10, 64); err != nil {
		return errors.New("it is not a number of milliseconds")
	}
	return nil
}

func dateTime(value json.RawMessage) error {
	if err := text(value); err != nil {
		return err
	}
	var at time.Time
	return json.Unmarshal(value, &at) // RFC 3339 and nothing else
}

func dateTimeMillis(value json.RawMessage) error {
	if err := dateTime(value); err != nil {
		return err
	}
	_, fraction, _ := strings.Cut(unquote(value), ".")
	digits := strings.IndexFunc(fraction, func(r rune) bool { return r < '0' || r > '9' })
	if digits < len("000") {
		return errors.New("it has no milliseconds")
	}
	return nil
}
