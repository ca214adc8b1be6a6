package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	s := NewSecret("hunter2")
	holder := struct {
		Secret  Secret
		Pointer *Secret
	}{s, &s}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("m", "secret", s, "holder", holder, "auth", Auth{Type: AuthBearer, Token: s})
	marshalled, err := json.Marshal(holder)
	require.NoError(t, err)
	text, err := s.MarshalText()
	require.NoError(t, err)

	printed := log.String() + string(marshalled) + string(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		printed += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, holder) + fmt.Sprintf(verb, &s)
	}
	require.NotContains(t, printed, "hunter2")
	require.NotContains(t, printed, fmt.Sprintf("%x", "hunter2"))
	require.Contains(t, printed, Redacted)
}

func TestSecretRoundTrip(t *testing.T) {
	var s Secret
	require.NoError(t, json.Unmarshal([]byte(`"hunter2"`), &s))
	require.Equal(t, "hunter2", s.Reveal())
	require.True(t, s.IsSet())
	require.False(t, s.IsRedacted())
	require.NoError(t, json.Unmarshal([]byte(`"redacted"`), &s))
	require.True(t, s.IsRedacted())

	empty, err := json.Marshal(Secret{})
	require.NoError(t, err)
	require.Equal(t, `""`, string(empty), "nothing is not shown as something")
}
