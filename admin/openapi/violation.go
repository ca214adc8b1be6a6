package openapi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Violation is one way in which a value does not satisfy a schema. Path is in the form "overrides[0].auth.type",
// empty for the whole value. Message never repeats the value, which may be a secret; the validator's own messages do,
// so that none of them is used.
type Violation struct {
	Path, Message string
}

// maxViolations bounds the answer to a body that is wrong throughout.
const maxViolations = 100

// collect appends what the tree of causes says at its leaves, for the value that was checked.
func collect(e *jsonschema.ValidationError, value any, found *[]Violation) {
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		collectMeant(e, value, found)
	case *kind.Required:
		for _, name := range k.Missing {
			*found = append(*found, Violation{member(path(e.InstanceLocation, value), name), "is required"})
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			*found = append(*found, Violation{member(path(e.InstanceLocation, value), name), "unknown field"})
		}
	default:
		if len(e.Causes) == 0 {
			*found = append(*found, Violation{path(e.InstanceLocation, value), message(k)})
		}
		for _, cause := range e.Causes {
			collect(cause, value, found)
		}
	}
}

// collectMeant reports what is wrong inside the one alternative that is meant for values of this JSON type, so that
// the message says what to change; when none is, that nothing fits.
func collectMeant(e *jsonschema.ValidationError, value any, found *[]Violation) {
	here := path(e.InstanceLocation, value)
	var meant []Violation
	for _, alternative := range e.Causes {
		if refusesType(alternative, len(e.InstanceLocation)) {
			continue
		}
		meant = nil
		collect(alternative, value, &meant)
	}
	if meant == nil {
		meant = []Violation{{here, "matches none of the documented forms"}}
	}
	*found = append(*found, meant...)
}

// refusesType says whether an alternative fails at the value itself, depth steps down, for its JSON type. A list of
// allowed strings is meant for strings only.
func refusesType(e *jsonschema.ValidationError, depth int) bool {
	if len(e.InstanceLocation) != depth {
		return false
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return true
	case *kind.Enum:
		_, isText := k.Got.(string)
		return !isText
	case *kind.Const:
		_, isText := k.Got.(string)
		return !isText
	}
	return slices.ContainsFunc(e.Causes, func(cause *jsonschema.ValidationError) bool { return refusesType(cause, depth) })
}

// message says what a value must be, without the value.
func message(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		names := make([]string, 0, len(k.Want))
		for _, want := range k.Want {
			names = append(names, articleOf[want])
		}
		if i := slices.Index(names, "null"); i >= 0 { // "a string or null"
			names = append(slices.Delete(names, i, i+1), "null")
		}
		return "must be " + strings.Join(names, " or ")
	case *kind.Enum:
		return "must be one of " + joined(k.Want)
	case *kind.Const:
		return "must be " + fmt.Sprint(k.Want)
	case *kind.MinLength:
		if k.Want == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.Pattern:
		return "must match " + k.Want
	case *kind.Format:
		if k.Want == "date-time" {
			return "must be a time such as 2026-01-31T12:00:00Z"
		}
		return "must be in the form " + k.Want
	case *kind.Minimum:
		return "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + k.Want.RatString()
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d items", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d items", k.Want)
	case *kind.UniqueItems:
		return "must not hold the same item twice"
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d members", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d members", k.Want)
	}
	return "is not in the documented form"
}

func joined(values []any) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ", ")
}

var articleOf = map[string]string{
	"array": "an array", "boolean": "true or false", "integer": "an integer", "null": "null", "number": "a number",
	"object": "an object", "string": "a string",
}

// path writes a location in the form "overrides[0].auth.type". The value tells a member named "0" from an index.
func path(location []string, value any) string {
	text := ""
	for _, step := range location {
		switch v := value.(type) {
		case []any:
			i, _ := strconv.Atoi(step) // the validator's own index
			text, value = fmt.Sprintf("%s[%d]", text, i), v[i]
		case map[string]any:
			text, value = member(text, step), v[step]
		}
	}
	return text
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
