//go:build faults

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestAlertsSurviveKills: every delivery that is given up is counted in an alert, whenever the relay is killed, and the
// storm is a handful of messages all the same: one a minute, and one after each start.
func TestAlertsSurviveKills(t *testing.T) {
	t.Parallel()
	const events, kills = 600, 2
	f := newFleet(t, time.Second, 5*time.Second, 30*time.Second)
	var attempts, messages, counted atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/pager" {
			n, _ := strconv.ParseInt(r.Header.Get("webhook-alert-count"), 10, 64)
			counted.Add(n)
			messages.Add(1)
			return
		}
		attempts.Add(1)
		w.WriteHeader(http.StatusNotFound) // proves the endpoint alive: no breaker holds anything back
	}))
	t.Cleanup(server.Close)
	p := f.start(t, "one")
	p.awaitReady(t, f)
	_, err := p.api.call(t.Context(), http.MethodPost, "/v1/integrations", map[string]any{"name": "pager", "url": server.URL + "/pager"}, nil)
	require.NoError(t, err)
	_, err = p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "failing", "url": server.URL + "/failing", "events": []string{"claim.open"},
		"retry": "none", "alert": map[string]any{"integration": "pager"}, "delivery": map[string]any{"concurrency": 2}}, nil)
	require.NoError(t, err)

	began := time.Now()
	for i := range events {
		f.client.Produce(t.Context(), &kgo.Record{Topic: f.domains[i%len(f.domains)], Key: []byte(fmt.Sprint(i)), Value: []byte(`{}`), Headers: []kgo.RecordHeader{
			{Key: "ce_id", Value: []byte(fmt.Sprint(i))}, {Key: "ce_source", Value: []byte("/claims")}, {Key: "ce_type", Value: []byte("claim.open")}}}, nil)
	}
	require.NoError(t, f.client.Flush(t.Context()))
	for i := range int64(kills) {
		require.Eventually(t, func() bool { return attempts.Load() >= (i+1)*events/4 }, time.Minute, time.Millisecond, "%s", &f.logs)
		p.kill()
		p = f.start(t, "one")
		p.awaitReady(t, f)
	}
	require.Eventually(t, func() bool {
		domain, err := lag(t.Context(), f.admin, f.group, f.domains...)
		if err != nil || domain != 0 {
			return false
		}
		waiting, err := lag(t.Context(), f.admin, f.group+"-retry", f.topics.RetryAll()...)
		return err == nil && waiting == 0
	}, settleTimeout, 100*time.Millisecond, "%d messages, %d counted\n%s", messages.Load(), counted.Load(), &f.logs)
	took := time.Since(began)
	t.Logf("%d deliveries given up in %d attempts over %d kills: %d messages that count %d, in %s", events, attempts.Load(), kills, messages.Load(), counted.Load(), took.Round(time.Second))
	require.GreaterOrEqual(t, counted.Load(), int64(events))
	require.LessOrEqual(t, messages.Load(), int64(1+kills)+int64(took/time.Minute)+1)
}
