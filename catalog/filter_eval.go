package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ErrFilterData is returned by Filter.Match when a filter asks for the payload and the payload is not JSON.
var ErrFilterData = errors.New("the filter asks for data, and the event's data cannot be read as JSON")

// ErrFilterCost is returned by Filter.Match when the event has more text than regexes may look at.
var ErrFilterCost = errors.New("the filter's regexes would have to look at too much text")

// Match reports whether an event fulfils the filter. An error is not a non-match: whether the webhook wants the
// event is then unknown. Conditions on the event's own fields are evaluated first, and one on data only if those
// leave the answer open, so that most events are decided without looking at their payload.
func (f *Filter) Match(ev *Event) (bool, error) {
	e := evaluation{event: ev}
	return e.match(f)
}

// EventReader evaluates many filters on one event, whose payload it checks once for all of them. It belongs to one
// goroutine.
type EventReader struct{ evaluation evaluation }

// NewEventReader reads an event for Filter.MatchReader. Nobody else may have the event yet, unless it was checked
// (Event.CheckData).
func NewEventReader(ev *Event) *EventReader { return &EventReader{evaluation{event: ev}} }

// MatchReader is Match for one of many filters on the same event.
func (f *Filter) MatchReader(r *EventReader) (bool, error) { return r.evaluation.match(f) }

// evaluation is the state of matching filters with one event.
type evaluation struct {
	event *Event
	// data and dataErr are the outcome of reading the payload, once dataRead.
	data     value
	dataErr  error
	dataRead bool

	// regexText counts the bytes that the regexes of the current filter have looked at.
	regexText int
	// err ends the current filter's evaluation: what is computed after it is set is meaningless.
	err error
}

func (e *evaluation) match(f *Filter) (bool, error) {
	if f == nil {
		return true, nil
	}
	e.regexText, e.err = 0, nil
	holds := e.holds(f.root, value{kind: kindEvent})
	if e.err != nil {
		return false, e.err
	}
	return holds, nil
}

func (e *evaluation) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *evaluation) holds(c *condition, v value) bool {
	if v.kind == kindEvent {
		return e.holdsForEvent(c, v, false) && e.holdsForEvent(c, v, true)
	}
	if len(c.each) > 0 && !e.holdsForCandidate(c.each, v) {
		return false
	}
	for i := range c.whole {
		if e.err != nil || !e.passes(&c.whole[i], v) {
			return false
		}
	}
	return len(c.fields) == 0 || e.holdsFields(c.fields, v)
}

// holdsForEvent evaluates the part of a condition on the event that needs data, or the part that does not.
func (e *evaluation) holdsForEvent(c *condition, v value, data bool) bool {
	for i := range c.fields {
		field := &c.fields[i]
		if field.needsData != data {
			continue
		}
		if member := e.field(field.name); e.err != nil || !e.holds(field.condition, member) {
			return false
		}
	}
	for i := range c.whole {
		if t := &c.whole[i]; t.needsData() == data && (e.err != nil || !e.passes(t, v)) {
			return false
		}
	}
	return true
}

// holdsForCandidate looks for one value that passes all tests: the value itself, or an element of it.
func (e *evaluation) holdsForCandidate(tests []test, v value) bool {
	if v.kind == kindMissing {
		return false
	}
	if e.passesAll(tests, v) {
		return true
	}
	if v.kind != kindArray {
		return false
	}
	found := false
	eachElement(v.text, func(element string) bool {
		found = e.passesAll(tests, valueOf(element))
		return !found && e.err == nil
	})
	return found
}

func (e *evaluation) passesAll(tests []test, v value) bool {
	for i := range tests {
		if !e.passes(&tests[i], v) {
			return false
		}
	}
	return true
}

func (e *evaluation) passes(t *test, v value) bool {
	switch t.operator {
	case opEq, opIn:
		return e.equalsAny(t.literals, v)
	case opNeq, opNin:
		return !e.equalsAnyCandidate(t.literals, v)
	case opExists:
		return t.want == (v.kind != kindMissing)
	case opStartsWith:
		return v.isText() && strings.HasPrefix(v.characters(), t.literals[0].text)
	case opEndsWith:
		return v.isText() && strings.HasSuffix(v.characters(), t.literals[0].text)
	case opRegex:
		return v.isText() && e.matchesRegex(t.regex, v.characters())
	case opAnd:
		return e.combines(t.conditions, v, true)
	case opOr:
		return !e.combines(t.conditions, v, false)
	case opNot:
		return !e.holds(t.conditions[0], v)
	}
	order, comparable := t.literals[0].compare(e, v)
	if !comparable {
		return false
	}
	switch t.operator {
	case opGt:
		return order > 0
	case opGte:
		return order >= 0
	case opLt:
		return order < 0
	default:
		return order <= 0
	}
}

// combines reports whether every condition comes out as want. Those that do not need the payload go first.
func (e *evaluation) combines(conditions []*condition, v value, want bool) bool {
	for _, data := range [...]bool{false, true} {
		for _, c := range conditions {
			if c.needsData == data && (e.err != nil || e.holds(c, v) != want) {
				return false
			}
		}
	}
	return true
}

func (e *evaluation) equalsAny(literals []literal, v value) bool {
	for i := range literals {
		if literals[i].equals(e, v) {
			return true
		}
	}
	return false
}

func (e *evaluation) equalsAnyCandidate(literals []literal, v value) bool {
	if e.equalsAny(literals, v) {
		return true
	}
	if v.kind != kindArray {
		return false
	}
	found := false
	eachElement(v.text, func(element string) bool {
		found = e.equalsAny(literals, valueOf(element))
		return !found
	})
	return found
}

func (e *evaluation) matchesRegex(regex *regexp.Regexp, text string) bool {
	if e.regexText += len(text); e.regexText > MaxRegexText {
		e.fail(fmt.Errorf("%w: more than %d bytes", ErrFilterCost, MaxRegexText))
		return false
	}
	return regex.MatchString(text)
}

// smallObject is how many fields of one object are looked up without allocating.
const smallObject = 8

// holdsFields evaluates conditions on the members of an object, or of one element of an array. Anything else has no
// members, so that all are missing.
func (e *evaluation) holdsFields(fields []fieldCondition, v value) bool {
	if v.kind == kindArray {
		elements, found := 0, false
		eachElement(v.text, func(element string) bool {
			elements++
			found = e.holdsMembers(fields, valueOf(element))
			return !found && e.err == nil
		})
		if elements > 0 {
			return found
		}
	}
	return e.holdsMembers(fields, v)
}

func (e *evaluation) holdsMembers(fields []fieldCondition, v value) bool {
	var scratch [smallObject]value
	members := scratch[:0]
	if len(fields) > len(scratch) {
		members = make([]value, 0, len(fields))
	}
	members = members[:len(fields)]
	switch v.kind {
	case kindObject:
		eachMember(v.text, func(key, text string) bool {
			if i, wanted := slices.BinarySearchFunc(fields, unquote(key), fieldName); wanted {
				members[i] = valueOf(text)
			}
			return true
		})
	case kindUser:
		for i := range fields {
			members[i] = e.userField(fields[i].name)
		}
	}
	for i := range fields {
		if e.err != nil || !e.holds(fields[i].condition, members[i]) {
			return false
		}
	}
	return true
}

func fieldName(f fieldCondition, name string) int { return strings.Compare(f.name, name) }
