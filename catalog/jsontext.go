package catalog

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// jsonText is the text of a JSON string, of which encoding/json made sure that it is JSON; false: it is no string. Most
// have no escape and need no second decoder.
func jsonText(b []byte) (string, bool) {
	if len(b) < 2 || b[0] != '"' {
		return "", false
	}
	inner := b[1 : len(b)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner), true
	}
	var text string
	err := json.Unmarshal(b, &text)
	return text, err == nil
}
