package admin

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDocument_EveryKeywordIsEnforced: the validator passes over keywords that it does not know, so that a misspelt
// constraint would stand in the document and be checked by nobody.
func TestDocument_EveryKeywordIsEnforced(t *testing.T) {
	document, err := embedded()
	require.NoError(t, err)
	var root any
	require.NoError(t, json.Unmarshal(document.JSON(), &root))
	seen := 0
	checkSchemas(t, "#", root, &seen)
	require.Greater(t, seen, 50, "schemas were found")
}

// schemaKeywords are those of JSON Schema that the document may use, and annotations.
var schemaKeywords = map[string]bool{
	"$ref": true, "type": true, "enum": true, "const": true, "anyOf": true, "oneOf": true, "allOf": true, "not": true,
	"properties": true, "required": true, "additionalProperties": true, "minProperties": true, "maxProperties": true, "propertyNames": true,
	"items": true, "minItems": true, "maxItems": true, "uniqueItems": true,
	"minLength": true, "maxLength": true, "pattern": true, "format": true, "minimum": true, "maximum": true,
	"title": true, "description": true, "default": true, "examples": true, "readOnly": true, "writeOnly": true, "deprecated": true,
}

// schemaFormats are those that the validator asserts.
var schemaFormats = map[any]bool{"date-time": true, "uri": true, "uuid": true}

// checkSchemas walks the document to its schemas: everything under a "schema" and under components/schemas.
func checkSchemas(t *testing.T, at string, value any, seen *int) {
	switch v := value.(type) {
	case map[string]any:
		for name, below := range v {
			switch {
			case name == "example" || name == "examples":
			case name == "schema":
				checkSchema(t, at+"/schema", below, seen)
			case at == "#/components" && name == "schemas":
				for schema, definition := range below.(map[string]any) {
					checkSchema(t, at+"/schemas/"+schema, definition, seen)
				}
			default:
				checkSchemas(t, at+"/"+name, below, seen)
			}
		}
	case []any:
		for _, below := range v {
			checkSchemas(t, at, below, seen)
		}
	}
}

func checkSchema(t *testing.T, at string, value any, seen *int) {
	schema, ok := value.(map[string]any)
	if !ok { // true or false
		return
	}
	*seen++
	for keyword, below := range schema {
		require.True(t, schemaKeywords[keyword], "%s: keyword %q", at, keyword)
		switch keyword {
		case "format":
			require.True(t, schemaFormats[below], "%s: format %q", at, below)
		case "properties":
			for name, property := range below.(map[string]any) {
				checkSchema(t, at+"/"+name, property, seen)
			}
		case "anyOf", "oneOf", "allOf":
			for _, alternative := range below.([]any) {
				checkSchema(t, at+"/"+keyword, alternative, seen)
			}
		case "items", "additionalProperties", "not", "propertyNames":
			checkSchema(t, at+"/"+keyword, below, seen)
		}
	}
}
