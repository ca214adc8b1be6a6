package catalog

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
)

// filterCompiler holds what counts across a whole filter. Its methods take the path of the place they compile, for
// errors, and how deep it is nested.
type filterCompiler struct {
	nodes int
	// traced compiles a filter to be explained: each test knows its place.
	traced bool
}

func failAt(path, format string, args ...any) error {
	return &FilterError{Path: path, Message: fmt.Sprintf(format, args...)}
}

func (c *filterCompiler) count(path string, depth int) error {
	if depth > MaxFilterDepth {
		return failAt(path, "it is nested deeper than %d levels", MaxFilterDepth)
	}
	if c.nodes++; c.nodes > MaxFilterNodes {
		return failAt(path, "the filter has more than %d conditions and values", MaxFilterNodes)
	}
	return nil
}

// condition compiles what a field is compared with: a literal, or an object of fields and operators.
func (c *filterCompiler) condition(path, text string, in scope, depth int) (*condition, error) {
	cond := &condition{needsData: in == scopeData}
	if text[0] != '{' {
		l, err := c.literalIn(path, text, in, depth)
		if err != nil {
			return nil, err
		}
		cond.each = []test{{operator: opEq, literals: []literal{l}, place: c.place(path, text)}}
		return cond, nil
	}
	err := c.count(path, depth)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	eachMember(text, func(key, value string) bool {
		name := unquote(key)
		at := joinPath(path, name)
		if seen[name] {
			err = failAt(at, "it is given twice")
			return false
		}
		seen[name] = true
		if strings.HasPrefix(name, "$") {
			err = c.operator(cond, at, name, value, in, depth)
		} else {
			err = c.field(cond, at, name, value, in, depth)
		}
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	if len(seen) == 0 {
		return nil, failAt(path, "it is empty: use $exists to ask whether there is a value, $eq to compare with {}")
	}
	slices.SortFunc(cond.fields, func(a, b fieldCondition) int { return strings.Compare(a.name, b.name) })
	return cond, nil
}

func (c *filterCompiler) field(cond *condition, path, name, text string, in scope, depth int) error {
	inside := scopeData
	switch in {
	case scopeEvent, scopeUser:
		scopes := eventScopes
		if in == scopeUser {
			scopes = userScopes
		}
		var known bool
		if inside, known = scopes[name]; !known {
			return failAt(path, "there is no such field; those of the payload are under \"data\"")
		}
	case scopeData:
	default:
		return failAt(path, "the value has no fields")
	}
	nested, err := c.condition(path, text, inside, depth+1)
	if err != nil {
		return err
	}
	cond.fields = append(cond.fields, fieldCondition{name, nested})
	cond.needsData = cond.needsData || nested.needsData
	return nil
}

func (c *filterCompiler) operator(cond *condition, path, name, text string, in scope, depth int) error {
	op, known := operatorNamed(name)
	if !known {
		return failAt(path, "there is no such operator")
	}
	t := test{operator: op, place: c.place(strings.TrimSuffix(strings.TrimSuffix(path, name), "."), text)}
	var err error
	switch op {
	case opExists:
		if in == scopeEvent {
			return failAt(path, "it needs a field")
		}
		if t.want = text == "true"; !t.want && text != "false" {
			return failAt(path, "it takes true or false")
		}
	case opAnd, opOr, opNot:
		err = c.combination(&t, path, text, in, depth)
	case opIn, opNin:
		t.literals, err = c.list(path, text, in, depth)
	case opEq, opNeq:
		t.literals, err = c.single(path, text, in, depth)
	case opGt, opGte, opLt, opLte:
		if t.literals, err = c.single(path, text, in, depth); err == nil && (in == scopeBool || !t.literals[0].isOrdered()) {
			return failAt(path, "it compares numbers with numbers and strings with strings")
		}
	case opStartsWith, opEndsWith, opRegex:
		err = c.textTest(&t, path, text, in, depth)
	}
	if err != nil {
		return err
	}
	switch op {
	case opExists, opNeq, opNin, opAnd, opOr, opNot:
		cond.whole = append(cond.whole, t)
	default:
		cond.each = append(cond.each, t)
	}
	cond.needsData = cond.needsData || t.needsData()
	return nil
}

func (c *filterCompiler) combination(t *test, path, text string, in scope, depth int) error {
	if t.operator == opNot {
		nested, err := c.condition(path, text, in, depth+1)
		t.conditions = []*condition{nested}
		return err
	}
	if text[0] != '[' {
		return failAt(path, "it takes a list of conditions")
	}
	var err error
	eachElement(text, func(element string) bool {
		var nested *condition
		nested, err = c.condition(fmt.Sprintf("%s[%d]", path, len(t.conditions)), element, in, depth+2)
		t.conditions = append(t.conditions, nested)
		return err == nil
	})
	if err == nil && len(t.conditions) == 0 {
		return failAt(path, "the list is empty")
	}
	return err
}

func (c *filterCompiler) textTest(t *test, path, text string, in scope, depth int) error {
	if in == scopeBool || in == scopeTime {
		return failAt(path, "the value is not text")
	}
	literals, err := c.single(path, text, in, depth)
	if err != nil {
		return err
	}
	if literals[0].kind != kindText {
		return failAt(path, "it takes a string")
	}
	if t.operator == opRegex {
		t.regex, err = compileRegex(path, literals[0].text)
		return err
	}
	t.literals = literals
	return nil
}

func compileRegex(path, pattern string) (*regexp.Regexp, error) {
	if len(pattern) > MaxRegexLength {
		return nil, failAt(path, "the regex is longer than %d bytes", MaxRegexLength)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, failAt(path, "the regex is not RE2: %v", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, failAt(path, "the regex is not RE2: %v", err)
	}
	if len(program.Inst) > MaxRegexProgram {
		return nil, failAt(path, "the regex is too complex: it unfolds to more than %d instructions", MaxRegexProgram)
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, failAt(path, "the regex is not RE2: %v", err)
	}
	return compiled, nil
}

func (c *filterCompiler) single(path, text string, in scope, depth int) ([]literal, error) {
	l, err := c.literalIn(path, text, in, depth)
	return []literal{l}, err
}

func (c *filterCompiler) list(path, text string, in scope, depth int) ([]literal, error) {
	if text[0] != '[' {
		return nil, failAt(path, "it takes a list of values")
	}
	var literals []literal
	var err error
	eachElement(text, func(element string) bool {
		var l literal
		l, err = c.literalIn(fmt.Sprintf("%s[%d]", path, len(literals)), element, in, depth+1)
		literals = append(literals, l)
		return err == nil
	})
	return literals, err
}

// literalIn compiles a literal and refuses one that what it is compared with can never be.
func (c *filterCompiler) literalIn(path, text string, in scope, depth int) (literal, error) {
	l, err := c.literal(path, text, depth)
	if err != nil {
		return literal{}, err
	}
	switch in {
	case scopeEvent, scopeUser:
		return literal{}, failAt(path, "it is an object: name a field of it")
	case scopeText:
		if l.kind != kindText {
			return literal{}, failAt(path, "the field is text: compare it with a string")
		}
	case scopeBool:
		if l.kind != kindTrue && l.kind != kindFalse {
			return literal{}, failAt(path, "the field is true or false")
		}
	case scopeTime:
		if l.at, err = parseFilterTime(l.text); l.kind != kindText || err != nil {
			return literal{}, failAt(path, "it takes a time such as \"2025-04-01T09:30:00Z\" or a day such as \"2025-04-01\" (UTC)")
		}
	}
	return l, nil
}

func parseFilterTime(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	return time.Parse(time.DateOnly, text)
}

func (c *filterCompiler) literal(path, text string, depth int) (literal, error) {
	if err := c.count(path, depth); err != nil {
		return literal{}, err
	}
	v := valueOf(text)
	l := literal{kind: v.kind}
	var err error
	switch v.kind {
	case kindQuoted:
		l.kind, l.text = kindText, unquote(text)
	case kindNumber:
		if l.number = parseDecimal(text); l.number.exp > maxFilterExp || l.number.exp < -maxFilterExp {
			return literal{}, failAt(path, "the exponent of the number is too large")
		}
	case kindArray:
		eachElement(text, func(element string) bool {
			var nested literal
			nested, err = c.literal(fmt.Sprintf("%s[%d]", path, len(l.elements)), element, depth+1)
			l.elements = append(l.elements, nested)
			return err == nil
		})
	case kindObject:
		l.members, err = c.members(path, text, depth)
	}
	return l, err
}

func (c *filterCompiler) members(path, text string, depth int) ([]member, error) {
	var members []member
	var err error
	eachMember(text, func(key, value string) bool {
		name := unquote(key)
		at := joinPath(path, name)
		i, taken := slices.BinarySearchFunc(members, name, memberName)
		if taken {
			err = failAt(at, "it is given twice")
			return false
		}
		var nested literal
		nested, err = c.literal(at, value, depth+1)
		members = slices.Insert(members, i, member{name, nested})
		return err == nil
	})
	return members, err
}

func (l *literal) isOrdered() bool { return l.kind == kindNumber || l.kind == kindText }

// joinPath appends a key to the path of an object; keys that would be ambiguous are quoted.
func joinPath(path, key string) string {
	if key == "" || strings.ContainsAny(key, ".[]\"' \t\n") {
		return fmt.Sprintf("%s[%q]", path, key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
