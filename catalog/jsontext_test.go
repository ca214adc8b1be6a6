package catalog

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// It must read every string as encoding/json does, and nothing else.
func FuzzJSONText(f *testing.F) {
	for _, text := range []string{`""`, `"15s"`, `"a\"b"`, `"\u00e9"`, "\"\xff\"", `"\ud800"`, `7`, `null`, `{"a":"b"}`, `["a"]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var value any
		if json.Unmarshal(b, &value) != nil || len(b) == 0 || b[0] <= ' ' || b[len(b)-1] <= ' ' {
			t.Skip("encoding/json hands over values only, without space around them")
		}
		want, isText := value.(string)
		got, ok := jsonText(b)
		require.Equal(t, isText, ok)
		require.Equal(t, want, got)
	})
}
