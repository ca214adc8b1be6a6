package admin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/admin/openapi"
)

func TestIfMatch(t *testing.T) {
	tests := []struct {
		name, header string
		want         int64
		stale        bool
	}{
		{"absent", "", 0, false},
		{"any", "*", 0, false},
		{"any, spaced", " * ", 0, false},
		{"one that is current", `"3"`, 3, false},
		{"one that is newer than what is known here", `"4"`, 4, false},
		{"several, one current", `"1", "3"`, 3, false},
		{"several, none current", `"1", "2"`, 0, true},
		{"weak", `W/"3"`, 0, true},
		{"unquoted", `3`, 0, true},
		{"not a number", `"x"`, 0, true},
		{"zero", `"0"`, 0, true},
		{"negative", `"-1"`, 0, true},
		{"another spelling", `"03"`, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ifMatch(tt.header, 3)
			require.Equal(t, tt.stale, err != nil)
			require.Equal(t, tt.want, got)
		})
	}
}

// The vectors of RFC 7396, appendix A, as members of an object.
func TestMergePatch(t *testing.T) {
	for _, tt := range [][3]string{
		{`"b"`, `"c"`, `"c"`},
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"n":1}`, `{"m":12345678901234567890.10}`, `{"m":12345678901234567890.10,"n":1}`},
	} {
		got, err := mergePatch(members{"x": []byte(tt[0]), "same": []byte(` [ 1 ]`)}, members{"x": []byte(tt[1])})
		require.NoError(t, err)
		require.Equal(t, tt[2], string(got["x"]), "%s patched with %s", tt[0], tt[1])
		require.Equal(t, ` [ 1 ]`, string(got["same"]), "what is not touched keeps its bytes")
	}
	got, err := mergePatch(members{"x": []byte(`1`)}, members{"x": []byte(`null`), "y": []byte(`null`), "z": []byte(`{"a":null}`)})
	require.NoError(t, err)
	require.Equal(t, members{"z": []byte(`{}`)}, got)
}

func FuzzMergePatch(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1}}`), []byte(`{"a":{"b":null,"c":[1]}}`))
	f.Add([]byte(`{}`), []byte(`{"a":{"a":{"a":null}}}`))
	f.Fuzz(func(t *testing.T, target, patch []byte) {
		anything := &openapi.Schema{}
		before, err := decodeObject(target, anything)
		if err != nil || before == nil {
			return
		}
		change, err := decodeObject(patch, anything)
		if err != nil {
			return
		}
		once, err := mergePatch(before, change)
		require.NoError(t, err)
		twice, err := mergePatch(once, change)
		require.NoError(t, err)
		first, err := encodeJSON(once)
		require.NoError(t, err)
		second, err := encodeJSON(twice)
		require.NoError(t, err)
		require.Equal(t, string(first), string(second), "a patch applied twice is a patch applied once")
	})
}
