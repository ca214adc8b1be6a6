package envelope

import "bytes"

// MaxDepth is how many objects and arrays may be open at once in a value. JSON validators and parsers recurse; ten
// million opening brackets, which fit into the largest event, would overflow the stack of one and end the process
// again after every restart. It is the limit of encoding/json, which leaves room for any real event.
const MaxDepth = 10_000

// nestsTooDeep reports whether value opens more than MaxDepth objects and arrays at once. For a value that is not
// JSON the answer is exact up to the first byte at which a parser would stop, which is all that matters.
func nestsTooDeep(value []byte) bool {
	// Nearly every event has fewer brackets than that in total, and counting them takes nanoseconds.
	if bytes.Count(value, []byte{'{'})+bytes.Count(value, []byte{'['}) <= MaxDepth {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth = max(depth-1, 0)
		}
	}
	return false
}
