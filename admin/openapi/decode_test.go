package openapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecode(t *testing.T) {
	value, err := Decode([]byte(` {"a": [1, 1e400, "x", null, true], "b": {}} `))
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"a": []any{json.Number("1"), json.Number("1e400"), "x", nil, true}, "b": map[string]any{},
	}, value)
}

func TestDecode_Refuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", "", "ends too early"},
		{"cut off", `{"a": 1`, "ends too early"},
		{"two values", `{} {}`, "more follows"},
		{"trailing comma", `[1,]`, "not valid JSON"},
		{"no JSON", `hello`, "not valid JSON"},
		{"member twice", `{"a": {"b": 1, "b": 2}}`, `member "b" occurs twice`},
		{"member twice, escaped", `{"a": 1, "\u0061": 2}`, `member "a" occurs twice`},
		{"invalid UTF-8", "\"\xff\"", "not valid UTF-8"},
		{"too deep", strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), "levels deep"},
		{"far too deep", strings.Repeat(`{"a":`, 100_000), "levels deep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode([]byte(tt.text))
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := Decode([]byte(strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)))
	require.NoError(t, err)
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a": [1, {"b": null}]}`, `"\ud800"`, `1e999`, `[]]`, `{"a":1,"a":2}`, "\xff", `{"":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		value, err := Decode(text)
		if err != nil {
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax)
			return
		}
		require.True(t, json.Valid(text), "accepted what is not JSON")
		again, err := json.Marshal(value)
		require.NoError(t, err)
		second, err := Decode(again)
		require.NoError(t, err)
		require.Equal(t, value, second)
	})
}
