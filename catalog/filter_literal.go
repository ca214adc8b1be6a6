package catalog

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// literal is a value that a filter was written with, compiled for comparing.
type literal struct {
	kind     valueKind // kindNull, kindFalse, kindTrue, kindNumber, kindText, kindArray or kindObject
	text     string    // kindText
	number   decimal   // kindNumber
	at       time.Time // kindText under the event's time
	elements []literal // kindArray
	members  []member  // kindObject, sorted by name
}

type member struct {
	name  string
	value literal
}

// equals reports whether a value of the event is the same JSON value. Members of objects may come in any order.
// It recurses as deep as the literal does, never as deep as the value.
func (l *literal) equals(e *evaluation, v value) bool {
	switch l.kind {
	case kindNumber:
		return v.kind == kindNumber && parseDecimal(v.text).compare(l.number) == 0
	case kindText:
		switch v.kind {
		case kindText:
			return v.text == l.text
		case kindQuoted:
			return quotedEquals(v.text, l.text)
		case kindTime:
			return e.event.Time.Equal(l.at)
		}
		return false
	case kindArray:
		return v.kind == kindArray && l.equalsArray(e, v.text)
	case kindObject:
		return v.kind == kindObject && l.equalsObject(e, v.text)
	default: // null, false and true have no content
		return v.kind == l.kind
	}
}

func (l *literal) equalsArray(e *evaluation, array string) bool {
	n, same := 0, true
	eachElement(array, func(element string) bool {
		same = n < len(l.elements) && l.elements[n].equals(e, valueOf(element))
		n++
		return same
	})
	return same && n == len(l.elements)
}

func (l *literal) equalsObject(e *evaluation, object string) bool {
	var scratch [smallObject]value
	found := scratch[:0]
	if len(l.members) > len(scratch) {
		found = make([]value, 0, len(l.members))
	}
	found = found[:len(l.members)]
	same := true
	eachMember(object, func(key, text string) bool {
		var i int
		if i, same = slices.BinarySearchFunc(l.members, unquote(key), memberName); same {
			found[i] = valueOf(text)
		}
		return same
	})
	for i := 0; same && i < len(found); i++ {
		same = found[i].kind != kindMissing && l.members[i].value.equals(e, found[i])
	}
	return same
}

func memberName(m member, name string) int { return strings.Compare(m.name, name) }

// compare orders a value of the event against the literal like cmp.Compare; ok is false when they cannot be
// compared.
func (l *literal) compare(e *evaluation, v value) (order int, ok bool) {
	switch {
	case l.kind == kindNumber && v.kind == kindNumber:
		return parseDecimal(v.text).compare(l.number), true
	case l.kind == kindText && v.kind == kindTime:
		return e.event.Time.Compare(l.at), true
	case l.kind == kindText && (v.kind == kindText || v.kind == kindQuoted):
		return cmp.Compare(v.characters(), l.text), true
	default:
		return 0, false
	}
}
