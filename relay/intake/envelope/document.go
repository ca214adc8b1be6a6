package envelope

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
)

// document is a record whose value is valid JSON, and where its top-level members are.
type document struct {
	rec     *kgo.Record
	value   string // view of rec.Value
	members [maxMembers]extent
}

// extent is where one JSON value is: value[from:to], without white space around it. The zero value is nowhere.
type extent struct{ from, to int }

// validJSON reports whether value is one JSON text in UTF-8. Its nesting must have been checked before.
func validJSON(value []byte) bool { return utf8.Valid(value) && gjson.ValidBytes(value) }

// open finds the members that o looks at, in one pass. Of equal keys the first one counts. A value that is no object
// has no members.
func (doc *document) open(rec *kgo.Record, o *outline) {
	doc.rec, doc.value = rec, view(rec.Value)
	root := gjson.Parse(doc.value)
	if !root.IsObject() {
		return
	}
	root.ForEach(func(key, value gjson.Result) bool {
		if slot, ok := o.slots[key.Str]; ok && doc.members[slot].to == 0 {
			doc.members[slot] = extent{value.Index, value.Index + len(value.Raw)}
		}
		return true
	})
}

// find gives the extent of the JSON value at p.
func (doc *document) find(p *place) (extent, bool) {
	if p.member == 0 {
		return extent{}, false
	}
	at := doc.members[p.member-1]
	for _, key := range p.path {
		if at.to == 0 {
			break
		}
		at = doc.child(at, key)
	}
	return at, at.to != 0
}

// child gives the extent of a member of an object, or of an element of an array.
func (doc *document) child(parent extent, key string) extent {
	var found extent
	parsed := doc.parse(parent)
	index := -1
	if parsed.IsArray() {
		n, err := strconv.Atoi(key)
		if err != nil || n < 0 || strconv.Itoa(n) != key {
			return extent{}
		}
		index = n
	} else if !parsed.IsObject() {
		return extent{}
	}
	parsed.ForEach(func(name, value gjson.Result) bool {
		if (index < 0 && name.Str != key) || (index >= 0 && int(name.Num) != index) {
			return true
		}
		found = extent{value.Index, value.Index + len(value.Raw)}
		return false
	})
	return found
}

// parse gives the JSON value at e, with indexes that count from the beginning of the whole value.
func (doc *document) parse(e extent) gjson.Result {
	r := gjson.Parse(doc.value[e.from:e.to])
	r.Index = e.from
	return r
}

// present reports whether there is something at p. null is something: an event may well have no data.
func (doc *document) present(p *place) bool {
	if p.header != "" {
		return doc.header(p.header) != ""
	}
	_, ok := doc.find(p)
	return ok
}

// header is the first header of that name.
func (doc *document) header(name string) string {
	for i := range doc.rec.Headers {
		if doc.rec.Headers[i].Key == name {
			return view(doc.rec.Headers[i].Value)
		}
	}
	return ""
}

// text is the attribute at p: a string, or a number or boolean as it is written. quoted says that it was a string
// (or a header). Absent and null are the empty text.
func (doc *document) text(p *place, name string) (text string, quoted bool, err error) {
	if p.header != "" {
		return doc.header(p.header), true, nil
	}
	at, ok := doc.find(p)
	if !ok {
		return "", false, nil
	}
	switch parsed := doc.parse(at); parsed.Type {
	case gjson.Null:
		return "", false, nil
	case gjson.String:
		// Half a surrogate pair decodes to U+FFFD, which would make different ids equal.
		if strings.ContainsRune(parsed.Str, utf8.RuneError) && (strings.Contains(parsed.Raw, `\ud`) || strings.Contains(parsed.Raw, `\uD`)) {
			return "", false, reject(ReasonBadAttribute, "%s contains half a surrogate pair", name)
		}
		return parsed.Str, true, nil
	case gjson.JSON:
		return "", false, reject(ReasonBadAttribute, "%s is an object or array, not a text", name)
	default:
		return parsed.Raw, false, nil
	}
}

// span places the data at p; nowhere means the whole value without the white space around it.
func (doc *document) span(p *place) catalog.Span {
	if p.nowhere() {
		const space = " \t\r\n"
		from := len(doc.value) - len(strings.TrimLeft(doc.value, space))
		return catalog.Span{From: from, To: len(strings.TrimRight(doc.value, space))}
	}
	at, _ := doc.find(p)
	return catalog.Span{From: at.from, To: at.to}
}
