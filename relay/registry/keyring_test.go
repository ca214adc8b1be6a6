package registry

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseKeyring(t *testing.T) {
	a, b := GenerateMasterKey(), GenerateMasterKey()
	require.NotEqual(t, a, b)
	raw := strings.TrimRight(a, "=")
	for _, tc := range []struct {
		name, text string
		ids        []string // nil: refused
	}{
		{"bare", a, []string{"1"}},
		{"bare without padding", raw, []string{"1"}},
		{"named", "2026-11:" + a, []string{"2026-11"}},
		{"several, the first is current", "new:" + a + ",old:" + b, []string{"new", "old"}},
		{"one a line, as in a file", "new:" + a + "\nold:" + b + "\n", []string{"new", "old"}},
		{"empty", "", nil},
		{"only separators", " ,\n", nil},
		{"not base64", "k:%%%", nil},
		{"16 bytes", "k:" + base64.StdEncoding.EncodeToString(make([]byte, 16)), nil},
		{"33 bytes", "k:" + base64.StdEncoding.EncodeToString(make([]byte, 33)), nil},
		{"bad id", "a/b:" + a, nil},
		{"no id", ":" + a, nil},
		{"id too long", strings.Repeat("x", 33) + ":" + a, nil},
		{"same id twice", "k:" + a + ",k:" + b, nil},
		{"two bare keys", a + "," + b, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ring, err := ParseKeyring(tc.text)
			if tc.ids == nil {
				require.ErrorIs(t, err, ErrKeyring)
				return
			}
			require.NoError(t, err)
			var ids []string
			for _, key := range ring.keys {
				ids = append(ids, key.id)
			}
			require.Equal(t, tc.ids, ids)
		})
	}
}

func TestParseKeyring_NeverPrintsAValue(t *testing.T) {
	for _, text := range []string{
		"SENSITIVE", "k:SENSITIVE", "SENSITIVE!:x", "k:" + GenerateMasterKey() + ",k:SENSITIVE", "SENSITIVE:SENSITIVE:SENSITIVE",
	} {
		_, err := ParseKeyring(text)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "SENSITIVE")
	}
	key := GenerateMasterKey()
	ring, err := ParseKeyring("k:" + key)
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprint(ring), fmt.Sprintf("%#v", ring), ring.LogValue().String()} {
		require.Equal(t, "master keys k", text)
	}
}

func TestKeyring_SealAndOpen(t *testing.T) {
	const key = "webhook/default/wh_1"
	first, second := "a:"+GenerateMasterKey(), "b:"+GenerateMasterKey()
	ring := func(text string) *Keyring {
		ring, err := ParseKeyring(text)
		require.NoError(t, err)
		return ring
	}
	secrets := secretsByPath{"auth.token": "tok", "signing.secrets[0].value": "whsec_x"}
	seal := func(ring *Keyring) *sealed {
		box, err := ring.seal(key, secrets)
		require.NoError(t, err)
		return box
	}
	old := ring(first)

	t.Run("round trip, never twice the same", func(t *testing.T) {
		one, two := seal(old), seal(old)
		require.NotEqual(t, one.Box, two.Box)
		require.NotEqual(t, one.Key, two.Key)
		opened, err := old.open(key, one)
		require.NoError(t, err)
		require.Equal(t, secrets, opened)
	})
	t.Run("no secrets, no envelope", func(t *testing.T) {
		box, err := old.seal(key, nil)
		require.NoError(t, err)
		require.Nil(t, box)
		opened, err := old.open(key, nil)
		require.NoError(t, err)
		require.Empty(t, opened)
	})
	t.Run("after rotation the old key still opens and the new one seals", func(t *testing.T) {
		rotated := ring(second + "," + first)
		opened, err := rotated.open(key, seal(old))
		require.NoError(t, err)
		require.Equal(t, secrets, opened)
		require.Equal(t, "b", seal(rotated).KeyID)
	})
	t.Run("moved to another record", func(t *testing.T) {
		_, err := old.open("webhook/default/wh_2", seal(old))
		require.ErrorIs(t, err, ErrSealed)
	})
	t.Run("layers are not interchangeable", func(t *testing.T) {
		box := seal(old)
		box.Box = box.Key
		_, err := old.open(key, box)
		require.ErrorIs(t, err, ErrSealed)
	})
	t.Run("tampered", func(t *testing.T) {
		for name, part := range map[string]func(*sealed) *[]byte{
			"key": func(s *sealed) *[]byte { return &s.Key }, "box": func(s *sealed) *[]byte { return &s.Box },
		} {
			for _, change := range []func([]byte) []byte{
				func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
				func(b []byte) []byte { return b[:5] },
				func([]byte) []byte { return nil },
			} {
				box := seal(old)
				bytes := part(box)
				*bytes = change(*bytes)
				_, err := old.open(key, box)
				require.ErrorIs(t, err, ErrSealed, name)
			}
		}
	})
	t.Run("a key that is not there, also under an id that is", func(t *testing.T) {
		for _, other := range []string{second, "a:" + GenerateMasterKey()} {
			_, err := ring(other).open(key, seal(old))
			var missing *MissingKeyError
			require.ErrorAs(t, err, &missing)
			require.Equal(t, "a", missing.KeyID)
		}
	})
}
