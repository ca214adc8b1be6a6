package catalog

import (
	"bytes"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"
)

// The walker below reads JSON text that checkJSON has accepted, so that it need not check anything itself. It finds
// where members and elements begin and end and decodes nothing: a payload is decoded as far as a filter asks, and
// keys are compared as they are, whatever characters they have.

// maxDataDepth bounds the nesting of a payload that filters look into. The validator recurses, so that without a
// bound a few megabytes of brackets would exhaust the stack. It is the bound of encoding/json.
const maxDataDepth = 10_000

// jsonProblem says why a text cannot be walked; empty when it can.
type jsonProblem string

const (
	jsonInvalid jsonProblem = "it is not valid JSON"
	jsonTooDeep jsonProblem = "it is nested too deeply"
)

// checkJSON is linear in the text and allocates nothing.
func checkJSON(text []byte) jsonProblem {
	// Depth is at most the number of opening brackets; counting bytes is far cheaper than tracking strings.
	if bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}) > maxDataDepth && jsonDepth(text) > maxDataDepth {
		return jsonTooDeep
	}
	if !gjson.ValidBytes(text) {
		return jsonInvalid
	}
	return ""
}

// jsonDepth is the deepest nesting of a text that may be invalid.
func jsonDepth(text []byte) int {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// textOf views bytes as a string without copying. The bytes of an event and of a filter never change.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// jsonSpace is the whitespace of JSON.
const jsonSpace = " \n\r\t"

func isJSONSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func skipSpace(text string, i int) int {
	for i < len(text) && isJSONSpace(text[i]) {
		i++
	}
	return i
}

// skipString gives the position after the string that begins at i.
func skipString(text string, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(text)
}

// skipValue gives the position after the value that begins at i. It counts brackets instead of recursing.
func skipValue(text string, i int) int {
	if i >= len(text) {
		return i
	}
	switch text[i] {
	case '"':
		return skipString(text, i)
	case '{', '[':
		for depth := 0; i < len(text); {
			switch text[i] {
			case '"':
				i = skipString(text, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	default:
		for i < len(text) && text[i] != ',' && text[i] != '}' && text[i] != ']' && !isJSONSpace(text[i]) {
			i++
		}
		return i
	}
}

// eachMember calls f with the quoted key and the value of every member of an object, until f returns false.
func eachMember(object string, f func(key, value string) bool) {
	for i := skipSpace(object, 1); i < len(object) && object[i] == '"'; {
		keyEnd := skipString(object, i)
		from := skipSpace(object, skipSpace(object, keyEnd)+1) // after the colon
		to := skipValue(object, from)
		if to <= from || !f(object[i:keyEnd], object[from:to]) {
			return
		}
		i = skipSpace(object, skipSpace(object, to)+1) // after the comma
	}
}

// eachElement calls f with every element of an array, until f returns false.
func eachElement(array string, f func(value string) bool) {
	for i := skipSpace(array, 1); i < len(array) && array[i] != ']'; {
		to := skipValue(array, i)
		if to <= i || !f(array[i:to]) {
			return
		}
		i = skipSpace(array, skipSpace(array, to)+1)
	}
}

// unquote gives the characters of a quoted string; it allocates only when there is an escape.
func unquote(quoted string) string {
	inner := quoted[1 : len(quoted)-1]
	if strings.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return gjson.Parse(quoted).Str
}

// quotedEquals compares a quoted string with plain text.
func quotedEquals(quoted, plain string) bool {
	inner := quoted[1 : len(quoted)-1]
	if len(inner) < len(plain) {
		return false // escapes only ever lengthen
	}
	if strings.IndexByte(inner, '\\') < 0 {
		return inner == plain
	}
	return gjson.Parse(quoted).Str == plain
}
