package catalog

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Mismatch says which part of a filter an event does not fulfil.
type Mismatch struct {
	// Path is the place in the filter, as in data.amount or $or[1].type; empty for the event as a whole.
	Path string
	// Operator, as it is written; $eq where the filter has a mere value.
	Operator string
	// Operand is what the operator was given and Found the value in the event, both as JSON text of which the first
	// bytes are kept. An empty Found: there is no value.
	Operand, Found string
	// Elements is how many elements of an array in the event were tried, none of which fulfils all that is asked of one
	// element; what is described is the first. 0: the value is no array.
	Elements int
	// Alternatives say for the first conditions of an $or why each does not hold.
	Alternatives []Mismatch
}

const (
	// maxExplainedBytes is how much is kept of an operand or a value.
	maxExplainedBytes = 256
	// maxAlternatives of an $or are explained.
	maxAlternatives = 8
)

// ExplainFilter says why an event does not fulfil a filter; nil: it does. It agrees with what CompileFilter and Match
// say, errors included, and costs compiling the filter each time.
func ExplainFilter(raw json.RawMessage, ev *Event) (*Mismatch, error) {
	f, err := compileFilter(raw, &filterCompiler{traced: true})
	if err != nil {
		return nil, err
	}
	e := &evaluation{event: ev}
	matched, err := e.match(f)
	if err != nil || matched {
		return nil, err
	}
	m := e.explain(f.root, value{kind: kindEvent})
	return &m, nil
}

// place is where a test stands in its filter, and its operand as it was written.
type place struct{ path, operand string }

func (c *filterCompiler) place(path, operand string) *place {
	if !c.traced {
		return nil
	}
	return &place{path: path, operand: operand}
}

// check is holds for one part of a filter. The text that regexes look at counts anew: what is evaluated again to be
// explained must not end in ErrFilterCost where matching did not.
func (e *evaluation) check(c *condition, v value) bool {
	e.regexText = 0
	return e.holds(c, v)
}

// explain finds the first part of a condition that does not hold, in the order in which holds evaluates them. It is
// called for conditions that do not hold.
func (e *evaluation) explain(c *condition, v value) Mismatch {
	if v.kind == kindEvent {
		return e.explainEvent(c, v)
	}
	if e.regexText = 0; len(c.each) > 0 && !e.holdsForCandidate(c.each, v) {
		return e.explainEach(c.each, v)
	}
	for i := range c.whole {
		if e.regexText = 0; !e.passes(&c.whole[i], v) {
			return e.explainTest(&c.whole[i], v)
		}
	}
	if v.kind != kindArray {
		return e.explainMembers(c.fields, v)
	}
	first, elements := firstElement(v)
	if elements == 0 {
		return e.explainMembers(c.fields, v)
	}
	m := e.explainMembers(c.fields, first)
	m.Elements = elements
	return m
}

func (e *evaluation) explainEvent(c *condition, v value) Mismatch {
	for _, data := range [...]bool{false, true} {
		for i := range c.fields {
			field := &c.fields[i]
			if field.needsData != data {
				continue
			}
			if member := e.field(field.name); !e.check(field.condition, member) {
				return e.explain(field.condition, member)
			}
		}
		for i := range c.whole {
			t := &c.whole[i]
			if e.regexText = 0; t.needsData() == data && !e.passes(t, v) {
				return e.explainTest(t, v)
			}
		}
	}
	return Mismatch{}
}

// explainEach explains tests of which no candidate passes all: one that no candidate passes, else the last.
func (e *evaluation) explainEach(tests []test, v value) Mismatch {
	failing := &tests[len(tests)-1]
	for i := range tests {
		if e.regexText = 0; !e.holdsForCandidate(tests[i:i+1], v) {
			failing = &tests[i]
			break
		}
	}
	m := e.explainTest(failing, v)
	if v.kind == kindArray {
		_, m.Elements = firstElement(v)
	}
	return m
}

func (e *evaluation) explainMembers(fields []fieldCondition, v value) Mismatch {
	for i := range fields {
		member := e.member(v, fields[i].name)
		if !e.check(fields[i].condition, member) {
			return e.explain(fields[i].condition, member)
		}
	}
	return Mismatch{}
}

// member looks one member up, as holdsMembers does.
func (e *evaluation) member(v value, name string) value {
	var found value
	switch v.kind {
	case kindObject:
		eachMember(v.text, func(key, text string) bool {
			if unquote(key) == name {
				found = valueOf(text)
			}
			return true
		})
	case kindUser:
		found = e.userField(name)
	}
	return found
}

func (e *evaluation) explainTest(t *test, v value) Mismatch {
	m := Mismatch{Path: t.place.path, Operator: t.operator.String(), Operand: abridge(t.place.operand), Found: abridge(e.show(v))}
	switch t.operator {
	case opAnd:
		for _, c := range t.conditions {
			if !e.check(c, v) {
				return e.explain(c, v)
			}
		}
	case opOr:
		m.Found = ""
		for _, c := range t.conditions[:min(len(t.conditions), maxAlternatives)] {
			m.Alternatives = append(m.Alternatives, e.explain(c, v))
		}
	}
	return m
}

// show writes a value of the event as JSON; of what a filter can only look into, nothing.
func (e *evaluation) show(v value) string {
	switch v.kind {
	case kindNull:
		return "null"
	case kindFalse:
		return "false"
	case kindTrue:
		return "true"
	case kindText:
		return quote(v.text)
	case kindTime:
		return quote(e.event.Time.Format(time.RFC3339Nano))
	case kindNumber, kindQuoted, kindArray, kindObject:
		return v.text
	case kindUser:
		text, err := json.Marshal(e.event.User)
		if err != nil {
			panic("catalog: user: " + err.Error()) // strings only
		}
		return string(text)
	}
	return ""
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic("catalog: text: " + err.Error()) // a string always marshals
	}
	return string(quoted)
}

// firstElement gives the first element of an array and how many there are.
func firstElement(array value) (first value, n int) {
	eachElement(array.text, func(element string) bool {
		if n++; n == 1 {
			first = valueOf(element)
		}
		return true
	})
	return first, n
}

// abridge keeps the first bytes of a text, whole characters of them.
func abridge(text string) string {
	if len(text) <= maxExplainedBytes {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	cut := maxExplainedBytes
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strings.ToValidUTF8(text[:cut], "\uFFFD") + "…"
}
