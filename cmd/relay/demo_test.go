package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/cmd/relay/demo"
	"eventrelay/testdata/events"
)

// The demo's webhooks are listed by the platforms' APIs that they were made through, started twice they are there once,
// and every receiver verifies what it gets.
func TestDemo_IsListedByThePlatforms(t *testing.T) {
	t.Parallel()
	f := newFleet(t, time.Second)
	p := f.start(t, "demo", "--log-level", "error")
	p.awaitReady(t, f)
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	api := demo.NewAPI(p.api.url, catalog.NewSecret(p.api.key))
	t.Cleanup(api.Close)
	var receiver *demo.Receiver
	for range 2 {
		if receiver != nil {
			require.NoError(t, receiver.Close())
		}
		var err error
		receiver, err = demo.StartReceiver(t.Context(), "127.0.0.1:0", log)
		require.NoError(t, err)
		script := demo.NewScript(demo.ScriptOptions{API: api, Receiver: receiver, Printer: demo.NewPrinter(io.Discard), DataDir: dir, Log: log})
		require.NoError(t, script.Register(t.Context()))
	}
	t.Cleanup(func() { require.NoError(t, receiver.Close()) })

	get := func(path string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.api.url+path, http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+p.api.key)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", path, text)
		return string(text)
	}
	for path, id := range map[string]string{
		"/ophelos/webhooks": `"id":"demo-ophelos"`, "/socotra/webhooks": `"name":"demo-socotra"`, "/ocelot/webhooks": `"id":"demo-ocelot"`,
		"/donutwork/2026-02-01/webhooks.json": `"id":"demo-donutwork"`,
	} {
		require.Equal(t, 1, strings.Count(get(path), id), path)
	}
	var page struct{ Items []struct{ ID string } }
	require.NoError(t, json.Unmarshal([]byte(get("/v1/webhooks?enabled=true&limit=200")), &page))
	require.Len(t, page.Items, len(demo.Webhooks()))

	for _, s := range events.All() {
		f.client.Produce(t.Context(), &kgo.Record{Topic: f.domains[slices.Index(domainNames, s.Domain)], Value: s.Value, Headers: s.Headers}, nil)
	}
	require.NoError(t, f.client.Flush(t.Context()))
	for _, w := range demo.Webhooks() {
		require.Eventually(t, func() bool {
			counts := get("/v1/webhooks/" + w.ID + "/attempts")
			require.NotContains(t, counts, `"status":4`, "%s: the receiver refuses what does not verify", w.ID)
			return strings.Contains(counts, `"outcome":"delivered"`)
		}, time.Minute, 200*time.Millisecond, w.ID)
	}
}
