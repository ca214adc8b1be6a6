package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// parser resolves the references of one document. Named schemas are parsed once; a schema that refers to itself is
// resolved through the entry made before its body is read.
type parser struct {
	raw     *rawDocument
	schemas map[string]*Schema
}

// component finds what "#/components/<kind>/<name>" refers to.
func component[T any](ref, kind string, of map[string]T) (T, error) {
	name, ok := strings.CutPrefix(ref, "#/components/"+kind+"/")
	value, found := of[name]
	if !ok || !found {
		return value, fmt.Errorf("$ref %q does not name one of components/%s", ref, kind)
	}
	return value, nil
}

func (p *parser) operation(method, path string, shared []rawParameter, raw *rawOperation) (*Operation, error) {
	if raw.ID == "" {
		return nil, fmt.Errorf("operationId is missing")
	}
	op := &Operation{Method: method, Path: path, ID: raw.ID, Responses: make(map[string]Response)}
	op.Public = raw.Security != nil && len(*raw.Security) == 0
	for _, rp := range append(append([]rawParameter(nil), shared...), raw.Parameters...) {
		parameter, err := p.parameter(rp)
		if err != nil {
			return nil, err
		}
		op.Parameters = append(op.Parameters, parameter)
	}
	if err := pathParametersMatch(op); err != nil {
		return nil, err
	}
	if raw.Body != nil {
		body, err := p.body(*raw.Body)
		if err != nil {
			return nil, err
		}
		op.Body = body
	}
	for status, rr := range raw.Responses {
		response, err := p.response(rr)
		if err != nil {
			return nil, fmt.Errorf("response %s: %w", status, err)
		}
		op.Responses[status] = response
	}
	return op, nil
}

var template = regexp.MustCompile(`\{([^}]*)\}`)

func pathParametersMatch(op *Operation) error {
	declared := make(map[string]bool)
	for _, parameter := range op.Parameters {
		if parameter.In == "path" {
			declared[parameter.Name] = true
		}
	}
	for _, match := range template.FindAllStringSubmatch(op.Path, -1) {
		if !declared[match[1]] {
			return fmt.Errorf("path parameter %q is not declared", match[1])
		}
		delete(declared, match[1])
	}
	for name := range declared {
		return fmt.Errorf("path parameter %q is not in the path", name)
	}
	return nil
}

func (p *parser) parameter(raw rawParameter) (Parameter, error) {
	if raw.Ref != "" {
		var err error
		if raw, err = component(raw.Ref, "parameters", p.raw.Components.Parameters); err != nil {
			return Parameter{}, err
		}
	}
	schema, err := p.schema(raw.Schema)
	if err != nil {
		return Parameter{}, fmt.Errorf("parameter %s: %w", raw.Name, err)
	}
	return Parameter{Name: raw.Name, In: raw.In, Required: raw.Required, Schema: schema}, nil
}

func (p *parser) body(raw rawBody) (*Body, error) {
	if raw.Ref != "" {
		var err error
		if raw, err = component(raw.Ref, "requestBodies", p.raw.Components.RequestBodies); err != nil {
			return nil, err
		}
	}
	content, err := p.content(raw.Content)
	if err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	return &Body{Required: raw.Required, Content: content}, nil
}

func (p *parser) response(raw rawResponse) (Response, error) {
	if raw.Ref != "" {
		var err error
		if raw, err = component(raw.Ref, "responses", p.raw.Components.Responses); err != nil {
			return Response{}, err
		}
	}
	content, err := p.content(raw.Content)
	if err != nil {
		return Response{}, err
	}
	response := Response{Content: content}
	for name := range raw.Headers {
		response.Headers = append(response.Headers, name)
	}
	return response, nil
}

func (p *parser) content(raw map[string]rawMedia) (map[string]*Schema, error) {
	content := make(map[string]*Schema, len(raw))
	for mediaType, media := range raw {
		schema, err := p.schema(media.Schema)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", mediaType, err)
		}
		content[mediaType] = schema
	}
	return content, nil
}

// rawSchema lists every keyword that is understood; annotations are read and dropped.
type rawSchema struct {
	Ref           string                     `json:"$ref"`
	Type          json.RawMessage            `json:"type"`
	Properties    map[string]json.RawMessage `json:"properties"`
	Required      []string                   `json:"required"`
	Additional    json.RawMessage            `json:"additionalProperties"`
	MaxProperties *int                       `json:"maxProperties"`
	Items         json.RawMessage            `json:"items"`
	MinItems      *int                       `json:"minItems"`
	MaxItems      *int                       `json:"maxItems"`
	Enum          []string                   `json:"enum"`
	AnyOf         []json.RawMessage          `json:"anyOf"`
	MinLength     *int                       `json:"minLength"`
	MaxLength     *int                       `json:"maxLength"`
	Pattern       string                     `json:"pattern"`
	Minimum       json.Number                `json:"minimum"`
	Maximum       json.Number                `json:"maximum"`
	Format        string                     `json:"format"`
	ReadOnly      bool                       `json:"readOnly"`

	Description string          `json:"description"`
	Default     json.RawMessage `json:"default"`
}

func (p *parser) schema(text json.RawMessage) (*Schema, error) {
	if len(text) == 0 {
		return nil, fmt.Errorf("schema is missing")
	}
	var raw rawSchema
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&raw); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if raw.Ref != "" {
		return p.named(raw.Ref)
	}
	s := &Schema{}
	return s, p.fill(s, raw)
}

func (p *parser) named(ref string) (*Schema, error) {
	if s, ok := p.schemas[ref]; ok {
		return s, nil
	}
	text, err := component(ref, "schemas", p.raw.Components.Schemas)
	if err != nil {
		return nil, err
	}
	s := &Schema{}
	p.schemas[ref] = s
	body, err := p.schema(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	*s = *body
	return s, nil
}

func (p *parser) fill(s *Schema, raw rawSchema) error {
	var err error
	if s.types, err = schemaTypes(raw.Type); err != nil {
		return err
	}
	s.required, s.enum, s.readOnly = raw.Required, raw.Enum, raw.ReadOnly
	s.maxProperties, s.minItems, s.maxItems, s.minLength, s.maxLength = raw.MaxProperties, raw.MinItems, raw.MaxItems, raw.MinLength, raw.MaxLength
	if raw.Pattern != "" {
		if s.pattern, err = regexp.Compile(raw.Pattern); err != nil {
			return fmt.Errorf("pattern: %w", err)
		}
	}
	if s.minimum, err = bound(raw.Minimum); err != nil {
		return err
	}
	if s.maximum, err = bound(raw.Maximum); err != nil {
		return err
	}
	switch raw.Format {
	case "":
	case "date-time":
		s.dateTime = true
	default:
		return fmt.Errorf("format %q is not supported", raw.Format)
	}
	return p.fillChildren(s, raw)
}

func (p *parser) fillChildren(s *Schema, raw rawSchema) error {
	var err error
	if raw.Properties != nil {
		s.properties = make(map[string]*Schema, len(raw.Properties))
	}
	for name, text := range raw.Properties {
		if s.properties[name], err = p.schema(text); err != nil {
			return fmt.Errorf("property %s: %w", name, err)
		}
	}
	switch string(raw.Additional) {
	case "", "true":
	case "false":
		s.closed = true
	default:
		if s.additional, err = p.schema(raw.Additional); err != nil {
			return fmt.Errorf("additionalProperties: %w", err)
		}
	}
	if raw.Items != nil {
		if s.items, err = p.schema(raw.Items); err != nil {
			return fmt.Errorf("items: %w", err)
		}
	}
	for i, text := range raw.AnyOf {
		alternative, err := p.schema(text)
		if err != nil {
			return fmt.Errorf("anyOf[%d]: %w", i, err)
		}
		s.anyOf = append(s.anyOf, alternative)
	}
	return nil
}

func schemaTypes(text json.RawMessage) ([]string, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var one string
	if json.Unmarshal(text, &one) == nil {
		text = json.RawMessage(`["` + one + `"]`)
	}
	var types []string
	if err := json.Unmarshal(text, &types); err != nil {
		return nil, fmt.Errorf("type: %w", err)
	}
	for _, t := range types {
		if articleOf[t] == "" {
			return nil, fmt.Errorf("type %q is not one of JSON Schema", t)
		}
	}
	return types, nil
}

func bound(n json.Number) (*big.Rat, error) {
	if n == "" {
		return nil, nil
	}
	r, ok := new(big.Rat).SetString(n.String())
	if !ok {
		return nil, fmt.Errorf("bound %q is not a number", n)
	}
	return r, nil
}
