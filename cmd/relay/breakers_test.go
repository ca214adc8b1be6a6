package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestForcedBreakerIsFollowedByAll: what an operator decides through one instance holds on the other within a second,
// and neither a lost Redis nor a restart forgets it.
func TestForcedBreakerIsFollowedByAll(t *testing.T) {
	t.Parallel()
	f := newFleet(t, time.Second)
	var received atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { received.Add(1) }))
	defer receiver.Close()
	one, two := f.start(t, "one"), f.start(t, "two")
	one.awaitReady(t, f)
	two.awaitReady(t, f)
	var created struct {
		UID string `json:"uid"`
	}
	_, err := one.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "w", "url": receiver.URL, "events": []string{"*"}}, &created)
	require.NoError(t, err)
	publish := func(n int) {
		for i := range n {
			record := &kgo.Record{Topic: f.domains[i%len(f.domains)], Value: []byte(`{}`), Headers: []kgo.RecordHeader{
				{Key: "ce_id", Value: []byte(strconv.Itoa(i))}, {Key: "ce_source", Value: []byte("/t")}, {Key: "ce_type", Value: []byte("t")}, {Key: "ce_specversion", Value: []byte("1.0")}}}
			require.NoError(t, f.client.ProduceSync(t.Context(), record).FirstErr())
		}
	}
	handedOff := func() bool { // every event has left the domain topics
		behind, err := lag(t.Context(), f.admin, f.group, f.domains...)
		return err == nil && behind == 0
	}
	publish(20)
	require.Eventually(t, func() bool { return received.Load() == 20 }, time.Minute, 10*time.Millisecond, "%s", &f.logs)

	path := "/v1/breakers/w:" + created.UID
	_, err = one.api.call(t.Context(), http.MethodPost, path+"/open", map[string]any{"reason": "maintenance"}, nil)
	require.NoError(t, err)
	listed := func(a api) (forced []string) {
		var page struct {
			Items []struct {
				State, Forced string
			}
		}
		if _, err := a.call(t.Context(), http.MethodGet, "/v1/breakers", nil, &page); err != nil {
			return nil
		}
		for _, item := range page.Items {
			forced = append(forced, item.State+" "+item.Forced)
		}
		return forced
	}
	// On a machine without load it is a second; what is asserted is that it comes.
	require.Eventually(t, func() bool { l := listed(two.api); return len(l) > 0 && l[0] == "open open" }, 20*time.Second, 10*time.Millisecond)
	publish(20)
	require.Eventually(t, handedOff, time.Minute, 20*time.Millisecond, "%s", &f.logs)
	require.EqualValues(t, 20, received.Load(), "no instance makes an attempt")

	require.NoError(t, f.redis.FlushAll(t.Context()).Err())
	two.kill()
	two = f.start(t, "two")
	two.awaitReady(t, f)
	require.Eventually(t, func() bool { l := listed(two.api); return len(l) > 0 && l[0] == "open open" }, 20*time.Second, 10*time.Millisecond)
	publish(20)
	require.Eventually(t, handedOff, time.Minute, 20*time.Millisecond, "%s", &f.logs)
	require.EqualValues(t, 20, received.Load())

	_, err = two.api.call(t.Context(), http.MethodPost, path+"/reset", nil, nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(listed(one.api)) == 0 && len(listed(two.api)) == 0 }, 20*time.Second, 10*time.Millisecond)
	publish(20)
	require.Eventually(t, func() bool { return received.Load() >= 40 }, time.Minute, 10*time.Millisecond, "%s", &f.logs)
}
