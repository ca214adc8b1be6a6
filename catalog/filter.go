package catalog

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Limits of a filter. Together with MaxRegexText they bound what evaluating one can cost.
const (
	MaxFilterSize  = 64 << 10 // bytes of JSON
	MaxFilterDepth = 16       // nested objects and arrays
	MaxFilterNodes = 256      // conditions and literals
	MaxRegexLength = 1024     // bytes of pattern
	// MaxRegexProgram bounds what a pattern such as (x{100}){100} unfolds to, in instructions; matching costs
	// text × instructions.
	MaxRegexProgram = 1024
	// MaxRegexText is how many bytes of an event the regexes of one filter look at before the evaluation is given up
	// with ErrFilterCost.
	MaxRegexText = 256 << 10
)

// Filter is a compiled filter: a condition on an event. It is immutable and safe for concurrent use. A nil Filter
// matches every event.
//
// # Language
//
// A filter is a JSON object. Its keys are fields of the event (id, source, type, domain, tenant, office, subject,
// time, transactionId, user {name, id, poolId, originator}, livemode, data), and all of them must hold. What a
// field is compared with is
//
//   - a string, number, boolean, null or array: the field equals it, arrays and what is in them deeply;
//   - an object of fields: each of them holds for the object in the field;
//   - an object of operators: $eq $neq $gt $gte $lt $lte $in $nin $exists $startsWith $endsWith $regex, and
//     $and $or (of a list of conditions) and $not (of one), all of which must hold. $and, $or and $not may stand
//     beside fields, too.
//
// Numbers compare exactly, whatever their size. $gt, $gte, $lt and $lte compare numbers with numbers and strings
// with strings by code point; a value of another type does not match. time compares as a point in time. Regexes are
// RE2 and match anywhere unless anchored.
//
// An array matches if it equals the operand itself, or if one element fulfils all the operators that stand together
// ($neq, $nin, $not, $exists, $and and $or aside, which see the array as a whole). Fields below an array must hold
// for one and the same element.
//
// $neq, $nin and $not are the negation of $eq, $in and the condition inside: no element may match. A field that is
// missing therefore matches them, and $exists: false, and nothing else; null matches an explicit null only. An
// event's own text fields (subject, office, …) are missing when empty. Of a key that occurs twice in an object the
// last counts, as it does for the receivers.
type Filter struct{ root *condition }

// FilterError says why a filter does not compile.
type FilterError struct {
	// Path names the place in the filter, as in data.amount.$gte or $or[1].type; empty for the filter as a whole.
	Path string
	// Message says what is wrong there.
	Message string
}

// Error implements error.
func (e *FilterError) Error() string {
	if e.Path == "" {
		return "filter: " + e.Message
	}
	return fmt.Sprintf("filter: %s: %s", e.Path, e.Message)
}

// CompileFilter compiles a filter as a client wrote it. Nothing, null and {} mean no filter, and compile to nil.
// The error is a *FilterError.
func CompileFilter(raw json.RawMessage) (*Filter, error) {
	return compileFilter(raw, &filterCompiler{})
}

func compileFilter(raw json.RawMessage, c *filterCompiler) (*Filter, error) {
	if len(raw) > MaxFilterSize {
		return nil, &FilterError{Message: fmt.Sprintf("it is larger than %d bytes", MaxFilterSize)}
	}
	text := strings.Trim(string(raw), jsonSpace)
	if text == "" || text == "null" {
		return nil, nil
	}
	if !utf8.ValidString(text) {
		return nil, &FilterError{Message: "it is not valid UTF-8"}
	}
	if problem := checkJSON([]byte(text)); problem != "" {
		return nil, &FilterError{Message: string(problem)}
	}
	if text[0] != '{' {
		return nil, &FilterError{Message: "it is not a JSON object"}
	}
	if skipSpace(text, 1) == len(text)-1 {
		return nil, nil
	}
	root, err := c.condition("", text, scopeEvent, 1)
	if err != nil {
		return nil, err
	}
	return &Filter{root: root}, nil
}

// condition is a conjunction of everything in it.
type condition struct {
	// each hold for one and the same candidate: the value, or one element of it when it is an array.
	each []test
	// whole see the value as it is, arrays and missing ones included.
	whole []test
	// fields are sorted by name.
	fields []fieldCondition
	// needsData is set when evaluating it may look into the payload. Conditions that do are evaluated last.
	needsData bool
}

// fieldCondition is a condition on one member of an object.
type fieldCondition struct {
	name string
	*condition
}

// test is an operator with its operand. Which of the fields is used follows from the operator.
type test struct {
	operator   operator
	want       bool           // $exists
	literals   []literal      // one, or the list of $in and $nin
	regex      *regexp.Regexp // $regex
	conditions []*condition   // $and, $or; one for $not
	place      *place         // nil unless it is compiled to be explained
}

func (t *test) needsData() bool {
	for _, c := range t.conditions {
		if c.needsData {
			return true
		}
	}
	return false
}

type operator uint8

const (
	opEq operator = iota
	opNeq
	opGt
	opGte
	opLt
	opLte
	opIn
	opNin
	opExists
	opStartsWith
	opEndsWith
	opRegex
	opAnd
	opOr
	opNot
)

var operatorNames = [...]string{
	opEq: "$eq", opNeq: "$neq", opGt: "$gt", opGte: "$gte", opLt: "$lt", opLte: "$lte", opIn: "$in", opNin: "$nin",
	opExists: "$exists", opStartsWith: "$startsWith", opEndsWith: "$endsWith", opRegex: "$regex",
	opAnd: "$and", opOr: "$or", opNot: "$not",
}

// String is the operator as it is written.
func (o operator) String() string { return operatorNames[o] }

func operatorNamed(name string) (operator, bool) {
	for o, known := range operatorNames {
		if known == name {
			return operator(o), true
		}
	}
	return 0, false
}
