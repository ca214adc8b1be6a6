package history

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Every field of the record is written, so that one that is added cannot be forgotten.
func TestAttempt_AppendJSON(t *testing.T) {
	full := Attempt{At: time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)}
	value := reflect.ValueOf(&full).Elem()
	for i := range value.NumField() {
		switch field := value.Field(i); field.Kind() {
		case reflect.String:
			field.SetString("text " + value.Type().Field(i).Name)
		case reflect.Int, reflect.Int64:
			field.SetInt(int64(1000 + i))
		case reflect.Float64:
			field.SetFloat(1234.567)
		case reflect.Struct:
			require.Equal(t, "At", value.Type().Field(i).Name)
		default:
			t.Fatalf("Attempt.%s: AppendJSON and this test do not know its kind", value.Type().Field(i).Name)
		}
	}
	for name, record := range map[string]Attempt{"full": full, "empty": {}, "hostile": {Response: "</script>\x00\n\"\\\u2028é"}} {
		t.Run(name, func(t *testing.T) {
			want, err := json.Marshal(record)
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(record.AppendJSON(nil)))
		})
	}
}

func FuzzAttempt_AppendJSON(f *testing.F) {
	f.Add("plain", "with \"quotes\" and \\")
	f.Add("\u2028\u2029<>&", "\x00\x1f\x7f")
	f.Fuzz(func(t *testing.T, id, response string) {
		if !utf8.ValidString(id) || !utf8.ValidString(response) {
			t.Skip("ids are UTF-8 and responses are made so")
		}
		record := Attempt{EventID: id, Response: response}
		var read Attempt
		require.NoError(t, json.Unmarshal(record.AppendJSON(nil), &read))
		require.Equal(t, record, read)
	})
}
