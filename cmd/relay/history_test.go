package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// answer is an answer of the admin API with its headers.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

// ask calls the admin API; a status that is not a success is an answer as well.
func (a api) ask(t *testing.T, method, path, body string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+a.key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	got := answer{status: resp.StatusCode, header: resp.Header}
	if len(raw) > 0 {
		require.NoError(t, json.Unmarshal(raw, &got.body), "%s", raw)
	}
	return got
}

// items demands a list and returns what it holds.
func (a answer) items(t *testing.T) []map[string]any {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, "%v", a.body)
	var list []map[string]any
	for _, item := range a.body["items"].([]any) {
		list = append(list, item.(map[string]any))
	}
	return list
}

// event writes one event to a domain topic and returns its coordinates.
func (f *fleet) event(t *testing.T, topic, id, value string) *kgo.Record {
	t.Helper()
	rec := &kgo.Record{Topic: topic, Key: []byte(id), Value: []byte(value), Headers: []kgo.RecordHeader{
		{Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte("/test")}, {Key: "ce_type", Value: []byte("load.made")}, {Key: "ce_specversion", Value: []byte("1.0")}}}
	if id == "" {
		rec.Headers = nil
	}
	require.NoError(t, f.client.ProduceSync(t.Context(), rec).FirstErr())
	return rec
}

// TestInsight walks what an operator asks about deliveries: which webhooks want an event and why, what was attempted,
// how it went over time, what was rejected; and tries a webhook out from a process that only serves the API.
func TestInsight(t *testing.T) {
	t.Parallel()
	f := newFleet(t, time.Second)
	var status atomic.Int64
	status.Store(http.StatusOK)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte("thank you"))
	}))
	defer receiver.Close()
	p := f.start(t, "one")
	p.awaitReady(t, f)
	a := p.api
	require.Equal(t, http.StatusCreated, a.ask(t, http.MethodPost, "/v1/webhooks", fmt.Sprintf(`{"id":"w","url":%q,"events":["load.*"],"retry":{"schedule":["1s"]}}`, receiver.URL)).status)
	created := a.ask(t, http.MethodPost, "/v1/webhooks", fmt.Sprintf(`{"id":"picky","url":%q,"events":["load.*"],"filter":{"data":{"n":{"$gte":5}}}}`, receiver.URL))
	require.Equal(t, http.StatusCreated, created.status)
	secret := created.body["signing"].(map[string]any)["secrets"].([]any)[0].(map[string]any)["value"].(string)

	first := f.event(t, f.domains[0], "evt-1", `{"n":1}`)
	attempts := func(path string, n int) (list []map[string]any) {
		t.Helper()
		require.Eventually(t, func() bool {
			list = a.ask(t, http.MethodGet, path, "").items(t)
			return len(list) == n
		}, 30*time.Second, 100*time.Millisecond, "%v\n%s", list, &f.logs)
		return list
	}
	made := attempts("/v1/webhooks/w/attempts", 1)[0]
	require.Equal(t, "evt-1", made["eventId"])
	require.Equal(t, "delivered", made["outcome"])
	require.EqualValues(t, 200, made["status"])
	require.Equal(t, "thank you", made["response"])

	status.Store(http.StatusServiceUnavailable)
	f.event(t, f.domains[0], "evt-2", `{"n":2}`)
	failed := attempts("/v1/webhooks/w/attempts?result=failed", 2)
	require.Equal(t, "diverted", failed[0]["outcome"])
	require.Equal(t, "exhausted", failed[0]["reason"])
	require.Equal(t, "retried", failed[1]["outcome"])
	require.NotNil(t, failed[1]["nextAttemptAt"])
	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	attempts("/v1/webhooks/w/attempts?from="+since, 3)
	attempts("/v1/attempts?eventId=evt-2", 2)
	require.Eventually(t, func() bool {
		stats := a.ask(t, http.MethodGet, "/v1/webhooks/w/stats?step=minute", "")
		require.Equal(t, http.StatusOK, stats.status)
		total := stats.body["total"].(map[string]any)
		return total["attempts"] == 3.0 && total["delivered"] == 1.0 && total["failed"] == 2.0 && total["diverted"] == 1.0 && total["retried"] == 1.0
	}, 30*time.Second, 100*time.Millisecond, "%s", &f.logs)

	// The event as it was: the record is read back.
	past := a.ask(t, http.MethodPost, "/v1/match", fmt.Sprintf(`{"topic":%q,"partition":%d,"offset":%d}`, first.Topic, first.Partition, first.Offset)).items(t)
	require.Len(t, past, 2)
	for _, m := range past {
		require.Equal(t, m["id"] == "w", m["matches"], "%v", m)
		if m["id"] == "picky" {
			require.Equal(t, map[string]any{"path": "data.n", "operator": "$gte", "operand": "5", "found": "1"}, m["filter"])
		}
	}

	// A record that is no event is listed, and explained.
	bad := f.event(t, f.domains[1], "", `nonsense`)
	var rejected []map[string]any
	require.Eventually(t, func() bool {
		rejected = a.ask(t, http.MethodGet, "/v1/rejected", "").items(t)
		return len(rejected) == 1
	}, 30*time.Second, 100*time.Millisecond, "%s", &f.logs)
	require.Equal(t, bad.Topic, rejected[0]["topic"])
	require.EqualValues(t, bad.Offset, rejected[0]["offset"])
	require.Equal(t, "not_json", rejected[0]["reason"])
	require.Equal(t, "nonsense", rejected[0]["preview"])
	explained := a.ask(t, http.MethodPost, "/v1/match", fmt.Sprintf(`{"topic":%q,"partition":%d,"offset":%d}`, bad.Topic, bad.Partition, bad.Offset))
	require.Equal(t, "not_json", explained.body["rejected"].(map[string]any)["reason"])

	// A test call from a process that delivers nothing, signed with the old secret and the new one.
	status.Store(http.StatusOK)
	office := f.start(t, "two", "--roles", "admin")
	office.awaitReady(t, f)
	rotated := office.api.ask(t, http.MethodPost, "/v1/webhooks/picky/rotate-secret", "")
	require.Equal(t, http.StatusOK, rotated.status, "%v", rotated.body)
	fresh := rotated.body["signing"].(map[string]any)["secrets"].([]any)[0].(map[string]any)["value"].(string)
	tried := office.api.ask(t, http.MethodPost, "/v1/webhooks/picky/test", `{"type":"debt.paid"}`)
	require.Equal(t, http.StatusOK, tried.status, "%v", tried.body)
	require.Equal(t, true, tried.body["delivered"])
	request := tried.body["request"].(map[string]any)
	headers := http.Header{}
	for _, h := range request["headers"].([]any) {
		headers.Add(h.(map[string]any)["name"].(string), h.(map[string]any)["value"].(string))
	}
	require.True(t, strings.HasPrefix(headers.Get("webhook-event-id"), "test_"))
	require.NotEqual(t, secret, fresh)
	for _, s := range []string{secret, fresh} {
		verifier, err := standardwebhooks.NewWebhook(s)
		require.NoError(t, err)
		require.NoError(t, verifier.Verify([]byte(request["body"].(string)), headers))
	}
	require.Empty(t, a.ask(t, http.MethodGet, "/v1/webhooks/picky/attempts", "").items(t), "a test call leaves no trace")
}

// TestRedisGone_WhatTheAPIAnswers: reads come from the snapshot, writes work and deliveries go on; what only Redis knows answers 503 with
// Retry-After, and is there again when Redis is.
func TestRedisGone_WhatTheAPIAnswers(t *testing.T) {
	t.Setenv("RELAY_TEST_REDIS", "") // the test takes Redis away: an embedded one
	f := newFleet(t, time.Second)
	var arrived atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	defer receiver.Close()
	p := f.start(t, "one")
	p.awaitReady(t, f)
	a := p.api
	create := func(id string) answer {
		return a.ask(t, http.MethodPost, "/v1/webhooks", fmt.Sprintf(`{"id":%q,"url":%q,"events":["load.*"]}`, id, receiver.URL))
	}
	require.Equal(t, http.StatusCreated, create("w").status)
	f.event(t, f.domains[0], "evt-1", `{"n":1}`)
	require.Eventually(t, func() bool {
		return len(a.ask(t, http.MethodGet, "/v1/webhooks/w/attempts", "").items(t)) == 1
	}, 30*time.Second, 100*time.Millisecond, "%s", &f.logs)
	addr := f.cache.Addr()

	f.cache.Close()
	for _, path := range []string{"/v1/webhooks/w/attempts", "/v1/webhooks/w/stats", "/v1/webhooks/w/diverted", "/v1/diverted"} {
		got := a.ask(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusServiceUnavailable, got.status, "%s: %v", path, got.body)
		require.NotEmpty(t, got.header.Get("Retry-After"), path)
		require.NotContains(t, fmt.Sprint(got.body), addr, "nobody is told where Redis is")
	}
	require.Len(t, a.ask(t, http.MethodGet, "/v1/webhooks", "").items(t), 1, "reads come from the snapshot")
	require.Equal(t, http.StatusOK, a.ask(t, http.MethodGet, "/v1/webhooks/w", "").status)
	require.Equal(t, http.StatusCreated, create("x").status, "writes work")
	require.Len(t, a.ask(t, http.MethodPost, "/v1/match", `{"type":"load.made"}`).items(t), 2)
	before := arrived.Load()
	const events = 500
	for i := range events {
		f.event(t, f.domains[i%len(f.domains)], fmt.Sprintf("gone-%d", i), `{"n":1}`)
	}
	require.Eventually(t, func() bool { return arrived.Load() >= before+2*events }, 30*time.Second, 20*time.Millisecond, "deliveries go on:\n%s", &f.logs)
	require.Eventually(t, func() bool {
		return len(a.ask(t, http.MethodGet, "/v1/attempts?eventId=gone-499", "").items(t)) == 2
	}, 30*time.Second, 100*time.Millisecond, "the topic has them all the same")

	// It is back, empty: the recent view starts anew and says since when.
	began := time.Now()
	require.NoError(t, f.cache.Restart())
	f.cache.FlushAll()
	require.Eventually(t, func() bool {
		f.event(t, f.domains[0], "back", `{"n":1}`) // one whose batch meets a connection that is still broken is forgotten
		got := a.ask(t, http.MethodGet, "/v1/webhooks/w/attempts?eventId=back", "")
		if got.status != http.StatusOK || len(got.items(t)) == 0 {
			return false
		}
		since, err := time.Parse(time.RFC3339Nano, got.body["since"].(string))
		return err == nil && !since.Before(began.Add(-5*time.Second))
	}, 30*time.Second, 100*time.Millisecond, "%s", &f.logs)
	require.Eventually(t, func() bool { return a.ask(t, http.MethodGet, "/v1/diverted", "").status == http.StatusOK }, 30*time.Second, 200*time.Millisecond, "%s", &f.logs)
}
