package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestJobs_OutliveTheirProcess: a bulk resend is asked of one process, which is killed in the middle. The other carries
// it to its end: everything arrives, and nothing stays listed.
func TestJobs_OutliveTheirProcess(t *testing.T) {
	t.Parallel()
	const events = 60 // three batches of the ramp
	f := newFleet(t, time.Second)
	var healthy atomic.Bool
	var mu sync.Mutex
	arrived := map[string]int{}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusNotFound) // keeps the breaker closed
			return
		}
		mu.Lock()
		defer mu.Unlock()
		arrived[r.Header.Get("Webhook-Event-Id")]++
	}))
	defer receiver.Close()
	one, two := f.start(t, "one", "--session-timeout", "6s"), f.start(t, "two", "--session-timeout", "6s")
	one.awaitReady(t, f)
	two.awaitReady(t, f)
	_, err := one.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{
		"id": "bulk", "url": receiver.URL, "events": []string{"debt.paid"}, "retry": "none",
	}, nil)
	require.NoError(t, err, "%s", &f.logs)
	for i := range events {
		f.client.Produce(t.Context(), &kgo.Record{Topic: f.domains[0], Value: []byte(`{}`), Headers: []kgo.RecordHeader{
			{Key: "ce_id", Value: fmt.Append(nil, "e", i)}, {Key: "ce_source", Value: []byte("/s")}, {Key: "ce_type", Value: []byte("debt.paid")}}}, nil)
	}
	require.NoError(t, f.client.Flush(t.Context()))
	type count struct {
		Selected int `json:"selected"`
	}
	resend := func(p *relayProcess, dryRun bool, into any) error {
		_, err := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks/bulk/diverted/resend", map[string]any{"reason": "exhausted", "dryRun": dryRun}, into)
		return err
	}
	require.Eventually(t, func() bool {
		var n count
		return resend(two, true, &n) == nil && n.Selected == events
	}, 30*time.Second, 50*time.Millisecond, "never diverted:\n%s", &f.logs)

	healthy.Store(true)
	type job struct {
		ID       string `json:"id"`
		State    string `json:"state"`
		Selected int    `json:"selected"`
		Done     int    `json:"done"`
	}
	var asked job
	require.NoError(t, resend(one, false, &asked))
	now := func() (j job) {
		if _, err := two.api.call(t.Context(), http.MethodGet, "/v1/jobs/"+asked.ID, nil, &j); err != nil {
			return job{}
		}
		return j
	}
	require.Eventually(t, func() bool { return now().Done > 0 }, 30*time.Second, 10*time.Millisecond, "never begun:\n%s", &f.logs)
	one.kill()
	if f.cache != nil {
		f.cache.FastForward(time.Minute) // the dead one's lock and claims end; miniredis has no clock of its own
	}
	require.Eventually(t, func() bool { return now().State == "finished" }, 90*time.Second, 100*time.Millisecond, "never finished:\n%s", &f.logs)
	require.Equal(t, events, now().Selected)

	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(arrived) == events
	}, 60*time.Second, 50*time.Millisecond, "not everything arrived:\n%s", &f.logs)
	var listed struct {
		Items []struct{} `json:"items"`
	}
	require.Eventually(t, func() bool {
		_, err := two.api.call(t.Context(), http.MethodGet, "/v1/diverted", nil, &listed)
		return err == nil && len(listed.Items) == 0
	}, 60*time.Second, 50*time.Millisecond, "still listed:\n%s", &f.logs)

	var deletion job
	_, err = two.api.call(t.Context(), http.MethodDelete, "/v1/webhooks/bulk/diverted", nil, &deletion)
	require.NoError(t, err)
	var all struct {
		Items []job `json:"items"`
	}
	_, err = two.api.call(t.Context(), http.MethodGet, "/v1/jobs", nil, &all)
	require.NoError(t, err)
	require.Len(t, all.Items, 2)
	require.Equal(t, deletion.ID, all.Items[0].ID)
	two.stop(t, f)
}
