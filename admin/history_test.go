package admin

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"eventrelay/relay/history"
)

func contextOf(a *api, method, target string) echo.Context {
	return a.server.echo.NewContext(httptest.NewRequest(method, target, nil), httptest.NewRecorder())
}

var attemptedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestAttempts_ListAndPage(t *testing.T) {
	a := newAPI(t)
	uid := a.create(`{"id":"w","url":"https://example.com/"}`)
	a.history.since = attemptedAt
	a.history.attempts = []history.Attempt{
		{UID: uid, DeliveryID: "dlv_1", WebhookID: "msg_1", EventID: "e1", EventType: "debt.paid", Attempt: 2, At: attemptedAt, LatencyMS: 12.5, Status: 503,
			Error: "status 503", Outcome: history.OutcomeRetried, RetryInMS: 5000, Response: "<b>no</b>"},
		{UID: uid, DeliveryID: "dlv_0", EventType: "debt.paid", Attempt: 1, At: attemptedAt, Status: 200, Outcome: history.OutcomeDelivered},
	}
	first := a.do(http.MethodGet, "/v1/webhooks/w/attempts?limit=1&result=failed&eventId=e1&to=2026-02-01T00:00:00Z", "").is(http.StatusOK).json()
	require.Equal(t, history.RecentQuery{Tenant: "default", UID: uid, EventID: "e1", Result: history.ResultFailed, To: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Limit: 1}, a.history.recentQuery)
	require.Equal(t, "2026-01-02T03:04:05Z", first["since"])
	require.Equal(t, map[string]any{
		"uid": uid, "deliveryId": "dlv_1", "webhookId": "msg_1", "eventId": "e1", "eventType": "debt.paid", "attempt": 2.0, "at": "2026-01-02T03:04:05Z", "latencyMs": 12.5,
		"status": 503.0, "error": "status 503", "outcome": "retried", "reason": "", "nextAttemptAt": "2026-01-02T03:04:10Z", "response": "<b>no</b>",
	}, first["items"].([]any)[0])
	second := a.do(http.MethodGet, "/v1/webhooks/w/attempts?limit=1&result=failed&eventId=e1&to=2026-02-01T00:00:00Z&cursor="+first["nextCursor"].(string), "").is(http.StatusOK).json()
	require.Nil(t, second["nextCursor"])
	require.Nil(t, second["items"].([]any)[0].(map[string]any)["nextAttemptAt"])

	// With from, the topic answers; its cursors are not those of the recent view.
	past := a.do(http.MethodGet, "/v1/webhooks/w/attempts?limit=1&from=2026-01-01T00:00:00Z", "").is(http.StatusOK).json()
	require.Equal(t, history.AttemptQuery{Tenant: "default", UID: uid, From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Limit: 1}, a.history.attemptQuery)
	require.Nil(t, past["since"])
	a.do(http.MethodGet, "/v1/webhooks/w/attempts?cursor="+past["nextCursor"].(string), "").problem(kindBadRequest)

	found := a.do(http.MethodGet, "/v1/attempts?eventId="+url.QueryEscape("e 1/ä"), "").is(http.StatusOK).json()
	require.Len(t, found["items"], 2)
	require.Equal(t, history.AttemptQuery{Tenant: "default", EventID: "e 1/ä", Limit: defaultLimit}, a.history.attemptQuery)
	a.do(http.MethodGet, "/v1/attempts", "").problem(kindBadRequest)
	a.do(http.MethodGet, "/v1/webhooks/w/attempts?result=odd", "").problem(kindBadRequest)
	a.do(http.MethodGet, "/v1/webhooks/w/attempts?from=yesterday", "").problem(kindBadRequest)
	for _, path := range []string{"attempts", "stats"} {
		a.do(http.MethodGet, "/v1/webhooks/w/"+path, "", header{headerTenant, "other"}).problem(kindNotFound)
	}
}

func TestStats(t *testing.T) {
	a := newAPI(t)
	uid := a.create(`{"id":"w","url":"https://example.com/"}`)
	counts := history.Counts{Attempts: 5, Delivered: 3, Failed: 2, Retried: 1, Diverted: 1, Dropped: 4, Cancelled: 6, Latency: &history.Latency{P50: 5, P90: 10, P99: 20}}
	a.history.stats = history.Stats{Since: attemptedAt, Total: counts, Buckets: []history.Bucket{{At: attemptedAt, Counts: counts}, {At: attemptedAt.Add(-time.Hour)}}}
	stats := a.do(http.MethodGet, "/v1/webhooks/w/stats?step=minute&from=2026-01-01T00:00:00Z", "").is(http.StatusOK).json()
	require.Equal(t, history.StatsQuery{UID: uid, Step: history.StepMinute, From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, a.history.statsQuery)
	total := map[string]any{"attempts": 5.0, "delivered": 3.0, "failed": 2.0, "retried": 1.0, "diverted": 1.0, "dropped": 4.0, "cancelled": 6.0,
		"latencyMs": map[string]any{"p50": 5.0, "p90": 10.0, "p99": 20.0}}
	require.Equal(t, total, stats["total"])
	buckets := stats["buckets"].([]any)
	total["at"] = "2026-01-02T03:04:05Z"
	require.Equal(t, total, buckets[0])
	require.Nil(t, buckets[1].(map[string]any)["latencyMs"])
	require.Equal(t, "hour", a.do(http.MethodGet, "/v1/webhooks/w/stats", "").is(http.StatusOK).json()["step"])
	a.do(http.MethodGet, "/v1/webhooks/w/stats?step=day", "").problem(kindBadRequest)
}

func TestRejected(t *testing.T) {
	a := newAPI(t)
	a.history.rejected = []history.Rejected{
		{Topic: "debt", Partition: 2, Offset: 9, Reason: "not_json", Detail: "the value is not JSON", At: attemptedAt, Size: 3, Kept: true, Preview: "{\"a"},
		{Topic: "debt", Reason: "too_large", At: attemptedAt},
	}
	page := a.do(http.MethodGet, "/v1/rejected?limit=1&topic=debt&reason=not_json&from=2026-01-01T00:00:00Z", "").is(http.StatusOK).json()
	require.Equal(t, history.RejectedQuery{Topic: "debt", Reason: "not_json", From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Limit: 1}, a.history.rejectedQuery)
	require.Equal(t, map[string]any{"topic": "debt", "partition": 2.0, "offset": 9.0, "reason": "not_json", "detail": "the value is not JSON",
		"at": "2026-01-02T03:04:05Z", "size": 3.0, "preview": "{\"a"}, page["items"].([]any)[0])
	page = a.do(http.MethodGet, "/v1/rejected?topic=debt&reason=not_json&from=2026-01-01T00:00:00Z&cursor="+page["nextCursor"].(string), "").is(http.StatusOK).json()
	require.Nil(t, page["items"].([]any)[0].(map[string]any)["size"])
}

// TestRejected_OnlyForTheOperator: a rejected record has no known tenant.
func TestRejected_OnlyForTheOperator(t *testing.T) {
	a := newAPI(t)
	err := a.server.listRejected(&call{Context: contextOf(a, http.MethodGet, "/v1/rejected"), principal: principal{Tenant: "acme", Scopes: allScopes}, tenant: "acme"})
	require.Equal(t, kindForbidden, asProblem(err).kind)
}

func TestHistory_UnavailableIs503WithRetryAfter(t *testing.T) {
	a := newAPI(t)
	a.create(`{"id":"w","url":"https://example.com/"}`)
	a.history.fail = history.ErrUnavailable
	for _, path := range []string{"/v1/webhooks/w/attempts", "/v1/webhooks/w/attempts?from=2026-01-01T00:00:00Z", "/v1/webhooks/w/stats", "/v1/attempts?eventId=e", "/v1/rejected"} {
		answer := a.do(http.MethodGet, path, "")
		answer.problem(kindHistory)
		require.Equal(t, "1", answer.header.Get("Retry-After"), path)
	}
}

func TestHistory_ScansAreBounded(t *testing.T) {
	a := newAPI(t)
	for range maxScans {
		a.server.scans <- struct{}{}
	}
	answer := a.do(http.MethodGet, "/v1/attempts?eventId=e", "")
	answer.problem(kindRateLimited)
	require.NotEmpty(t, answer.header.Get("Retry-After"))
	<-a.server.scans
	a.do(http.MethodGet, "/v1/attempts?eventId=e", "").is(http.StatusOK)
}
