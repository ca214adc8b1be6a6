package admin

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/goccy/go-yaml"

	"eventrelay/catalog"
)

// asyncTemplate is what does not depend on the catalog: formats, their headers and their bodies.
//
//go:embed asyncapi.yaml
var asyncTemplate []byte

// asyncFormats are the formats in the order in which they are documented, and where each has the event type. raw and
// cloudevents-binary have it in no place of the body; in receeve's the data may have one of its own.
var asyncFormats = []struct {
	format    catalog.Format
	typeField string
}{
	{catalog.FormatStandard, "type"},
	{catalog.FormatCloudEvents, "type"},
	{catalog.FormatCloudEventsBinary, ""},
	{catalog.FormatRaw, ""},
	{catalog.FormatOphelos, "type"},
	{catalog.FormatSocotra, "type"},
	{catalog.FormatOcelot, "name"},
	{catalog.FormatDonutwork, "event"},
	{catalog.FormatReceeve, ""},
}

// object is a JSON object; encoding/json sorts its names, so that the document is the same each time.
type object = map[string]any

// asyncDocument writes the AsyncAPI 3 document of everything that a webhook can receive: a channel for each event type,
// in it a message for each format, and one for alerts. It panics where the template is not what it should be, which no configuration can
// cause.
func asyncDocument(types []catalog.EventType) []byte {
	var document object
	text, err := yaml.YAMLToJSON(asyncTemplate)
	if err == nil {
		err = json.Unmarshal(text, &document)
	}
	if err != nil {
		panic("admin: asyncapi.yaml: " + err.Error())
	}
	channels, operations := document["channels"].(object), document["operations"].(object) // the alerts
	for _, t := range types {
		channels[t.Name] = asyncChannel(t)
		operations["deliver."+t.Name] = object{
			"action": "send", "channel": object{"$ref": asyncRef("channels", t.Name)}, "summary": "The relay delivers " + t.Name,
			"bindings": object{"http": object{"method": http.MethodPost, "bindingVersion": "0.3.0"}},
		}
	}
	if text, err = json.Marshal(document); err != nil { // what was parsed, and strings
		panic("admin: asyncapi: " + err.Error())
	}
	return text
}

func asyncChannel(t catalog.EventType) object {
	messages := object{}
	for _, f := range asyncFormats {
		message := object{
			"name": t.Name, "traits": []object{{"$ref": asyncRef("components", "messageTraits", string(f.format))}},
			"payload": asyncPayload(f.format, f.typeField, t.Name),
		}
		// The general form, and the one that receivers of the type's own platform know.
		if own := string(f.format) == t.Platform; len(t.Sample) > 0 && (own || f.format == catalog.FormatStandard) {
			message["examples"] = []object{{"payload": asyncExample(f.format, t)}}
		}
		messages[string(f.format)] = message
	}
	channel := object{"address": nil, "title": t.Name, "tags": []object{{"name": t.Domain}}, "messages": messages}
	if t.Description != "" {
		channel["description"] = t.Description
	}
	return channel
}

// asyncPayload is the schema of a body.
func asyncPayload(format catalog.Format, typeField, eventType string) object {
	if format == catalog.FormatRaw || format == catalog.FormatCloudEventsBinary {
		return object{"$ref": asyncRef("components", "schemas", "data")}
	}
	schema := object{"$ref": asyncRef("components", "schemas", string(format))}
	if typeField == "" {
		return schema
	}
	return object{"allOf": []object{schema, {"properties": object{typeField: object{"const": eventType}}}}}
}

// asyncExample is a body as the format has it, of the type's sample.
func asyncExample(format catalog.Format, t catalog.EventType) object {
	const id, at, millis = "evt_01", "2025-04-01T09:30:00.000Z", "1743499800000"
	switch format {
	case catalog.FormatOphelos:
		return object{"id": id, "object": "event", "type": t.Name, "data": t.Sample, "created_at": at, "livemode": true}
	case catalog.FormatSocotra:
		return object{"id": id, "timestamp": millis, "data": t.Sample, "transactionId": "tx_01", "type": t.Name, "username": "alice.lee"}
	case catalog.FormatOcelot:
		return withMembers(t.Sample, object{"name": t.Name, "eventId": id, "dateTime": at})
	case catalog.FormatDonutwork:
		return object{"id": id, "event": t.Name, "created": at, "data": t.Sample}
	case catalog.FormatReceeve:
		payload := object{"details": withMembers(t.Sample, object{"messageType": t.Name}), "messageId": id, "timestamp": at}
		text, err := json.Marshal(payload)
		if err != nil { // samples are valid JSON
			panic(fmt.Sprintf("admin: sample of %s: %v", t.Name, err))
		}
		return object{"payload": payload, "signature": "c2lnbmF0dXJl", "payloadAsString": string(text)}
	default:
		return object{"type": t.Name, "timestamp": at, "data": t.Sample}
	}
}

// withMembers adds members to those of a sample, and has them alone where the sample is no object.
func withMembers(sample json.RawMessage, add object) object {
	var members map[string]json.RawMessage
	_ = json.Unmarshal(sample, &members)
	merged := make(object, len(members)+len(add))
	for name, value := range members {
		merged[name] = value
	}
	for name, value := range add {
		merged[name] = value
	}
	return merged
}

// asyncRef is a reference inside the document: a JSON pointer in the fragment of a URI.
func asyncRef(path ...string) string {
	ref := "#"
	for _, part := range path {
		ref += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return ref
}

func (s *Server) getAsyncDocument(c *call) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.Blob(http.StatusOK, mediaJSON, s.asyncDocument())
}
