package dialect

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"eventrelay/admin/openapi"
	"eventrelay/catalog"
)

// Object is a JSON object that a client sent. Its methods read members by their exact names; a member of the wrong
// type is noted, reads as absent and is refused by Err, together with all the others. Members that nobody asks for
// are ignored.
type Object struct {
	path    string // "" or ends in a dot
	members map[string]json.RawMessage
	wrong   *[]catalog.FieldError // shared by the objects inside
}

// Object reads the body, which has to be one JSON object.
func (c *Call) Object() (*Object, error) {
	if _, err := openapi.Decode(c.Body); err != nil {
		return nil, Refuse(http.StatusBadRequest, "The body is not JSON: %v", err)
	}
	o := &Object{wrong: new([]catalog.FieldError)}
	if err := json.Unmarshal(c.Body, &o.members); err != nil || o.members == nil {
		return nil, Refuse(http.StatusBadRequest, "The body is not a JSON object")
	}
	return o, nil
}

// again is the same object with nothing noted, for a change that is worked out more than once.
func (o *Object) again() *Object {
	return &Object{path: o.path, members: o.members, wrong: new([]catalog.FieldError)}
}

// Err refuses what was noted, as 422; nil when nothing was.
func (o *Object) Err() error {
	if len(*o.wrong) == 0 {
		return nil
	}
	return Invalid(*o.wrong)
}

// Fail notes that a member is wrong.
func (o *Object) Fail(name, message string) {
	*o.wrong = append(*o.wrong, catalog.FieldError{Path: o.path + name, Message: message})
}

// Has reports whether the client sent the member with a value.
func (o *Object) Has(name string) bool {
	value, sent := o.members[name]
	return sent && string(value) != "null"
}

// Cleared reports whether the client sent null.
func (o *Object) Cleared(name string) bool { return string(o.members[name]) == "null" }

// Require notes members that have no value.
func (o *Object) Require(names ...string) {
	for _, name := range names {
		if !o.Has(name) {
			o.Fail(name, "it is required")
		}
	}
}

// Raw is the member as the client wrote it, nil without a value.
func (o *Object) Raw(name string) json.RawMessage {
	if !o.Has(name) {
		return nil
	}
	return o.members[name]
}

// read decodes a member into v and reports whether it had a value of that type.
func (o *Object) read(name string, v any, expected string) bool {
	if !o.Has(name) {
		return false
	}
	if err := json.Unmarshal(o.members[name], v); err != nil {
		o.Fail(name, "it is not "+expected)
		return false
	}
	return true
}

// String is a text member.
func (o *Object) String(name string) (text string, ok bool) {
	ok = o.read(name, &text, "a string")
	return text, ok
}

// Text is a text member that is not empty.
func (o *Object) Text(name string) (text string, ok bool) {
	if text, ok = o.String(name); ok && text == "" {
		o.Fail(name, "it is empty")
		return "", false
	}
	return text, ok
}

// Bool is a member that is true or false.
func (o *Object) Bool(name string) (value, ok bool) {
	ok = o.read(name, &value, "true or false")
	return value, ok
}

// Secret is a text member that is not shown again.
func (o *Object) Secret(name string) (catalog.Secret, bool) {
	text, ok := o.String(name)
	return catalog.NewSecret(text), ok
}

// Strings is an array of texts. None of them is null.
func (o *Object) Strings(name string) (texts []string, ok bool) {
	var read []*string
	if !o.read(name, &read, "an array of strings") {
		return nil, false
	}
	texts = make([]string, len(read))
	for i, text := range read {
		if text == nil {
			o.Fail(name+"["+strconv.Itoa(i)+"]", "it is not a string")
			continue
		}
		texts[i] = *text
	}
	return texts, true
}

// Object is a member that is an object.
func (o *Object) Object(name string) (*Object, bool) {
	inner := &Object{path: o.path + name + ".", wrong: o.wrong}
	return inner, o.read(name, &inner.members, "an object")
}

// RawObject is a member that is an object, as the client wrote it.
func (o *Object) RawObject(name string) (json.RawMessage, bool) {
	if _, ok := o.Object(name); !ok {
		return nil, false
	}
	return bytes.TrimSpace(o.members[name]), true
}

// Objects is an array of objects.
func (o *Object) Objects(name string) ([]*Object, bool) {
	var read []json.RawMessage
	if !o.read(name, &read, "an array of objects") {
		return nil, false
	}
	objects := make([]*Object, len(read))
	for i, text := range read {
		element := name + "[" + strconv.Itoa(i) + "]"
		objects[i] = &Object{path: o.path + element + ".", wrong: o.wrong}
		if err := json.Unmarshal(text, &objects[i].members); err != nil || objects[i].members == nil {
			o.Fail(element, "it is not an object")
		}
	}
	return objects, true
}

// events gives the patterns for the event names that the client sent as a member; see namedEvents.
func (o *Object) events(name string, platform catalog.Platform, sent, stored []string) []string {
	patterns, wrong := namedEvents(platform, o.path+name, sent, stored)
	*o.wrong = append(*o.wrong, wrong...)
	return patterns
}

// IntQuery is a query parameter between two bounds. A number out of range, or no number, is refused as 400.
func (c *Call) IntQuery(name string, otherwise, least, most int) (int, error) {
	text := c.Query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, Refuse(http.StatusBadRequest, "%s is not a number from %d to %d", name, least, most)
	}
	return n, nil
}
