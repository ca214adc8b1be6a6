package catalog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckJSON(t *testing.T) {
	for text, want := range map[string]jsonProblem{
		`{"a":[1,"]}"]}`: "",
		` 5 `:            "",
		``:               jsonInvalid,
		`{"a":1,}`:       jsonInvalid,
		`[1 2]`:          jsonInvalid,
		`nul`:            jsonInvalid,
		`+1`:             jsonInvalid,
		strings.Repeat("[", maxDataDepth) + strings.Repeat("]", maxDataDepth):     "",
		strings.Repeat("[", maxDataDepth+1) + strings.Repeat("]", maxDataDepth+1): jsonTooDeep,
		`["` + strings.Repeat(`\"[{`, maxDataDepth) + `"]`:                        "",
	} {
		require.Equal(t, want, checkJSON([]byte(text)), "%.40s", text)
	}
}

// rebuild decodes a value with the walker alone.
func rebuild(t *testing.T, text string) any {
	switch v := valueOf(text); v.kind {
	case kindObject:
		object := map[string]any{}
		eachMember(text, func(key, value string) bool {
			require.True(t, quotedEquals(key, unquote(key)))
			object[unquote(key)] = rebuild(t, value)
			return true
		})
		return object
	case kindArray:
		array := []any{}
		eachElement(text, func(value string) bool {
			array = append(array, rebuild(t, value))
			return true
		})
		return array
	case kindQuoted:
		return unquote(text)
	case kindNumber:
		return json.Number(text)
	case kindNull:
		return nil
	default:
		return v.kind == kindTrue
	}
}

// FuzzWalker: whatever encoding/json decodes, the walker finds as well.
func FuzzWalker(f *testing.F) {
	for _, text := range []string{
		debtData, `[]`, `{}`, ` [ 1 , {"a" : [ ] , "b":"\\"} , "\"" , "\\\"" ] `, `"\ud83d\ude00\ud800x\u0000"`, `[[[[]]],{"":{"":[]}}]`,
		`{"a\\":1,"b\"}":[true,false,null,-0.0e+5]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if checkJSON(text) != "" || jsonDepth(text) > 1000 {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(text, []byte("?"))))
		decoder.UseNumber()
		var want any
		require.NoError(t, decoder.Decode(&want), "what passes the check is JSON")
		if strings.Contains(string(text), `\ud`) || strings.Contains(string(text), `\uD`) {
			return // lone surrogates are replaced by differing numbers of characters
		}
		got := rebuild(t, strings.Trim(string(bytes.ToValidUTF8(text, []byte("?"))), jsonSpace))
		require.Equal(t, want, got)
	})
}
