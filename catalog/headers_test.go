package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckHeader(t *testing.T) {
	for name, value := range map[string]string{
		"X-Team":    "billing",
		"x-api-key": "k",
		"Accept":    "application/json",
		"X-Empty":   "",
		"X-Tab":     "a\tb c",
		"X-Long":    strings.Repeat("v", MaxHeaderValueLength),
	} {
		require.NoError(t, CheckHeader(name, value), name)
	}
}

func TestCheckHeaderRefuses(t *testing.T) {
	for _, tt := range []struct{ why, name, value string }{
		{"empty name", "", "v"},
		{"space in name", "X Team", "v"},
		{"colon in name", "X-Team:", "v"},
		{"line break in name", "X-Team\r\nHost", "v"},
		{"non-ASCII name", "X-Tëam", "v"},
		{"long name", strings.Repeat("x", MaxHeaderNameLength+1), "v"},
		{"line break in value", "X-Team", "a\r\nHost: b"},
		{"bare line feed", "X-Team", "a\nb"},
		{"NUL", "X-Team", "a\x00b"},
		{"DEL", "X-Team", "a\x7fb"},
		{"non-ASCII value", "X-Team", "grün"},
		{"long value", "X-Team", strings.Repeat("v", MaxHeaderValueLength+1)},
		{"host", "Host", "internal"},
		{"content length", "content-length", "0"},
		{"content type", "Content-Type", "text/html"},
		{"transfer encoding", "TRANSFER-ENCODING", "chunked"},
		{"connection", "Connection", "close"},
		{"upgrade", "Upgrade", "websocket"},
		{"te", "TE", "trailers"},
		{"trailer", "Trailer", "X"},
		{"proxy", "Proxy-Authorization", "x"},
		{"expect", "Expect", "100-continue"},
		{"webhook", "Webhook-Id", "x"},
		{"forwarded", "X-Forwarded-For", "127.0.0.1"},
		{"via", "Via", "x"},
		{"idempotency", "Idempotency-Key", "x"},
		{"authorization", "Authorization", "Bearer x"},
		{"cookie", "Cookie", "x"},
		{"user agent", "User-Agent", "x"},
		{"trace", "traceparent", "x"},
		{"signature of Ophelos", "Ophelos-Signature", "t=1,v1=x"},
		{"version of Ophelos", "ophelos-version", "2025-04-01"},
		{"signature of Socotra", "Socotra-Signature", "x"},
		{"token of DonutWork", "X-Webhook-Token", "x"},
		{"attribute of CloudEvents", "CE-Id", "x"},
		{"keep-alive", "Keep-Alive", "x"},
		{"real address", "Forwarded", "for=127.0.0.1"},
		{"settings of HTTP/2", "HTTP2-Settings", "x"},
		{"trace state", "TraceState", "x"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			require.ErrorIs(t, CheckHeader(tt.name, tt.value), ErrHeader)
		})
	}
}

func TestHeaderErrorsHideTheValue(t *testing.T) {
	err := CheckAuthHeader("X-Key", "hunter2\x00")
	require.ErrorIs(t, err, ErrHeader)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestCheckAuthHeader(t *testing.T) {
	require.NoError(t, CheckAuthHeader("Authorization", "ApiKey x"))
	require.NoError(t, CheckAuthHeader("X-Api-Key", "x"))
	require.ErrorIs(t, CheckAuthHeader("Host", "x"), ErrHeader)
	require.ErrorIs(t, CheckAuthHeader("Authorization", "x\n"), ErrHeader)
}

func TestCanonicalHeaders(t *testing.T) {
	require.Nil(t, canonicalHeaders(nil))
	require.Equal(t, map[string]string{"X-Team": "a"}, canonicalHeaders(map[string]string{"x-team": "a"}))
	both := map[string]string{"x-team": "a", "X-TEAM": "b"}
	require.Equal(t, both, canonicalHeaders(both), "neither value is lost")
}
