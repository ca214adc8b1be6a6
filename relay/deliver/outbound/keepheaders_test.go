package outbound

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// TestKeepHeaders: response headers are kept where they are asked for, a bounded number of bounded length, over both
// protocols.
func TestKeepHeaders(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*KeptHeaderBytes))
		for i := range 2 * KeptHeaders {
			w.Header().Set(fmt.Sprintf("X-%d", i), "y")
		}
	})
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	ca := newAuthority(t)
	h2 := serveHTTP(t, ca, onlyHTTP2, handler)
	client := newClient(t, Options{Resolver: answer("127.0.0.1")})
	for _, url := range []string{plain.URL, h2.url} {
		for _, keep := range []bool{false, true} {
			request := post(url, ample)
			request.Endpoint.TLS = catalog.TLS{CACert: ca.pem()}
			request.KeepHeaders = keep
			got := client.Do(t.Context(), request)
			require.Equal(t, http.StatusOK, got.Status, "%v", got.Err)
			if !keep {
				require.Empty(t, got.Headers)
				continue
			}
			require.Len(t, got.Headers, KeptHeaders)
			for _, h := range got.Headers {
				require.LessOrEqual(t, len(h.Value), KeptHeaderBytes)
			}
		}
	}
}
