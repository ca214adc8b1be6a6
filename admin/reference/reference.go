// Package reference renders an OpenAPI document as one HTML page for reading: every operation with its parameters,
// bodies and answers, every schema with its fields. The page is complete in itself, without scripts and without
// anything loaded from elsewhere, so that it can be read on a host that reaches nothing but the relay.
//
// It is not a client and sends no requests. It shows what the document says and nothing that the document does not
// say; the document itself is checked elsewhere.
//
// Read Page here first, then schema.go (how a schema is told in words) and page.html.
package reference

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	style string

	page = template.Must(template.New("page").Funcs(template.FuncMap{"prose": prose, "anchor": anchor}).Parse(pageText))
)

// ContentSecurityPolicy allows the page's own style sheet and nothing else.
func ContentSecurityPolicy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// Page renders a document that is OpenAPI 3.1 in JSON.
func Page(document []byte) ([]byte, error) {
	var d openAPI
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("openapi document: %w", err)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, d.view()); err != nil {
		return nil, fmt.Errorf("render the openapi document: %w", err)
	}
	return b.Bytes(), nil
}

// openAPI is what of the document is shown.
type openAPI struct {
	Info struct {
		Title, Version, Description string
	}
	Tags       []struct{ Name, Description string }
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Parameters    map[string]parameter
		RequestBodies map[string]body
		Responses     map[string]response
		Schemas       map[string]schema
	}
}

type operation struct {
	ID          string `json:"operationId"`
	Tags        []string
	Summary     string
	Description string
	Security    *[]any
	Parameters  []parameter
	RequestBody *body
	Responses   map[string]response
}

type parameter struct {
	Ref         string `json:"$ref"`
	Name, In    string
	Description string
	Required    bool
	Schema      schema
}

type body struct {
	Ref      string `json:"$ref"`
	Required bool
	Content  map[string]struct{ Schema schema }
}

type response struct {
	Ref         string `json:"$ref"`
	Description string
	Content     map[string]struct{ Schema schema }
}

// The page, as page.html reads it.
type (
	pageView struct {
		Title, Version, Description string
		Style                       template.CSS
		Groups                      []groupView
		Schemas                     []schemaView
	}
	groupView struct {
		Name, Description string
		Operations        []operationView
	}
	operationView struct {
		Method, Path, ID, Summary, Description string
		Public                                 bool
		Parameters                             []fieldView
		Bodies, Answers                        []contentView
	}
	contentView struct {
		Status, Description, Media string
		Type                       template.HTML
	}
)

// methods in the order in which they are shown, as the document spells them.
var methods = []string{"get", "post", "put", "patch", "delete"}

func (d *openAPI) view() pageView {
	v := pageView{Title: d.Info.Title, Version: d.Info.Version, Description: d.Info.Description, Style: template.CSS(style)} //nolint:gosec // embedded
	byTag := make(map[string][]operationView)
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		item := d.Paths[path]
		var shared []parameter
		_ = json.Unmarshal(item["parameters"], &shared) // absent
		for _, method := range methods {
			var op operation
			if item[method] == nil || json.Unmarshal(item[method], &op) != nil {
				continue
			}
			tag := "other"
			if len(op.Tags) > 0 {
				tag = op.Tags[0]
			}
			byTag[tag] = append(byTag[tag], d.operation(strings.ToUpper(method), path, shared, op))
		}
	}
	for _, tag := range d.Tags {
		v.Groups = append(v.Groups, groupView{tag.Name, tag.Description, byTag[tag.Name]})
		delete(byTag, tag.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(byTag)) {
		v.Groups = append(v.Groups, groupView{Name: name, Operations: byTag[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		v.Schemas = append(v.Schemas, named(name, d.Components.Schemas[name]))
	}
	return v
}

func (d *openAPI) operation(method, path string, shared []parameter, op operation) operationView {
	v := operationView{Method: method, Path: path, ID: op.ID, Summary: op.Summary, Description: op.Description,
		Public: op.Security != nil && len(*op.Security) == 0}
	for _, p := range append(shared, op.Parameters...) {
		if name, ok := component(p.Ref, "parameters"); ok {
			p = d.Components.Parameters[name]
		}
		v.Parameters = append(v.Parameters, fieldView{Name: p.Name, In: p.In, Type: p.Schema.words(), Required: p.Required,
			Rules: p.Schema.rules(), Description: cmp.Or(p.Description, p.Schema.Description)})
	}
	if b := op.RequestBody; b != nil {
		if name, ok := component(b.Ref, "requestBodies"); ok {
			stored := d.Components.RequestBodies[name]
			b = &stored
		}
		for _, media := range slices.Sorted(maps.Keys(b.Content)) {
			s := b.Content[media].Schema
			v.Bodies = append(v.Bodies, contentView{Media: media, Type: s.words()})
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		if name, ok := component(r.Ref, "responses"); ok {
			r = d.Components.Responses[name]
		}
		answer := contentView{Status: status, Description: r.Description}
		for _, media := range slices.Sorted(maps.Keys(r.Content)) {
			s := r.Content[media].Schema
			answer.Media, answer.Type = media, s.words()
		}
		v.Answers = append(v.Answers, answer)
	}
	return v
}

// component gives the name in "#/components/<kind>/<name>".
func component(ref, kind string) (string, bool) {
	return strings.CutPrefix(ref, "#/components/"+kind+"/")
}

var (
	code = regexp.MustCompile("`([^`]+)`")
	bold = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	gap  = regexp.MustCompile(`\n\s*\n`)
)

// prose renders the little Markdown that descriptions use: paragraphs, `code` and **bold**.
func prose(text string) template.HTML {
	var b strings.Builder
	for _, paragraph := range gap.Split(strings.TrimSpace(text), -1) {
		if paragraph == "" {
			continue
		}
		escaped := template.HTMLEscapeString(paragraph)
		escaped = code.ReplaceAllString(escaped, "<code>$1</code>")
		escaped = bold.ReplaceAllString(escaped, "<strong>$1</strong>")
		b.WriteString("<p>" + escaped + "</p>")
	}
	return template.HTML(b.String()) //nolint:gosec // escaped above
}

// anchor is where an operation or a schema is found on the page.
func anchor(kind, name string) string { return kind + "-" + name }
