package embedded

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLoadKeys_MadeOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	first, err := LoadKeys(dir)
	require.NoError(t, err)
	second, err := LoadKeys(dir)
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.NotEqual(t, first.Admin, first.Master)
	raw, err := base64.StdEncoding.DecodeString(first.Master.Reveal())
	require.NoError(t, err)
	require.Len(t, raw, 32)
	for _, name := range []string{AdminKeyFile, MasterKeyFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm(), name)
	}
}

func TestLoadKeys_AnEmptyFileIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, MasterKeyFile), nil, 0o600))
	_, err := LoadKeys(dir)
	require.ErrorContains(t, err, MasterKeyFile)
}

func TestWriteClient(t *testing.T) {
	dir := t.TempDir()
	keys, err := LoadKeys(dir)
	require.NoError(t, err)
	require.NoError(t, WriteClient(dir, "http://127.0.0.1:8080", keys.Admin))
	text, err := os.ReadFile(filepath.Join(dir, ClientFile))
	require.NoError(t, err)
	var client map[string]string
	require.NoError(t, json.Unmarshal(text, &client))
	require.Equal(t, map[string]string{"adminUrl": "http://127.0.0.1:8080", "adminKey": keys.Admin.Reveal()}, client)
}
