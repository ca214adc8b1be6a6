package admin

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/payload"
)

func TestAsyncAPI(t *testing.T) {
	answer := newAPI(t).do(http.MethodGet, "/asyncapi.json", "", header{"Authorization", ""}).is(http.StatusOK)
	document := answer.json()
	require.Equal(t, "3.0.0", document["asyncapi"])
	require.NotEmpty(t, at(t, document, "info", "title"))
	require.NotEmpty(t, at(t, document, "info", "version"))

	channels, operations := document["channels"].(object), document["operations"].(object)
	types := catalog.EventTypes()
	require.Len(t, channels, len(types)+1, "and the alerts")
	require.Len(t, operations, len(types)+1)
	for _, et := range types {
		channel := channels[et.Name].(object)
		require.Nil(t, channel["address"])
		require.Equal(t, et.Description, channel["description"])
		require.Equal(t, "send", at(t, operations["deliver."+et.Name], "action"))
		require.Len(t, channel["messages"], len(asyncFormats))
		for format, message := range channel["messages"].(object) {
			require.Equal(t, et.Name, at(t, message, "name"))
			if format == string(catalog.FormatStandard) || format == et.Platform {
				require.NotEmpty(t, at(t, message, "examples"), "%s as %s", et.Name, format)
			}
		}
	}
	eachRef(document, func(ref string) {
		node := any(document)
		pointer, ok := strings.CutPrefix(ref, "#/")
		require.True(t, ok, ref)
		for part := range strings.SplitSeq(pointer, "/") {
			name, err := url.PathUnescape(part)
			require.NoError(t, err)
			node = at(t, node, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
		}
	})
	require.Less(t, len(answer.body), 2<<20, "the document has grown beyond what tools load at ease")
}

// Only the members that AsyncAPI 3 gives each object are used.
func TestAsyncAPI_Members(t *testing.T) {
	var document object
	require.NoError(t, json.Unmarshal(asyncDocument(catalog.EventTypes()[:1]), &document))
	only := func(node any, names string) {
		for name := range node.(object) {
			require.True(t, slices.Contains(strings.Fields(names), name), "%s is none of %s", name, names)
		}
	}
	only(document, "asyncapi id info servers defaultContentType channels operations components")
	only(document["info"], "title version description termsOfService contact license tags externalDocs")
	only(document["components"], "schemas messageTraits")
	for _, channel := range document["channels"].(object) {
		only(channel, "address messages title summary description servers parameters tags externalDocs bindings")
		for _, message := range channel.(object)["messages"].(object) {
			only(message, "headers payload correlationId contentType name title summary description tags externalDocs bindings examples traits")
		}
	}
	for _, operation := range document["operations"].(object) {
		only(operation, "action channel title summary description security tags externalDocs bindings traits messages reply")
	}
	for _, trait := range at(t, document, "components", "messageTraits").(object) {
		only(trait, "headers correlationId contentType name title summary description tags externalDocs bindings examples")
	}
}

// Every example is what its schema says, as far as members go.
func TestAsyncAPI_Examples(t *testing.T) {
	var document object
	require.NoError(t, json.Unmarshal(asyncDocument(catalog.EventTypes()), &document))
	for name, channel := range document["channels"].(object) {
		for format, message := range channel.(object)["messages"].(object) {
			examples, ok := message.(object)["examples"].([]any)
			if !ok {
				continue
			}
			payload := at(t, examples[0], "payload").(object)
			named := format
			if ref, ok := message.(object)["payload"].(object)["$ref"].(string); ok && name == "relay.alerts" {
				named = strings.TrimPrefix(ref, "#/components/schemas/")
			}
			schema := at(t, document, "components", "schemas", named).(object)
			for _, required := range schema["required"].([]any) {
				require.Contains(t, payload, required, "%s as %s", name, format)
			}
			if schema["additionalProperties"] == false {
				require.Len(t, payload, len(schema["properties"].(object)))
			}
		}
	}
}

// What the relay sends as alerts has the members that the document says, and no other.
func TestAsyncAPI_Alerts(t *testing.T) {
	var document object
	require.NoError(t, json.Unmarshal(asyncDocument(nil), &document))
	encoding, err := payload.CompileAlert(catalog.FormatStandard, payload.Keys{})
	require.NoError(t, err)
	ev := &catalog.Event{ID: "e", Source: "/s", Type: "claim.open", Time: time.Now(), Raw: []byte("{}"), Data: []byte("{}"), Span: catalog.Span{To: 2}}
	for message, kind := range map[string]relay.AlertKind{"failureMessage": relay.AlertFailure, "suspendedEvent": relay.AlertSuspended} {
		d := relay.NewFailureAlert(relay.NewDelivery(ev, "wh_1", relay.Coordinates{Topic: "claim"}, 0, nil, time.Now()), relay.Alert{Kind: kind, Webhook: "w", URL: "u"}, time.Now())
		var m payload.Message
		require.NoError(t, encoding.Compose(&m, d, time.Now()))
		var sent object
		require.NoError(t, json.Unmarshal(m.Body, &sent))
		var check func(schema, value object)
		check = func(schema, value object) {
			require.ElementsMatch(t, schema["required"], slices.Collect(maps.Keys(value)), message)
			for name, member := range schema["properties"].(object) {
				if inner, ok := member.(object); ok && inner["type"] == "object" {
					check(inner, value[name].(object))
				}
			}
		}
		check(at(t, document, "components", "schemas", message).(object), sent)
	}
}

func TestAsyncAPI_TypesOfOperators(t *testing.T) {
	var document object
	require.NoError(t, json.Unmarshal(asyncDocument([]catalog.EventType{{Name: "a/b~c d", Domain: "debt", Platform: "v1"}}), &document))
	require.Equal(t, "#/channels/a~1b~0c%20d", at(t, document, "operations", "deliver.a/b~c d", "channel", "$ref"))
}

// at walks down the members of objects.
func at(t *testing.T, node any, path ...string) any {
	t.Helper()
	for _, name := range path {
		members, ok := node.(object)
		require.True(t, ok, "%s of %v", name, path)
		require.Contains(t, members, name)
		node = members[name]
	}
	return node
}

func eachRef(node any, f func(ref string)) {
	switch n := node.(type) {
	case []any:
		for _, item := range n {
			eachRef(item, f)
		}
	case object:
		for name, value := range n {
			if ref, ok := value.(string); ok && name == "$ref" {
				f(ref)
				continue
			}
			eachRef(value, f)
		}
	}
}
