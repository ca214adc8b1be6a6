package reference

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
)

// schema is what of a JSON Schema is told. Its keywords are those that the document may use.
type schema struct {
	Ref         string          `json:"$ref"`
	Type        json.RawMessage `json:"type"`
	Description string
	Default     json.RawMessage
	ReadOnly    bool
	Enum        []any
	Const       any
	Format      string
	Pattern     string
	Minimum     json.Number
	Maximum     json.Number
	MinLength   *int
	MaxLength   *int
	MinItems    *int
	MaxItems    *int
	Required    []string
	Properties  map[string]schema
	Items       *schema
	AnyOf       []schema
	OneOf       []schema
	AllOf       []schema
	// Additional is true, false or a schema.
	Additional json.RawMessage `json:"additionalProperties"`
}

type (
	schemaView struct {
		Name, Description string
		Type              template.HTML
		Rules             string
		Fields            []fieldView
	}
	fieldView struct {
		Name, In           string
		Type               template.HTML
		Rules, Description string
		Required, ReadOnly bool
	}
)

func named(name string, s schema) schemaView {
	return schemaView{Name: name, Description: s.Description, Type: s.words(), Rules: s.rules(), Fields: s.fields()}
}

// fields of an object, those that must be there first.
func (s schema) fields() []fieldView {
	var fields []fieldView
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		fields = append(fields, fieldView{Name: name, Type: p.words(), Rules: p.rules(), Description: p.Description,
			Required: slices.Contains(s.Required, name), ReadOnly: p.ReadOnly})
	}
	slices.SortStableFunc(fields, func(a, b fieldView) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		default:
			return 1
		}
	})
	return fields
}

// words tell the type, with links to the schemas that have names.
func (s schema) words() template.HTML {
	if name, ok := component(s.Ref, "schemas"); ok {
		escaped := template.HTMLEscapeString(name)
		return template.HTML(`<a href="#` + anchor("schema", escaped) + `">` + escaped + `</a>`) //nolint:gosec // escaped
	}
	for _, alternatives := range [][]schema{s.AnyOf, s.OneOf} {
		if len(alternatives) > 0 {
			return joined(alternatives, " or ")
		}
	}
	if len(s.AllOf) > 0 {
		return joined(s.AllOf, " and ")
	}
	if s.Items != nil {
		return "array of " + s.Items.words()
	}
	if len(s.Enum) > 0 {
		texts := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			texts[i] = "<code>" + template.HTMLEscapeString(fmt.Sprint(v)) + "</code>"
		}
		return template.HTML(strings.Join(texts, " ")) //nolint:gosec // escaped
	}
	if len(s.Properties) > 0 {
		var members []string
		for _, f := range s.fields() {
			members = append(members, template.HTMLEscapeString(f.Name)+": "+string(f.Type))
		}
		return template.HTML("{" + strings.Join(members, ", ") + "}") //nolint:gosec // names are escaped, words too
	}
	if s.Const != nil {
		return template.HTML("<code>" + template.HTMLEscapeString(fmt.Sprint(s.Const)) + "</code>") //nolint:gosec // escaped
	}
	return template.HTML(template.HTMLEscapeString(s.typeName())) //nolint:gosec // escaped
}

func joined(alternatives []schema, between string) template.HTML {
	texts := make([]string, len(alternatives))
	for i, a := range alternatives {
		texts[i] = string(a.words())
	}
	return template.HTML(strings.Join(texts, between)) //nolint:gosec // words are escaped
}

func (s schema) typeName() string {
	var one string
	if json.Unmarshal(s.Type, &one) == nil {
		if one == "object" && len(s.Additional) > 0 && s.Additional[0] == '{' {
			return "object, any names"
		}
		return one
	}
	var several []string
	if json.Unmarshal(s.Type, &several) == nil {
		return strings.Join(several, " or ")
	}
	return "any"
}

// rules are the bounds and the default, in the words of the document.
func (s schema) rules() string {
	var rules []string
	add := func(format string, args ...any) { rules = append(rules, fmt.Sprintf(format, args...)) }
	if s.Format != "" {
		add("%s", s.Format)
	}
	if s.Pattern != "" {
		add("matches %s", s.Pattern)
	}
	if s.Minimum != "" {
		add("at least %s", s.Minimum)
	}
	if s.Maximum != "" {
		add("at most %s", s.Maximum)
	}
	for _, bound := range []struct {
		n    *int
		text string
	}{
		{s.MinLength, "at least %d characters"}, {s.MaxLength, "at most %d characters"},
		{s.MinItems, "at least %d items"}, {s.MaxItems, "at most %d items"},
	} {
		if bound.n != nil {
			add(bound.text, *bound.n)
		}
	}
	if len(s.Default) > 0 {
		add("default %s", s.Default)
	}
	return strings.Join(rules, ", ")
}
