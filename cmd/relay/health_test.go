package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealth(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("waits for the subscriptions\n"))
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")

	code, out, stderr := runWith(t, "health", "--ops-addr", addr)
	require.Equal(t, exitOK, code)
	require.Empty(t, out+stderr)

	t.Setenv("RELAY_OPS_ADDR", "0.0.0.0:"+addr[strings.LastIndexByte(addr, ':')+1:])
	code, _, _ = runWith(t, "health")
	require.Equal(t, exitOK, code, "the address that the relay listens on")

	status = http.StatusServiceUnavailable
	code, _, stderr = runWith(t, "health")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "not ready (503): waits for the subscriptions")

	server.Close()
	code, _, stderr = runWith(t, "health")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "no relay answers")

	code, _, _ = runWith(t, "health", "--ops-addr", "nowhere")
	require.Equal(t, exitUsage, code)
}

func TestDialable(t *testing.T) {
	for listen, dial := range map[string]string{
		":8081": "127.0.0.1:8081", "0.0.0.0:8081": "127.0.0.1:8081", "[::]:8081": "[::1]:8081", "127.0.0.1:1": "127.0.0.1:1", "relay:1": "relay:1",
	} {
		require.Equal(t, dial, dialable(listen), listen)
	}
}
