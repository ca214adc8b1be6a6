package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Document is a parsed OpenAPI document.
type Document struct {
	json       []byte
	operations map[string]*Operation // by method + " " + path
}

// Operation is one method of one path.
type Operation struct {
	Method, Path, ID string
	// Public operations need no key.
	Public     bool
	Parameters []Parameter
	Body       *Body               // nil: the request has none
	Responses  map[string]Response // by status or "default"
}

// Parameter is a path, query or header parameter.
type Parameter struct {
	Name     string
	In       string // path, query, header
	Required bool
	Schema   *Schema
}

// Body is what a request may carry.
type Body struct {
	Required bool
	Content  map[string]*Schema // by media type
}

// Response is what is answered with one status.
type Response struct {
	Content map[string]*Schema // by media type; empty: no body
	Headers []string
}

// JSON is the whole document as it is served.
func (d *Document) JSON() []byte { return d.json }

// Operation finds an operation by its method and templated path ("/v1/webhooks/{id}").
func (d *Document) Operation(method, path string) (*Operation, bool) {
	op, ok := d.operations[method+" "+path]
	return op, ok
}

// Operations lists all operations, ordered by path and method.
func (d *Document) Operations() []*Operation {
	all := slices.Collect(maps.Values(d.operations))
	slices.SortFunc(all, func(a, b *Operation) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	return all
}

// Response is what the operation documents for a status.
func (o *Operation) Response(status int) (Response, bool) {
	if r, ok := o.Responses[fmt.Sprint(status)]; ok {
		return r, true
	}
	r, ok := o.Responses["default"]
	return r, ok
}

// Query gives the query parameter of that name.
func (o *Operation) Query(name string) (Parameter, bool) { return o.parameter("query", name) }

// Header gives the header parameter of that name.
func (o *Operation) Header(name string) (Parameter, bool) { return o.parameter("header", name) }

func (o *Operation) parameter(in, name string) (Parameter, bool) {
	for _, p := range o.Parameters {
		if p.In == in && p.Name == name {
			return p, true
		}
	}
	return Parameter{}, false
}

// The raw forms, as the document is written.
type (
	rawDocument struct {
		Paths      map[string]rawPath `json:"paths"`
		Components struct {
			Parameters    map[string]rawParameter    `json:"parameters"`
			RequestBodies map[string]rawBody         `json:"requestBodies"`
			Responses     map[string]rawResponse     `json:"responses"`
			Headers       map[string]json.RawMessage `json:"headers"`
		} `json:"components"`
	}
	rawPath struct {
		Parameters []rawParameter `json:"parameters"`
		Get        *rawOperation  `json:"get"`
		Put        *rawOperation  `json:"put"`
		Post       *rawOperation  `json:"post"`
		Patch      *rawOperation  `json:"patch"`
		Delete     *rawOperation  `json:"delete"`
	}
	rawOperation struct {
		ID         string                 `json:"operationId"`
		Security   *[]json.RawMessage     `json:"security"`
		Parameters []rawParameter         `json:"parameters"`
		Body       *rawBody               `json:"requestBody"`
		Responses  map[string]rawResponse `json:"responses"`
	}
	rawParameter struct {
		Ref      string          `json:"$ref"`
		Name     string          `json:"name"`
		In       string          `json:"in"`
		Required bool            `json:"required"`
		Schema   json.RawMessage `json:"schema"`
	}
	rawBody struct {
		Ref      string              `json:"$ref"`
		Required bool                `json:"required"`
		Content  map[string]rawMedia `json:"content"`
	}
	rawResponse struct {
		Ref     string                     `json:"$ref"`
		Content map[string]rawMedia        `json:"content"`
		Headers map[string]json.RawMessage `json:"headers"`
	}
	rawMedia struct {
		Schema json.RawMessage `json:"schema"`
	}
)

// Parse reads a document in YAML. Errors name the place.
func Parse(text []byte) (*Document, error) {
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("openapi document: %w", err)
	}
	var raw rawDocument
	if err := json.Unmarshal(asJSON, &raw); err != nil {
		return nil, fmt.Errorf("openapi document: %w", err)
	}
	d := &Document{json: asJSON, operations: make(map[string]*Operation)}
	compiler, err := newCompiler(asJSON)
	if err != nil {
		return nil, fmt.Errorf("openapi document: %w", err)
	}
	p := parser{raw: &raw, compiler: compiler}
	for path, rp := range raw.Paths {
		for method, ro := range map[string]*rawOperation{
			"GET": rp.Get, "PUT": rp.Put, "POST": rp.Post, "PATCH": rp.Patch, "DELETE": rp.Delete,
		} {
			if ro == nil {
				continue
			}
			op, err := p.operation(method, path, rp.Parameters, ro)
			if err != nil {
				return nil, fmt.Errorf("openapi document: %s %s: %w", method, path, err)
			}
			d.operations[method+" "+path] = op
		}
	}
	return d, nil
}
