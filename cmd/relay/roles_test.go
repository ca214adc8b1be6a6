package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRolesApart: with deliveries and API in processes of their own, a webhook made in one is delivered to by the
// other, and what the other diverted is listed and resent by the first.
func TestRolesApart(t *testing.T) {
	t.Parallel()
	f := newFleet(t, time.Second)
	var healthy atomic.Bool
	arrived := make(chan string, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		arrived <- r.URL.Path + " " + r.Header.Get("Webhook-Event-Id") + " #" + r.Header.Get("Webhook-Attempt")
	}))
	defer receiver.Close()

	control := f.start(t, "control", "--roles", "admin")
	data := f.start(t, "data", "--roles", "relay")
	control.awaitReady(t, f)
	data.awaitReady(t, f)
	resp, err := http.Get(data.api.url + "/openapi.json")
	if err == nil {
		_ = resp.Body.Close()
	}
	require.Error(t, err, "a process without the admin role has no API")

	_, err = control.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{
		"id": "apart", "url": receiver.URL, "events": []string{"debt.paid"}, "retry": "none",
	}, nil)
	require.NoError(t, err, "%s", &f.logs)
	publish := func(id string) {
		require.NoError(t, f.client.ProduceSync(t.Context(), &kgo.Record{Topic: f.domains[0], Value: []byte(`{"amount": 1.50}`),
			Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte("/s")}, {Key: "ce_type", Value: []byte("debt.paid")}}}).FirstErr())
	}
	publish("first")
	var listed struct {
		Items []struct {
			DeliveryID string `json:"deliveryId"`
			Reason     string `json:"reason"`
			LastStatus int    `json:"lastStatus"`
		} `json:"items"`
	}
	require.Eventually(t, func() bool {
		_, err := control.api.call(t.Context(), http.MethodGet, "/v1/webhooks/apart/diverted", nil, &listed)
		return err == nil && len(listed.Items) == 1
	}, 20*time.Second, 50*time.Millisecond, "never diverted:\n%s", &f.logs)
	require.Equal(t, "exhausted", listed.Items[0].Reason)
	require.Equal(t, http.StatusInternalServerError, listed.Items[0].LastStatus)

	healthy.Store(true)
	_, err = control.api.call(t.Context(), http.MethodPost, "/v1/webhooks/apart/diverted/"+listed.Items[0].DeliveryID+"/resend", nil, nil)
	require.NoError(t, err)
	require.Equal(t, "/ first #2", nextRequest(t, arrived, f))

	// The other process acts on a change within a second: what it reads after that goes where the webhook now points.
	_, err = control.api.call(t.Context(), http.MethodPatch, "/v1/webhooks/apart", map[string]any{"url": receiver.URL + "/moved"}, nil)
	require.NoError(t, err)
	changed := time.Now()
	for n, path := 0, ""; path != "/moved"; n++ {
		require.Less(t, time.Since(changed), 5*time.Second, "deliveries still go to the former address")
		publish(fmt.Sprintf("later-%d", n))
		path, _, _ = strings.Cut(nextRequest(t, arrived, f), " ")
	}
	control.stop(t, f)
	data.stop(t, f)
}

func nextRequest(t *testing.T, arrived <-chan string, f *fleet) string {
	t.Helper()
	select {
	case what := <-arrived:
		return what
	case <-time.After(20 * time.Second):
		t.Fatalf("nothing arrived:\n%s", &f.logs)
		return ""
	}
}
