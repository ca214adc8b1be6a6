package deliver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

func testEvent(data string) *catalog.Event {
	return &catalog.Event{ID: "test_1", Source: "/relay/test", Type: "debt.paid", Tenant: "acme", Time: time.Now(), Data: []byte(data), Raw: []byte(data), Span: catalog.Span{To: len(data)}}
}

func headerOf(headers []outbound.Header, name string) string {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// TestTest_IsSentLikeADelivery: what arrives is what is shown, with credentials redacted wherever they occur, also where
// the receiver sends them back.
func TestTest_IsSentLikeADelivery(t *testing.T) {
	var got http.Header
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("X-Echo", r.Header.Get("X-Key"))
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "you sent ", r.Header.Get("X-Key"), strings.Repeat(".", 5000))
	}))
	defer server.Close()
	b := newBench(t, nil)
	b.webhook("w", server.URL+"/hook", func(w *catalog.Webhook) {
		w.Enabled = false // whoever repairs a webhook tests it before enabling it
		w.Format = catalog.FormatDonutwork
		w.Auth = catalog.Auth{Type: catalog.AuthHeader, Name: "X-Key", Value: catalog.NewSecret("s3cret-key")}
		w.Headers = map[string]string{"X-Custom": "yes"}
		w.Signing = catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{{Value: catalog.NewSecret("the-token"), Encoding: catalog.SecretRaw}}}
	})
	x, err := b.d.Test(t.Context(), b.webhooks["w"], nil, testEvent(`{"a":1.50}`))
	require.NoError(t, err)
	require.Equal(t, server.URL+"/hook", x.URL)
	require.Equal(t, string(body), string(x.Body))
	require.Contains(t, string(x.Body), `"data":{"a":1.50}`)
	require.Equal(t, "s3cret-key", got.Get("X-Key"))
	require.Equal(t, "the-token", got.Get("X-Webhook-Token"))
	require.Equal(t, catalog.Redacted, headerOf(x.Headers, "X-Key"))
	require.Equal(t, catalog.Redacted, headerOf(x.Headers, "X-Webhook-Token"))
	require.Equal(t, "yes", headerOf(x.Headers, "X-Custom"))
	require.Equal(t, "test_1", headerOf(x.Headers, "webhook-event-id"))
	require.Equal(t, "1", headerOf(x.Headers, "webhook-attempt"))
	for _, h := range x.Headers {
		if h.Value != catalog.Redacted {
			require.Equal(t, h.Value, got.Get(h.Name), h.Name)
		}
	}
	require.Equal(t, http.StatusTeapot, x.Status)
	require.Equal(t, catalog.Redacted, headerOf(x.ResponseHeaders, "X-Echo"))
	require.True(t, strings.HasPrefix(string(x.ResponseBody), "you sent redacted..."))
	require.LessOrEqual(t, len(x.ResponseBody), outbound.KeptBodyBytes)
	require.Positive(t, x.Latency)
	require.NotContains(t, fmt.Sprintf("%+v", x.ResponseHeaders), "s3cret")
}

func TestTest_BasicAndBearerAreRedacted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Authorization")) }))
	defer server.Close()
	b := newBench(t, nil)
	for _, c := range []struct {
		auth catalog.Auth
		want string
	}{
		{catalog.Auth{Type: catalog.AuthBasic, Username: "u", Password: catalog.NewSecret("pass")}, "Basic redacted"},
		{catalog.Auth{Type: catalog.AuthBearer, Token: catalog.NewSecret("t0ken")}, "Bearer redacted"},
	} {
		b.webhook("w", server.URL, func(w *catalog.Webhook) { w.Auth = c.auth })
		x, err := b.d.Test(t.Context(), b.webhooks["w"], nil, testEvent(`{}`))
		require.NoError(t, err)
		require.Equal(t, c.want, headerOf(x.Headers, "Authorization"))
		require.Equal(t, c.want, string(x.ResponseBody), "sent back")
	}
}

// TestTest_LeavesNoTrace: failures of test calls open no breaker, and nothing is retried, diverted or settled.
func TestTest_LeavesNoTrace(t *testing.T) {
	b := newBench(t, func(o *Options) { o.OnReport = func(Report) { t.Error("a test call was reported") } })
	b.webhook("w", answering(t, 500).URL, nil)
	for range 20 {
		x, err := b.d.Test(t.Context(), b.webhooks["w"], nil, testEvent(`{}`))
		require.NoError(t, err)
		require.Equal(t, 500, x.Status)
	}
	require.Empty(t, b.retried)
	require.Empty(t, b.diverted)
	require.Empty(t, b.d.allLanes())
}

// TestTest_GoesThroughTheGuard: what was not sent says why in a word, without addresses.
func TestTest_GoesThroughTheGuard(t *testing.T) {
	b := newBench(t, nil)
	b.webhook("blocked", "http://10.1.2.3/", nil)
	x, err := b.d.Test(t.Context(), b.webhooks["blocked"], nil, testEvent(`{}`))
	require.NoError(t, err)
	require.Equal(t, outbound.ClassBlocked, x.Class)
	require.Zero(t, x.Status)
	hang, release := hanging(t)
	defer release()
	b.webhook("slow", hang.URL, func(w *catalog.Webhook) { w.Delivery.Timeout = catalog.Duration(100 * time.Millisecond) })
	x, err = b.d.Test(t.Context(), b.webhooks["slow"], nil, testEvent(`{}`))
	require.NoError(t, err)
	require.Equal(t, outbound.ClassTimeout, x.Class)

	b.webhook("format", "http://127.0.0.1:1/", func(w *catalog.Webhook) { w.Format = catalog.FormatOcelot })
	_, err = b.d.Test(t.Context(), b.webhooks["format"], nil, testEvent(`[1]`))
	require.ErrorIs(t, err, ErrCannotSend)
	b.webhook("gone", "http://127.0.0.1:1/", func(w *catalog.Webhook) { w.Integration = "gone" })
	_, err = b.d.Test(t.Context(), b.webhooks["gone"], nil, testEvent(`{}`))
	require.ErrorIs(t, err, ErrCannotSend)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.webhook("w", "http://127.0.0.1:1/", nil)
	_, err = b.d.Test(ctx, b.webhooks["w"], nil, testEvent(`{}`))
	require.Error(t, err)
}
