package catalog

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// hidden holds a secret where package fmt cannot call its methods.
type hidden struct {
	name   string
	secret Secret
	nested struct{ auth Auth }
}

func TestSecretIsNeverWritten(t *testing.T) {
	const plain = "hunter2-1f0c9a77"
	s := NewSecret(plain)
	auth := Auth{Type: AuthBearer, Token: s}
	inside := hidden{name: "n", secret: s}
	inside.nested.auth = auth
	values := map[string]any{
		"value": s, "pointer": &s, "field": auth, "pointer to field": &auth, "hidden field": inside, "pointer to hidden field": &inside,
		"slice": []Secret{s}, "map": map[string]Secret{"k": s}, "interface": any(s),
		"error": fmt.Errorf("bad token %v in %+v", s, inside),
	}
	writers := map[string]func(any) string{
		"json": func(v any) string {
			b, err := json.Marshal(v)
			return string(b) + fmt.Sprint(err)
		},
		"xml": func(v any) string {
			b, err := xml.Marshal(v)
			return string(b) + fmt.Sprint(err)
		},
		"yaml": func(v any) string {
			b, err := yaml.Marshal(v)
			return string(b) + fmt.Sprint(err)
		},
		"gob": func(v any) string {
			var b bytes.Buffer
			return fmt.Sprint(gob.NewEncoder(&b).Encode(v)) + b.String()
		},
		"slog text": func(v any) string {
			return logged(v, func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) })
		},
		"slog json": func(v any) string {
			return logged(v, func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) })
		},
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%c", "%U", "%t", "%e", "%p", "%T", "%w", "%#q", "%+q", "%-40s", "%z"} {
		writers[verb] = func(v any) string { return fmt.Sprintf(verb, v) }
	}
	forms := []string{plain, hex.EncodeToString([]byte(plain)), fmt.Sprintf("%X", plain), fmt.Sprintf("% x", plain), fmt.Sprintf("%d", []byte(plain)),
		base64.StdEncoding.EncodeToString([]byte(plain))}
	for how, write := range writers {
		for what, v := range values {
			for _, form := range forms {
				require.NotContains(t, write(v), form, "%s of a secret in a %s", how, what)
			}
		}
	}
	require.Contains(t, writers["json"](auth), `"token":"redacted"`)
	require.Contains(t, writers["%+v"](auth), Redacted)
}

func logged(v any, handler func(*bytes.Buffer) slog.Handler) string {
	var b bytes.Buffer
	log := slog.New(handler(&b))
	log.With("with", v).WithGroup("g").Info("m", "value", v, slog.Group("in", "value", v))
	return b.String()
}

func TestSecretRoundTrip(t *testing.T) {
	var s Secret
	require.NoError(t, json.Unmarshal([]byte(`"hunter2"`), &s))
	require.Equal(t, "hunter2", s.Reveal())
	require.True(t, s.IsSet())
	require.False(t, s.IsRedacted())
	require.NoError(t, json.Unmarshal([]byte(`null`), &s))
	require.Equal(t, "hunter2", s.Reveal(), "null changes nothing")
	require.NoError(t, json.Unmarshal([]byte(`"redacted"`), &s))
	require.True(t, s.IsRedacted())
	require.NoError(t, json.Unmarshal([]byte(`""`), &s))
	require.False(t, s.IsSet())

	empty, err := json.Marshal(Secret{})
	require.NoError(t, err)
	require.Equal(t, `""`, string(empty), "nothing is not shown as something")
	omitted, err := json.Marshal(Auth{Type: AuthNone})
	require.NoError(t, err)
	require.JSONEq(t, `{"type":"none"}`, string(omitted))
}

func TestSecretEqual(t *testing.T) {
	require.True(t, NewSecret("a").Equal(NewSecret("a")))
	require.False(t, NewSecret("a").Equal(NewSecret("b")))
	require.False(t, NewSecret("a").Equal(Secret{}))
	require.True(t, NewSecret("").Equal(Secret{}))
}
