package openapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Schema is the part of JSON Schema 2020-12 that the document uses, references resolved. A keyword that is not
// listed here is refused when the document is loaded, so that no constraint is ever written down and not checked.
// It is immutable after Parse.
type Schema struct {
	types                []string // empty: any
	properties           map[string]*Schema
	required             []string
	additional           *Schema // nil: forbidden where closed is set, else anything
	closed               bool
	maxProperties        *int
	items                *Schema
	minItems, maxItems   *int
	enum                 []string
	anyOf                []*Schema
	minLength, maxLength *int // Unicode code points
	pattern              *regexp.Regexp
	minimum, maximum     *big.Rat
	dateTime             bool
	readOnly             bool
}

// Violation is one way in which a value does not satisfy a schema. Path is in the form "overrides[0].auth.type",
// empty for the whole value. Message never repeats the value, which may be a secret.
type Violation struct {
	Path, Message string
}

// maxViolations bounds the answer to a body that is wrong throughout.
const maxViolations = 100

// Check lists what is wrong with a value that Decode gave: nil, bool, string, json.Number, []any or map[string]any.
func (s *Schema) Check(value any) []Violation {
	c := checker{}
	c.check(s, "", value)
	slices.SortStableFunc(c.found, func(a, b Violation) int { return cmp.Compare(a.Path, b.Path) })
	return c.found
}

// ReadOnly lists the properties that are answered and ignored when sent back.
func (s *Schema) ReadOnly() []string {
	var names []string
	for name, p := range s.properties {
		if p.readOnly {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

type checker struct{ found []Violation }

func (c *checker) add(path, format string, args ...any) {
	if len(c.found) < maxViolations {
		c.found = append(c.found, Violation{Path: path, Message: fmt.Sprintf(format, args...)})
	}
}

func (c *checker) check(s *Schema, path string, value any) {
	if len(s.types) > 0 && !slices.ContainsFunc(s.types, func(t string) bool { return isType(t, value) }) {
		c.add(path, "must be %s", articles(s.types))
		return
	}
	if s.enum != nil {
		if text, ok := value.(string); !ok || !slices.Contains(s.enum, text) {
			c.add(path, "must be one of %s", strings.Join(s.enum, ", "))
			return
		}
	}
	if s.anyOf != nil {
		c.checkAny(s, path, value)
	}
	switch v := value.(type) {
	case string:
		c.checkString(s, path, v)
	case json.Number:
		c.checkNumber(s, path, v)
	case []any:
		c.checkArray(s, path, v)
	case map[string]any:
		c.checkObject(s, path, v)
	}
}

// checkAny reports the violations of the one alternative that is meant for values of this JSON type, so that the
// message says what is wrong inside; when none is, that nothing fits.
func (c *checker) checkAny(s *Schema, path string, value any) {
	var meant []Violation
	for _, alternative := range s.anyOf {
		inner := checker{}
		inner.check(alternative, path, value)
		if len(inner.found) == 0 {
			return
		}
		if alternative.meantFor(value) {
			meant = inner.found
		}
	}
	if meant == nil {
		c.add(path, "matches none of the documented forms")
		return
	}
	c.found = append(c.found, meant...)
}

func (s *Schema) meantFor(value any) bool {
	if s.enum != nil {
		return isType("string", value)
	}
	return slices.ContainsFunc(s.types, func(t string) bool { return isType(t, value) })
}

func (c *checker) checkString(s *Schema, path, v string) {
	n := utf8.RuneCountInString(v)
	if s.minLength != nil && n < *s.minLength {
		if *s.minLength == 1 {
			c.add(path, "must not be empty")
		} else {
			c.add(path, "must have at least %d characters", *s.minLength)
		}
	}
	if s.maxLength != nil && n > *s.maxLength {
		c.add(path, "must have at most %d characters", *s.maxLength)
		return
	}
	if s.pattern != nil && !s.pattern.MatchString(v) {
		c.add(path, "must match %s", s.pattern)
	}
	if s.dateTime {
		if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
			c.add(path, "must be a time such as 2026-01-31T12:00:00Z")
		}
	}
}

// maxNumberText bounds the digits of a number that is compared; a float64 needs at most 24.
const maxNumberText = 64

func (c *checker) checkNumber(s *Schema, path string, v json.Number) {
	if s.minimum == nil && s.maximum == nil {
		return
	}
	// The magnitude is bounded before the number is expanded exactly: 1e999999999 would not fit into memory. What is
	// too small for a float64 is taken for zero.
	f, err := v.Float64()
	if err != nil || len(v) > maxNumberText {
		c.add(path, "is out of range")
		return
	}
	r := new(big.Rat)
	if f != 0 {
		r.SetString(v.String())
	}
	if s.minimum != nil && r.Cmp(s.minimum) < 0 {
		c.add(path, "must be at least %s", s.minimum.RatString())
	}
	if s.maximum != nil && r.Cmp(s.maximum) > 0 {
		c.add(path, "must be at most %s", s.maximum.RatString())
	}
}

func (c *checker) checkArray(s *Schema, path string, v []any) {
	if s.minItems != nil && len(v) < *s.minItems {
		c.add(path, "must have at least %d items", *s.minItems)
	}
	if s.maxItems != nil && len(v) > *s.maxItems {
		c.add(path, "must have at most %d items", *s.maxItems)
		return
	}
	if s.items == nil {
		return
	}
	for i, item := range v {
		c.check(s.items, fmt.Sprintf("%s[%d]", path, i), item)
	}
}

func (c *checker) checkObject(s *Schema, path string, v map[string]any) {
	if s.maxProperties != nil && len(v) > *s.maxProperties {
		c.add(path, "must have at most %d members", *s.maxProperties)
		return
	}
	for _, name := range s.required {
		if _, ok := v[name]; !ok {
			c.add(member(path, name), "is required")
		}
	}
	for name, value := range v {
		switch property, known := s.properties[name]; {
		case known:
			c.check(property, member(path, name), value)
		case s.additional != nil:
			c.check(s.additional, member(path, name), value)
		case s.closed:
			c.add(member(path, name), "unknown field")
		}
	}
}

// maxNameInPath keeps a hostile member name from filling the answer.
const maxNameInPath = 64

func member(path, name string) string {
	if len(name) > maxNameInPath {
		name = strings.ToValidUTF8(name[:maxNameInPath], "") + "…"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func isType(name string, value any) bool {
	switch v := value.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case json.Number:
		// An integer is written as one: 1e2 and 1.0 are refused, as Go's decoder refuses them.
		_, err := v.Int64()
		return name == "number" || (name == "integer" && err == nil)
	case []any:
		return name == "array"
	case map[string]any:
		return name == "object"
	}
	return false
}

var articleOf = map[string]string{
	"array": "an array", "boolean": "true or false", "integer": "an integer", "null": "null", "number": "a number",
	"object": "an object", "string": "a string",
}

func articles(types []string) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = articleOf[t]
	}
	return strings.Join(names, " or ")
}
