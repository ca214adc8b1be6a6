package receive

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublicKeyAt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, []byte("of a file"), 0o600))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/receeve/public-key" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte("of " + r.URL.Query().Get("tenant")))
	}))
	defer server.Close()
	for source, want := range map[string]string{file: "of a file", server.URL + "/receeve/public-key?tenant=acme": "of acme"} {
		got, err := PublicKeyAt(source)(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, source := range []string{file + ".missing", server.URL + "/elsewhere", "http://127.0.0.1:1/", "http://%"} {
		_, err := PublicKeyAt(source)(t.Context())
		require.Error(t, err, source)
	}
}
