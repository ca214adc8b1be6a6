package openapi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// schemaOf parses one schema, as it would stand under components/schemas/Subject.
func schemaOf(t *testing.T, text string) *Schema {
	t.Helper()
	d, err := Parse([]byte(`{"paths": {"/x": {"post": {"operationId": "x", "requestBody": {"content": {"application/json":
		{"schema": {"$ref": "#/components/schemas/Subject"}}}}}}}, "components": {"schemas": {"Subject": ` + text + `}}}`))
	require.NoError(t, err)
	op, ok := d.Operation("POST", "/x")
	require.True(t, ok)
	return op.Body.Content["application/json"]
}

func TestSchema_Check(t *testing.T) {
	const person = `{"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
		"name": {"type": "string", "minLength": 1, "maxLength": 3},
		"age": {"type": "integer", "minimum": 0, "maximum": 150},
		"tags": {"type": "array", "maxItems": 2, "items": {"enum": ["a", "b"]}},
		"born": {"type": "string", "format": "date-time"},
		"friend": {"$ref": "#/components/schemas/Subject"},
		"note": {"type": ["string", "null"]},
		"uid": {"readOnly": true}}}`
	const either = `{"anyOf": [{"enum": ["none", "one"]}, {"type": "object", "additionalProperties": false,
		"properties": {"schedule": {"type": "array", "items": {"type": "string", "pattern": "^[0-9]+s$"}}}}]}`
	const bag = `{"type": "object", "maxProperties": 1, "additionalProperties": {"type": "number", "minimum": 0.5}}`
	tests := []struct {
		name, schema, value string
		want                []Violation
	}{
		{"complete", person, `{"name": "Ann", "age": 3, "tags": ["a"], "born": "2026-01-31T12:00:00.5Z", "note": null, "uid": {"any": 1}}`, nil},
		{"wrong type at the top", person, `[]`, []Violation{{"", "must be an object"}}},
		{"everything is named", person, `{"age": "3", "x": 1, "tags": ["a", "c"]}`, []Violation{
			{"age", "must be an integer"}, {"name", "is required"}, {"tags[1]", "must be one of a, b"}, {"x", "unknown field"}}},
		{"nested", person, `{"name": "Ann", "friend": {"name": "", "y": 1}}`, []Violation{{"friend.name", "must not be empty"}, {"friend.y", "unknown field"}}},
		{"null where it may be", person, `{"name": "Ann", "note": 1}`, []Violation{{"note", "must be a string or null"}}},
		{"null where it may not", person, `{"name": null}`, []Violation{{"name", "must be a string"}}},
		{"code points, not bytes", person, `{"name": "äöü"}`, nil},
		{"too long", person, `{"name": "abcd"}`, []Violation{{"name", "must have at most 3 characters"}}},
		{"too many", person, `{"name": "a", "tags": ["a", "a", "a"]}`, []Violation{{"tags", "must have at most 2 items"}}},
		{"bounds", person, `{"name": "a", "age": 151}`, []Violation{{"age", "must be at most 150"}}},
		{"negative", person, `{"name": "a", "age": -1}`, []Violation{{"age", "must be at least 0"}}},
		{"a fraction is no integer", person, `{"name": "a", "age": 1.5}`, []Violation{{"age", "must be an integer"}}},
		{"an integer beyond 64 bits", person, `{"name": "a", "age": 9223372036854775808}`, []Violation{{"age", "must be at most 150"}}},
		{"time", person, `{"name": "a", "born": "yesterday"}`, []Violation{{"born", "must be a time such as 2026-01-31T12:00:00Z"}}},
		{"name of an alternative", either, `"one"`, nil},
		{"other alternative", either, `{"schedule": ["5s"]}`, nil},
		{"wrong name", either, `"two"`, []Violation{{"", "must be one of none, one"}}},
		{"inside the meant alternative", either, `{"schedule": ["5s", "5"]}`, []Violation{{"schedule[1]", "must match ^[0-9]+s$"}}},
		{"no alternative", either, `7`, []Violation{{"", "matches none of the documented forms"}}},
		{"map", bag, `{"a": 0.5}`, nil},
		{"map value", bag, `{"a": 0.4999999999999999999}`, []Violation{{"a", "must be at least 1/2"}}},
		{"map size", bag, `{"a": 1, "b": 1}`, []Violation{{"", "must have at most 1 members"}}},
		{"a number that would fill memory", person, `{"name": "a", "age": 1e999999999}`, []Violation{{"age", "must be at most 150"}}},
		{"a number that would fill memory, negative", person, `{"name": "a", "age": -1e999999999}`, []Violation{{"age", "must be at least 0"}}},
		{"a number that would fill memory, small", bag, `{"a": 1e-999999999}`, []Violation{{"a", "must be at least 1/2"}}},
		{"a member named like an index", `{"properties": {"0": {"type": "string"}}}`, `{"0": 1}`, []Violation{{"0", "must be a string"}}},
		{"one of several", `{"oneOf": [{"type": "string", "minLength": 2}, {"type": "integer", "minimum": 5}]}`, `4`, []Violation{{"", "must be at least 5"}}},
		{"a constant", `{"const": "x"}`, `"y"`, []Violation{{"", "must be x"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			value, err := Decode([]byte(tt.value))
			require.NoError(t, err)
			require.Equal(t, tt.want, schemaOf(t, tt.schema).Check(value))
		})
	}
}

func TestSchema_ReadOnly(t *testing.T) {
	s := schemaOf(t, `{"properties": {"b": {"readOnly": true}, "a": {"readOnly": true}, "c": {"type": "string"}}}`)
	require.Equal(t, []string{"a", "b"}, s.ReadOnly())
}

func TestParse_Refuses(t *testing.T) {
	operation := func(text string) string { return `{"paths": {"/x/{id}": {"get": ` + text + `}}}` }
	parameter := func(schema string) string {
		return operation(`{"operationId": "x", "parameters": [{"name": "id", "in": "path", "schema": ` + schema + `}]}`)
	}
	tests := []struct{ name, document, want string }{
		{"not YAML", "\tx: [", "openapi document"},
		{"no operation id", operation(`{}`), "operationId is missing"},
		{"undeclared path parameter", operation(`{"operationId": "x"}`), `path parameter "id" is not declared`},
		{"parameter that is not in the path", operation(`{"operationId": "x", "parameters": [{"name": "id", "in": "path", "schema": {}}, {"name": "y", "in": "path", "schema": {}}]}`), `path parameter "y" is not in the path`},
		{"unknown type", parameter(`{"type": "text"}`), `at '/type'`},
		{"bad pattern", parameter(`{"pattern": "("}`), "pattern"},
		{"missing schema", operation(`{"operationId": "x", "parameters": [{"name": "id", "in": "path"}]}`), "schema is missing"},
		{"dangling schema", parameter(`{"$ref": "#/components/schemas/Nobody"}`), `#/components/schemas/Nobody`},
		{"dangling parameter", operation(`{"operationId": "x", "parameters": [{"$ref": "#/components/parameters/Nobody"}]}`), "components/parameters"},
		{"deep", parameter(`{"properties": {"a": {"items": {"anyOf": [{"additionalProperties": {"oneOf": []}}]}}}}`), "anyOf/0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.document))
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestParameter_CheckText(t *testing.T) {
	s := schemaOf(t, `{"type": "integer", "minimum": 1, "maximum": 200}`)
	p := Parameter{Name: "limit", Schema: s}
	for text, want := range map[string]string{
		"1": "", "200": "", "0": "must be at least 1", "201": "must be at most 200",
		"": "must be an integer", "x": "must be an integer", "1.5": "must be an integer", "[1]": "must be an integer", `"1"`: "must be an integer",
	} {
		t.Run(text, func(t *testing.T) {
			if want == "" {
				require.Empty(t, p.CheckText(text))
				return
			}
			require.Equal(t, []Violation{{"limit", want}}, p.CheckText(text))
		})
	}
}

func TestOperation_Response(t *testing.T) {
	d, err := Parse([]byte(`{"paths": {"/x": {"get": {"operationId": "x", "responses": {
		"200": {"description": "", "headers": {"ETag": {}}}, "default": {"description": ""}}}, "delete": {"operationId": "y", "responses": {}}}}}`))
	require.NoError(t, err)
	require.Len(t, d.Operations(), 2)
	require.Equal(t, "DELETE", d.Operations()[0].Method)
	get, _ := d.Operation("GET", "/x")
	r, ok := get.Response(200)
	require.True(t, ok)
	require.Equal(t, []string{"ETag"}, r.Headers)
	_, ok = get.Response(404)
	require.True(t, ok)
	_, ok = d.Operations()[0].Response(404)
	require.False(t, ok)
}
