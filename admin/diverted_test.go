package admin

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/divert"
	"eventrelay/relay/registry"
)

// The interfaces are those of the stores that are wired in.
var (
	_ Registry = (*registry.Registry)(nil)
	_ Diverted = (*divert.Store)(nil)
)

func debtPaid(data string) *catalog.Event {
	return &catalog.Event{
		ID: "evt-1", Source: "/debts", Type: "debt.paid", Domain: "debt", Tenant: catalog.DefaultTenant, Office: "north", Subject: "d-1",
		Time: time.Date(2026, 1, 1, 12, 0, 0, 0, time.FixedZone("", 3600)), TransactionID: "tx-1", Data: []byte(data),
	}
}

func TestDiverted_ListAndRead(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	a.diverted.add("default", uid, "dlv_1", debtPaid(`{"z": 12345678901234567890.10,  "a": "<b>"}`))
	for _, path := range []string{"/v1/diverted", "/v1/webhooks/orders/diverted", "/v1/webhooks/" + uid + "/diverted"} {
		items := a.do(http.MethodGet, path, "").is(http.StatusOK).json()["items"].([]any)
		require.Equal(t, []any{map[string]any{
			"deliveryId": "dlv_1", "uid": uid, "eventId": "evt-1", "eventType": "debt.paid", "transactionId": "tx-1",
			"divertedAt": "2026-01-02T03:04:05Z", "reason": "exhausted", "attempts": 4.0, "lastStatus": 503.0, "state": "diverted",
		}}, items)
	}
	detail := a.do(http.MethodGet, "/v1/webhooks/orders/diverted/dlv_1", "").is(http.StatusOK)
	require.Contains(t, string(detail.body), `"data":{"z": 12345678901234567890.10,  "a": "<b>"}`, "as the platform wrote it")
	got := detail.json()
	event := got["event"].(map[string]any)
	require.Equal(t, "2026-01-01T11:00:00Z", event["time"])
	require.Equal(t, "north", event["office"])
	require.Equal(t, map[string]any{"status": 503.0, "error": "503 Service Unavailable", "attempts": 4.0}, got["failure"])
}

func TestDiverted_DataThatIsNotJSON(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	for i, tt := range []struct{ contentType, data, want string }{
		{"", "{", "ew=="},
		{"text/plain", "1", "MQ=="},
		{"no media type/", "1", "MQ=="},
		{"", "\xff", "/w=="},
		{"", "", ""},
	} {
		ev := debtPaid(tt.data)
		ev.DataContentType = tt.contentType
		id := fmt.Sprint("dlv_", i)
		a.diverted.add("default", uid, id, ev)
		event := a.do(http.MethodGet, "/v1/webhooks/orders/diverted/"+id, "").is(http.StatusOK).json()["event"].(map[string]any)
		require.Equal(t, tt.want, event["dataBase64"])
		require.NotContains(t, event, "data")
	}
	ev := debtPaid(`{"a": 1}`)
	ev.DataContentType = "application/vnd.acme+json; charset=utf-8"
	a.diverted.add("default", uid, "json", ev)
	require.NotContains(t, string(a.do(http.MethodGet, "/v1/webhooks/orders/diverted/json", "").is(http.StatusOK).body), "dataBase64")
}

func TestDiverted_Filters(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	a.do(http.MethodGet, "/v1/webhooks/orders/diverted?type=debt.paid&reason=suspended&transactionId=tx&eventId=e&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00%2B01:00&limit=7", "").is(http.StatusOK)
	got := a.diverted.last
	require.True(t, got.To.Equal(time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)))
	got.To = time.Time{}
	require.Equal(t, divert.Query{
		Tenant: "default", UID: uid, Limit: 7, Type: "debt.paid", Reason: "suspended", TransactionID: "tx", EventID: "e",
		From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}, got)
	for _, query := range []string{"from=yesterday", "limit=0", "limit=201", "limit=x", "limit=1&limit=2", "typo=x", "cursor=!", "cursor=d2ViaG9va3M6YQ"} {
		a.do(http.MethodGet, "/v1/diverted?"+query, "").problem(kindBadRequest)
	}
}

func TestDiverted_Pages(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	for i := range 3 {
		a.diverted.add("default", uid, fmt.Sprint("dlv_", i), debtPaid(`{}`))
	}
	first := a.do(http.MethodGet, "/v1/diverted?limit=2", "").is(http.StatusOK).json()
	require.Len(t, first["items"], 2)
	second := a.do(http.MethodGet, "/v1/diverted?limit=2&cursor="+first["nextCursor"].(string), "").is(http.StatusOK).json()
	require.Len(t, second["items"], 1)
	require.Nil(t, second["nextCursor"])
}

func TestDiverted_ResendAndDelete(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	a.diverted.add("default", uid, "dlv_1", debtPaid(`{}`))
	const path = "/v1/webhooks/orders/diverted/dlv_1"
	require.Equal(t, "resending", a.do(http.MethodPost, path+"/resend", "", header{"Idempotency-Key", "k"}).is(http.StatusAccepted).json()["state"])
	a.do(http.MethodPost, path+"/resend", "", header{"Idempotency-Key", "k"}).problem(kindResending)
	a.do(http.MethodDelete, path, "").is(http.StatusNoContent)
	a.do(http.MethodDelete, path, "").problem(kindNotFound)
	a.do(http.MethodGet, path, "").problem(kindNotFound)
	a.do(http.MethodPost, path+"/resend", "").problem(kindNotFound)
}

func TestDiverted_OfADeletedWebhookByUID(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	a.diverted.add("default", uid, "dlv_1", debtPaid(`{}`))
	a.do(http.MethodDelete, "/v1/webhooks/orders", "").is(http.StatusNoContent)
	require.Len(t, a.do(http.MethodGet, "/v1/diverted", "").is(http.StatusOK).json()["items"], 1)
	a.do(http.MethodGet, "/v1/webhooks/"+uid+"/diverted", "").problem(kindNotFound)
	a.do(http.MethodGet, "/v1/webhooks/"+uid+"/diverted/dlv_1", "").is(http.StatusOK)
	other := header{"Relay-Tenant", "other"}
	a.do(http.MethodGet, "/v1/webhooks/"+uid+"/diverted/dlv_1", "", other).problem(kindNotFound)
	a.do(http.MethodDelete, "/v1/webhooks/"+uid+"/diverted/dlv_1", "", other).problem(kindNotFound)
	a.do(http.MethodPost, "/v1/webhooks/"+uid+"/diverted/dlv_1/resend", "", other).problem(kindNotFound)
	require.Empty(t, a.do(http.MethodGet, "/v1/diverted", "", other).is(http.StatusOK).json()["items"])
	a.do(http.MethodDelete, "/v1/webhooks/"+uid+"/diverted/dlv_1", "").is(http.StatusNoContent)
}

func TestDiverted_StoreErrors(t *testing.T) {
	a := newAPI(t)
	a.create(minimal)
	for _, tt := range []struct {
		err  error
		kind kind
	}{
		{fmt.Errorf("list: %w", divert.ErrIndexBehind), kindIndexBehind},
		{fmt.Errorf("resend: %w", divert.ErrInactive), kindInactive},
		{fmt.Errorf("dial tcp 10.1.2.3:6379: refused"), kindUnavailable},
	} {
		a.diverted.fail = tt.err
		for _, answer := range []reply{
			a.do(http.MethodGet, "/v1/diverted", ""),
			a.do(http.MethodGet, "/v1/webhooks/orders/diverted", ""),
			a.do(http.MethodGet, "/v1/webhooks/orders/diverted/dlv_1", ""),
			a.do(http.MethodDelete, "/v1/webhooks/orders/diverted/dlv_1", ""),
			a.do(http.MethodPost, "/v1/webhooks/orders/diverted/dlv_1/resend", ""),
		} {
			answer.problem(tt.kind)
			require.NotContains(t, string(answer.body), "10.1.2.3")
			if answer.status == http.StatusServiceUnavailable {
				require.Equal(t, "1", answer.header.Get("Retry-After"))
			}
		}
	}
}

func TestEventTypes(t *testing.T) {
	a := newAPI(t)
	seen, cursor := map[string]bool{}, ""
	for {
		page := a.do(http.MethodGet, "/v1/event-types?limit=50"+cursor, "").is(http.StatusOK).json()
		for _, item := range page["items"].([]any) {
			entry := item.(map[string]any)
			key := fmt.Sprint(entry["domain"], entry["name"], entry["platform"])
			require.False(t, seen[key], key)
			seen[key] = true
		}
		next, more := page["nextCursor"].(string)
		if !more {
			break
		}
		cursor = "&cursor=" + next
	}
	require.Len(t, seen, len(catalog.EventTypes()))
	for _, item := range a.do(http.MethodGet, "/v1/event-types?domain=sms", "").is(http.StatusOK).json()["items"].([]any) {
		require.Equal(t, "sms", item.(map[string]any)["domain"])
	}
}
