package openapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// parser resolves the references of one document. Each place is known by its JSON pointer ("#/paths/…"), under which
// the compiler finds the schemas that stand there.
type parser struct {
	raw      *rawDocument
	compiler *jsonschema.Compiler
}

// pointer appends steps to a JSON pointer.
func pointer(base string, steps ...string) string {
	for _, step := range steps {
		base += "/" + strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", "{", "%7B", "}", "%7D").Replace(step)
	}
	return base
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

// operation parses what stands at path and method; shared are the parameters of all methods of the path.
func (p *parser) operation(method, path string, shared []rawParameter, raw *rawOperation) (*Operation, error) {
	if raw.ID == "" {
		return nil, fmt.Errorf("operationId is missing")
	}
	op := &Operation{Method: method, Path: path, ID: raw.ID, Responses: make(map[string]Response)}
	op.Public = raw.Security != nil && len(*raw.Security) == 0
	above := pointer("#", "paths", path)
	here := pointer(above, strings.ToLower(method))
	for _, parameters := range []struct {
		at   string
		list []rawParameter
	}{{above, shared}, {here, raw.Parameters}} {
		for i, rp := range parameters.list {
			parameter, err := p.parameter(rp, pointer(parameters.at, "parameters", fmt.Sprint(i)))
			if err != nil {
				return nil, err
			}
			op.Parameters = append(op.Parameters, parameter)
		}
	}
	if err := pathParametersMatch(op); err != nil {
		return nil, err
	}
	if raw.Body != nil {
		body, err := p.body(*raw.Body, pointer(here, "requestBody"))
		if err != nil {
			return nil, err
		}
		op.Body = body
	}
	for status, rr := range raw.Responses {
		response, err := p.response(rr, pointer(here, "responses", status))
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

func (p *parser) parameter(raw rawParameter, at string) (Parameter, error) {
	if raw.Ref != "" {
		var err error
		at = raw.Ref
		if raw, err = component(raw.Ref, "parameters", p.raw.Components.Parameters); err != nil {
			return Parameter{}, err
		}
	}
	schema, err := p.schema(raw.Schema, pointer(at, "schema"))
	if err != nil {
		return Parameter{}, fmt.Errorf("parameter %s: %w", raw.Name, err)
	}
	return Parameter{Name: raw.Name, In: raw.In, Required: raw.Required, Schema: schema}, nil
}

func (p *parser) body(raw rawBody, at string) (*Body, error) {
	if raw.Ref != "" {
		var err error
		at = raw.Ref
		if raw, err = component(raw.Ref, "requestBodies", p.raw.Components.RequestBodies); err != nil {
			return nil, err
		}
	}
	content, err := p.content(raw.Content, at)
	if err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	return &Body{Required: raw.Required, Content: content}, nil
}

func (p *parser) response(raw rawResponse, at string) (Response, error) {
	if raw.Ref != "" {
		var err error
		at = raw.Ref
		if raw, err = component(raw.Ref, "responses", p.raw.Components.Responses); err != nil {
			return Response{}, err
		}
	}
	content, err := p.content(raw.Content, at)
	if err != nil {
		return Response{}, err
	}
	response := Response{Content: content}
	for name := range raw.Headers {
		response.Headers = append(response.Headers, name)
	}
	return response, nil
}

func (p *parser) content(raw map[string]rawMedia, at string) (map[string]*Schema, error) {
	content := make(map[string]*Schema, len(raw))
	for mediaType, media := range raw {
		schema, err := p.schema(media.Schema, pointer(at, "content", mediaType, "schema"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", mediaType, err)
		}
		content[mediaType] = schema
	}
	return content, nil
}

func (p *parser) schema(raw json.RawMessage, at string) (*Schema, error) {
	if len(raw) == 0 {
		return nil, fmt.Errorf("schema is missing")
	}
	compiled, err := p.compiler.Compile(documentURL + at)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return &Schema{compiled: compiled}, nil
}
