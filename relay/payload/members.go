package payload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"eventrelay/catalog"
)

// object is the text of a JSON object that was found valid, from brace to brace.
type object []byte

// objectData gives the event's data as an object; no data is the empty one.
func objectData(ev *catalog.Event) (object, error) {
	if len(ev.Data) == 0 {
		return object("{}"), nil
	}
	text := bytes.Trim(ev.Data, " \t\r\n")
	if len(text) == 0 || text[0] != '{' || !ev.DataIsJSON() {
		return nil, fmt.Errorf("%w: data is not a JSON object", ErrFormat)
	}
	return object(text), nil
}

// member is a member of an object: its decoded name, which may be part of the text, and the place of its value there.
type member struct {
	name     []byte
	from, to int
}

// members calls f with each member in order, until it returns false. Values are skipped, not decoded, and nothing
// recurses.
func (o object) members(f func(member) bool) {
	at := 1
	for {
		at = skip(o, at, " \t\r\n,")
		if o[at] == '}' {
			return
		}
		from := at
		at = stringEnd(o, at)
		m := member{name: decodeName(o[from:at])}
		m.from = skip(o, at, " \t\r\n:")
		m.to = valueEnd(o, m.from)
		if !f(m) {
			return
		}
		at = m.to
	}
}

// has reports whether there is a member of that name.
func (o object) has(name string) (found bool) {
	o.members(func(m member) bool {
		found = string(m.name) == name
		return !found
	})
	return found
}

// empty reports whether there is no member.
func (o object) empty() bool { return o[skip(o, 1, " \t\r\n")] == '}' }

// decodeName decodes the text of a string. Few names have an escape, and then it counts: "n\u0061me" is name.
func decodeName(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var decoded string
	_ = json.Unmarshal(quoted, &decoded) // the text is valid
	return []byte(decoded)
}

func skip(text []byte, at int, chars string) int {
	for strings.IndexByte(chars, text[at]) >= 0 {
		at++
	}
	return at
}

// stringEnd is behind the string that begins at text[at].
func stringEnd(text []byte, at int) int {
	for at++; text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return at + 1
}

// valueEnd is behind the value that begins at text[at].
func valueEnd(text []byte, at int) int {
	depth := 0
	for {
		switch text[at] {
		case '"':
			at = stringEnd(text, at)
			if depth == 0 {
				return at
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at // the end of a number, true, false or null, in front of the object's own
			}
			if depth--; depth == 0 {
				return at + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return at
			}
		}
		at++
	}
}
