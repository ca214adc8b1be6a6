package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"eventrelay/admin/openapi"
)

// Media types of requests and answers.
const (
	mediaJSON       = "application/json"
	mediaMergePatch = "application/merge-patch+json"
	mediaProblem    = "application/problem+json"
)

// maxBodyBytes holds a webhook with every field at its bound several times over.
const maxBodyBytes = 1 << 20

// members are the members of a JSON object, their values as the client wrote them.
type members map[string]json.RawMessage

// body reads the request's body and checks it against the documented schema of its media type. nil members: there
// was none, and none is required. text is the whole body.
func (c *call) body() (m members, text []byte, err error) {
	text, err = c.bodyText()
	if err != nil {
		return nil, nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 && !c.op.Body.Required {
		return nil, nil, nil
	}
	schema, err := c.bodySchema()
	if err != nil {
		return nil, nil, err
	}
	m, err = decodeObject(text, schema)
	return m, text, err
}

func (c *call) bodyText() ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, newProblem(kindTooLarge, "a body may have at most 1 MiB")
	case err != nil:
		return nil, &problem{kind: kindBadRequest, detail: "the body ended before it was complete", cause: err}
	}
	return text, nil
}

// bodySchema chooses by media type. JSON is UTF-8 by definition, so another charset is refused.
func (c *call) bodySchema() (*openapi.Schema, error) {
	mediaType, parameters, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	schema, ok := c.op.Body.Content[mediaType]
	charset := parameters["charset"]
	if err != nil || !ok || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
		var accepted []string
		for name := range c.op.Body.Content {
			accepted = append(accepted, name)
		}
		slices.Sort(accepted)
		return nil, newProblem(kindMediaType, "send the body as "+strings.Join(accepted, " or ")+", in UTF-8")
	}
	return schema, nil
}

// decodeObject reads a JSON object and checks it. A text that is not JSON is a bad request; one that is, but does not
// satisfy the schema, is invalid, with every field named.
func decodeObject(text []byte, schema *openapi.Schema) (members, error) {
	value, err := openapi.Decode(text)
	if err != nil {
		return nil, newProblem(kindBadRequest, "the body is not JSON: "+err.Error())
	}
	if found := schema.Check(value); len(found) > 0 {
		return nil, invalid(violations(found))
	}
	var m members
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, newProblem(kindBadRequest, "the body is not a JSON object")
	}
	return m, nil
}

func violations(found []openapi.Violation) []fieldMessage {
	messages := make([]fieldMessage, len(found))
	for i, v := range found {
		messages[i] = fieldMessage{v.Path, v.Message}
	}
	return messages
}

// encodeJSON is json.Marshal without escaping for HTML: URLs stay readable, and no answer is ever taken for HTML.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// answer writes v as JSON.
func (c *call) answer(status int, v any) error {
	body, err := encodeJSON(v)
	if err != nil {
		return err
	}
	return c.Blob(status, mediaJSON, body)
}

// fill decodes members into the fields of v that have their names, one at a time, so that a value which passed the
// schema and still cannot be read (a duration that overflows) is reported by name.
func fill(v any, m members, except []string) error {
	var wrong []fieldMessage
	for name, value := range m {
		if slices.Contains(except, name) {
			continue
		}
		one, err := encodeJSON(members{name: value})
		if err == nil {
			err = json.Unmarshal(one, v)
		}
		if err != nil {
			wrong = append(wrong, fieldMessage{name, "is out of range or not of the documented form"})
		}
	}
	if len(wrong) > 0 {
		slices.SortFunc(wrong, func(a, b fieldMessage) int { return strings.Compare(a.Field, b.Field) })
		return invalid(wrong)
	}
	return nil
}
