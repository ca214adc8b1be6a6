package openapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is a schema of the document, references resolved: JSON Schema 2020-12, as OpenAPI 3.1 has it. It is
// immutable after Parse. The zero Schema allows everything.
type Schema struct {
	compiled *jsonschema.Schema
}

// documentURL names the document inside the compiler, so that "#/components/…" resolves within it. Nothing is loaded
// from anywhere.
const documentURL = "relay:openapi.json"

// newCompiler is a compiler that knows the document and checks the formats that it uses.
func newCompiler(document []byte) (*jsonschema.Compiler, error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	// Go's own reading of RFC 3339, so that what passes here can be read by the handlers.
	c.RegisterFormat(&jsonschema.Format{Name: "date-time", Validate: func(v any) error {
		text, ok := v.(string)
		if !ok {
			return nil
		}
		_, err := time.Parse(time.RFC3339Nano, text)
		return err
	}})
	return c, c.AddResource(documentURL, value)
}

// Check lists what is wrong with a value that Decode gave: nil, bool, string, json.Number, []any or map[string]any.
func (s *Schema) Check(value any) []Violation {
	var failed *jsonschema.ValidationError
	if s.compiled == nil || !errors.As(s.compiled.Validate(tame(value)), &failed) {
		return nil
	}
	var found []Violation
	collect(failed, value, &found)
	slices.SortStableFunc(found, func(a, b Violation) int { return cmp.Compare(a.Path, b.Path) })
	return found[:min(len(found), maxViolations)]
}

// CheckText checks the text of a parameter. Numbers are read as JSON numbers; an integer is written as one.
func (p Parameter) CheckText(text string) []Violation {
	var value any = text
	switch types := p.Schema.types(); {
	case slices.Contains(types, "integer"):
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			value = json.Number(strconv.FormatInt(n, 10))
		}
	case slices.Contains(types, "number"):
		if json.Valid([]byte(text)) {
			value = json.Number(text)
		}
	case slices.Contains(types, "boolean"):
		if text == "true" || text == "false" {
			value = text == "true"
		}
	}
	found := p.Schema.Check(value)
	for i := range found {
		found[i].Path = p.Name
	}
	return found
}

// target follows references to the schema that they name.
func target(s *jsonschema.Schema) *jsonschema.Schema {
	for s.Ref != nil {
		s = s.Ref
	}
	return s
}

func (s *Schema) types() []string {
	if s.compiled == nil {
		return nil
	}
	if types := target(s.compiled).Types; types != nil {
		return types.ToStrings()
	}
	return nil
}

// ReadOnly lists the properties that are answered and ignored when sent back.
func (s *Schema) ReadOnly() []string {
	if s.compiled == nil {
		return nil
	}
	var names []string
	for name, p := range target(s.compiled).Properties {
		if p.ReadOnly || target(p).ReadOnly {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// maxNumberText bounds the digits of a number that is compared exactly; a float64 needs at most 24.
const maxNumberText = 64

// tame copies a value with numbers whose exact value would fill the memory, such as 1e999999, replaced by ones that
// violate every bound which they violate.
func tame(value any) any {
	switch v := value.(type) {
	case json.Number:
		return tameNumber(v)
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = tame(item)
		}
		return items
	case map[string]any:
		members := make(map[string]any, len(v))
		for name, item := range v {
			members[name] = tame(item)
		}
		return members
	}
	return value
}

// hugeNumber stands for every number beyond a float64's range, tinyNumber for every one too small for it.
const (
	hugeNumber = json.Number("1e400")
	tinyNumber = json.Number("0")
)

func tameNumber(n json.Number) json.Number {
	f, err := n.Float64()
	switch {
	case err != nil && n[0] == '-':
		return "-" + hugeNumber
	case err != nil:
		return hugeNumber
	case f == 0:
		return tinyNumber
	case len(n) > maxNumberText:
		return json.Number(fmt.Sprint(f))
	}
	return n
}
