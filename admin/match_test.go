package admin

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/history"
)

const hook = `{"id":%q,"url":"https://example.com/","events":["debt.*"]%s}`

// verdicts gives reason by webhook id.
func verdicts(r reply) map[string]string {
	found := map[string]string{}
	for _, item := range r.is(http.StatusOK).json()["items"].([]any) {
		m := item.(map[string]any)
		found[m["id"].(string)] = fmt.Sprint(m["matches"], " ", m["outcome"], " ", m["reason"])
	}
	return found
}

func TestMatch_SaysOfEveryWebhookWhyOrWhyNot(t *testing.T) {
	a := newAPI(t)
	for id, more := range map[string]string{
		"wanted": ``, "disabled": `,"enabled":false`, "pattern": `,"events":["payment.*"]`, "domain": `,"domains":["sms"]`,
		"office": `,"overrides":[{"office":"north","enabled":false}]`, "filter": `,"filter":{"data":{"amount":{"$gte":100}}}`, "suspended": ``,
		"or": `,"filter":{"$or":[{"office":"south"},{"data":{"nothing":1}}]}`,
	} {
		if id == "pattern" {
			a.create(fmt.Sprintf(`{"id":%q,"url":"https://example.com/"%s}`, id, more))
			continue
		}
		a.create(fmt.Sprintf(hook, id, more))
	}
	a.create(fmt.Sprintf(hook, "foreign", ""), header{headerTenant, "other"})
	a.do(http.MethodPost, "/v1/webhooks/suspended/suspend", "").is(http.StatusOK)

	event := `{"specversion":"1.0","id":"e1","source":"/s","type":"debt.paid","domain":"debt","office":"north","time":"2026-01-02T03:04:05Z",
		"transactionId":"t","user":{"name":"ann"},"subject":"d1","livemode":true,"data":{"amount":12.50}}`
	answer := a.do(http.MethodPost, "/v1/match", event)
	require.Equal(t, map[string]string{
		"wanted": "true deliver matched", "disabled": "false none disabled", "pattern": "false none no_pattern", "domain": "false none domain",
		"office": "false none office_disabled", "filter": "false none filter", "suspended": "true divert suspended", "or": "false none filter",
	}, verdicts(answer))
	require.Equal(t, "debt", answer.json()["event"].(map[string]any)["domain"])
	for _, item := range answer.json()["items"].([]any) {
		switch m := item.(map[string]any); m["id"] {
		case "filter":
			require.Equal(t, map[string]any{"path": "data.amount", "operator": "$gte", "operand": "100", "found": "12.50"}, m["filter"])
			require.Equal(t, "debt.*", m["pattern"])
		case "or":
			require.Len(t, m["filter"].(map[string]any)["alternatives"], 2)
		}
	}

	// A filter that cannot be evaluated diverts; the domain is the catalog's.
	cloud := `{"type":"debt.paid","data":"text"}`
	require.Equal(t, "false none filter", verdicts(a.do(http.MethodPost, "/v1/match", cloud))["filter"])
	require.Equal(t, "true deliver matched", verdicts(a.do(http.MethodPost, "/v1/match", cloud))["office"])
}

func TestMatch_Pages(t *testing.T) {
	a := newAPI(t)
	for i := range 7 {
		a.create(fmt.Sprintf(hook, fmt.Sprintf("w%d", i), fmt.Sprintf(`,"enabled":%t`, i%2 == 0)))
	}
	for query, want := range map[string]int{"limit=2": 7, "limit=2&matching=true": 4, "limit=1&matching=false": 3, "limit=200": 7} {
		seen, cursor := map[string]string{}, ""
		for {
			answer := a.do(http.MethodPost, "/v1/match?"+query+cursor, `{"type":"debt.paid"}`)
			for id, verdict := range verdicts(answer) {
				require.NotContains(t, seen, id)
				seen[id] = verdict
			}
			next, ok := answer.json()["nextCursor"].(string)
			if !ok {
				break
			}
			cursor = "&cursor=" + next
		}
		require.Len(t, seen, want, query)
	}
}

func TestMatch_PastEvents(t *testing.T) {
	a := newAPI(t)
	a.create(fmt.Sprintf(hook, "w", ""))
	a.history.events = map[int64]*catalog.Event{
		1: {ID: "e1", Type: "debt.paid", Tenant: catalog.DefaultTenant, Time: time.Now()},
		2: {ID: "e2", Type: "debt.paid", Tenant: "other", Time: time.Now()},
		3: nil, // rejected
	}
	ask := func(body string) reply { return a.do(http.MethodPost, "/v1/match", body) }
	require.Equal(t, map[string]string{"w": "true deliver matched"}, verdicts(ask(`{"topic":"debt","partition":0,"offset":1}`)))
	ask(`{"topic":"debt","offset":2}`).problem(kindNotFound)
	ask(`{"topic":"debt","offset":9}`).problem(kindNotFound)
	ask(`{"topic":"relay.webhooks","offset":1}`).problem(kindNotFound)
	require.Equal(t, map[string]any{"reason": "not_json", "detail": "the value is not JSON"}, ask(`{"topic":"debt","offset":3}`).json()["rejected"])
	for _, bad := range []string{`{}`, `{"topic":"debt"}`, `{"offset":1}`, `{"topic":"debt","offset":1,"type":"x"}`, `{"type":"x","oops":1}`, `{"type":""}`} {
		ask(bad).problem(kindInvalid)
	}
	a.history.fail = history.ErrUnavailable
	require.NotEmpty(t, ask(`{"topic":"debt","offset":1}`).header.Get("Retry-After"))
	ask(`{"topic":"debt","offset":1}`).problem(kindHistory)
}

// TestMatch_RejectedAndForeignRecordsAreNotThereForATenant: a record without a known tenant is shown to no tenant's key.
func TestMatch_RejectedAndForeignRecordsAreNotThereForATenant(t *testing.T) {
	a := newAPI(t)
	a.history.events = map[int64]*catalog.Event{3: nil}
	for _, c := range []struct {
		principal principal
		want      kind
	}{
		{principal{Tenant: "acme", Scopes: allScopes}, kindNotFound},
		{principal{Scopes: []scope{scopeWebhooksRead}}, kindForbidden},
	} {
		_, err := a.server.matchEvent(&call{Context: contextOf(a, http.MethodPost, "/v1/match"), principal: c.principal, tenant: "acme"}, &matchInput{Topic: "debt", Offset: new(int64(3))})
		require.Equal(t, c.want, asProblem(err).kind)
	}
}
