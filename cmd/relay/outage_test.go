package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// restartable gives a function that starts a broker, each time on the same address with what it had.
func restartable(t *testing.T) func() *kfake.Cluster {
	t.Helper()
	dir := t.TempDir()
	_, portText, err := net.SplitHostPort(freeAddr(t))
	require.NoError(t, err)
	port, err := strconv.Atoi(portText)
	require.NoError(t, err)
	return func() *kfake.Cluster {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir),
			kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
		require.NoError(t, err)
		return c
	}
}

// TestKafkaGone: the broker goes away under load and comes back on the same address with what it had. Nothing is lost
// and the relay goes on without a restart.
func TestKafkaGone(t *testing.T) {
	t.Parallel()
	start := restartable(t)
	cluster := start()
	f := newFleetOn(t, cluster.ListenAddrs(), "", time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.05})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	const events = 3000
	l := f.register(t, p.api, o, receiver.URL, 10, 5)
	published := make(chan struct{})
	go func() { defer close(published); l.publish(0, events) }()
	l.awaitDelivered(t, events/4)

	cluster.Close()
	require.Eventually(t, func() bool {
		status, _ := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "x", "url": receiver.URL + "/hook/x"}, nil)
		return status == http.StatusServiceUnavailable
	}, 30*time.Second, 50*time.Millisecond, "a write without Kafka is a 503 that says so")

	cluster = start()
	defer func() { cluster.Close() }()
	<-published
	v := l.settle(t, events)
	t.Logf("%d pairs, %d attempts, %d duplicates over one outage", v.owed, v.attempts, v.duplicates)
}

// TestDivertAndBack walks a failing endpoint through everything that an operator meets: diverted, listed, resent,
// suspended, unsuspended.
func TestDivertAndBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t, time.Second)
	var broken atomic.Int64 // the status that the receiver answers, 0: fine
	var arrived atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status := broken.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		arrived.Add(1)
	}))
	defer receiver.Close()
	p := f.start(t, "one")
	p.awaitReady(t, f)
	a := p.api
	post := func(path string, body any) {
		t.Helper()
		_, err := a.call(t.Context(), http.MethodPost, path, body, nil)
		require.NoError(t, err)
	}
	post("/v1/webhooks", map[string]any{"id": "w", "url": receiver.URL, "events": []string{"load.*"}, "retry": map[string]any{"schedule": []string{"1s"}}})
	l := &load{f: f, o: newOracle(), wanting: make([][]string, 1)}

	type entry struct {
		DeliveryID string `json:"deliveryId"`
		EventID    string `json:"eventId"`
		Reason     string `json:"reason"`
		State      string `json:"state"`
		Attempts   int    `json:"attempts"`
		LastStatus int    `json:"lastStatus"`
	}
	list := func() []entry {
		var page struct {
			Items []entry `json:"items"`
		}
		_, err := a.call(t.Context(), http.MethodGet, "/v1/webhooks/w/diverted", nil, &page)
		if err != nil {
			return nil
		}
		return page.Items
	}
	awaitEntries := func(n int) []entry {
		t.Helper()
		var got []entry
		require.Eventually(t, func() bool { got = list(); return len(got) == n }, 20*time.Second, 50*time.Millisecond, "%s", &f.logs)
		return got
	}

	// Given up after its retry: diverted, with what happened.
	broken.Store(500)
	l.publish(0, 1)
	first := awaitEntries(1)[0]
	require.Equal(t, entry{DeliveryID: first.DeliveryID, EventID: "evt-00000", Reason: "exhausted", State: "diverted", Attempts: 2, LastStatus: 500}, first)
	path := "/v1/webhooks/w/diverted/" + first.DeliveryID
	var detail struct {
		Event struct {
			Data map[string]any `json:"data"`
		} `json:"event"`
	}
	_, err := a.call(t.Context(), http.MethodGet, path, nil, &detail)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"n": 0.0, "amount": 12.5}, detail.Event.Data)

	// Resent while still broken: it comes back as diverted, attempts go on counting.
	post(path+"/resend", nil)
	require.Eventually(t, func() bool {
		got := list()
		return len(got) == 1 && got[0].State == "diverted" && got[0].Attempts == 4
	}, 20*time.Second, 50*time.Millisecond, "%s", &f.logs)

	// Repaired and resent: it arrives and is gone from the list.
	broken.Store(0)
	post(path+"/resend", nil)
	awaitEntries(0)
	require.EqualValues(t, 1, arrived.Load())

	// Suspended: what comes is diverted, unsent; unsuspended: it is sent on.
	post("/v1/webhooks/w/suspend", map[string]any{"reason": "maintenance"})
	l.publish(1, 11)
	for _, e := range awaitEntries(10) {
		require.Equal(t, "suspended", e.Reason)
		require.Zero(t, e.Attempts)
	}
	post("/v1/webhooks/w/unsuspend", nil)
	awaitEntries(0)
	require.EqualValues(t, 11, arrived.Load())

	// Unsuspended with resend: false: it stays, and can be deleted.
	post("/v1/webhooks/w/suspend", nil)
	l.publish(11, 12)
	kept := awaitEntries(1)[0]
	post("/v1/webhooks/w/unsuspend", map[string]any{"resend": false})
	l.publish(12, 13)
	require.Eventually(t, func() bool { return arrived.Load() == 12 }, 20*time.Second, 20*time.Millisecond)
	require.Len(t, awaitEntries(1), 1)
	_, err = a.call(t.Context(), http.MethodDelete, "/v1/webhooks/w/diverted/"+kept.DeliveryID, nil, nil)
	require.NoError(t, err)
	awaitEntries(0)

	// 410 twice: the webhook is suspended by the relay itself.
	broken.Store(410)
	l.publish(13, 14)
	gone := awaitEntries(1)[0]
	require.Equal(t, "gone", gone.Reason)
	var webhook struct {
		Suspension struct {
			Reason string `json:"reason"`
		} `json:"suspension"`
	}
	_, err = a.call(t.Context(), http.MethodGet, "/v1/webhooks/w", nil, &webhook)
	require.NoError(t, err)
	require.Equal(t, "gone", webhook.Suspension.Reason)
	require.EqualValues(t, 12, arrived.Load(), fmt.Sprint(list()))
}

// TestStartWithoutKafka: a relay that is started before its broker waits for it and says so.
func TestStartWithoutKafka(t *testing.T) {
	t.Setenv("RELAY_TEST_REDIS", "")
	start := restartable(t)
	cluster := start()
	f := newFleetOn(t, cluster.ListenAddrs(), "", time.Second) // makes the topics
	cluster.Close()
	p := f.start(t, "one")
	require.Eventually(t, func() bool { return strings.Contains(f.logs.String(), "kafka_unavailable") }, 20*time.Second, 20*time.Millisecond)
	cluster = start()
	t.Cleanup(cluster.Close)
	p.awaitReady(t, f)
}

// TestWrongMasterKey: stored secrets that cannot be decrypted stop the start with the reason; nothing is sent
// unsigned.
func TestWrongMasterKey(t *testing.T) {
	f := newFleet(t, time.Second)
	p := f.start(t, "one")
	p.awaitReady(t, f)
	_, err := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "w", "url": "http://127.0.0.1:1/"}, nil)
	require.NoError(t, err)
	p.stop(t, f)
	other := f.start(t, "one", "--master-key", "HwABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4=")
	select {
	case err := <-other.done:
		other.done <- nil
		require.Error(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("it started with a key that does not decrypt")
	}
	require.Contains(t, f.logs.String(), "master key")
	require.NotContains(t, f.logs.String(), "HwABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4=")
}
