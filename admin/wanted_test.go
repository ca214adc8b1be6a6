package admin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// listed walks through a list two items at a time and gives what is found under name.
func (a *api) listed(name, path string, headers ...header) (found []string) {
	a.t.Helper()
	for cursor := ""; ; {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		page := a.do(http.MethodGet, path+separator+"limit=2"+cursor, "", headers...).is(http.StatusOK).json()
		items := page["items"].([]any)
		for _, item := range items {
			found = append(found, item.(object)[name].(string))
		}
		next, more := page["nextCursor"].(string)
		if !more {
			return found
		}
		require.Len(a.t, items, 2, "only the last page has room")
		cursor = "&cursor=" + next
	}
}

func TestLists_AreFiltered(t *testing.T) {
	a := newAPI(t)
	for _, in := range []string{`{"name": "crm", "type": "crm"`, `{"name": "ops", "type": "chat"`, `{"name": "pager"`, `{"name": "team", "type": "chat"`, `{"name": "work", "type": "chat"`} {
		a.do(http.MethodPost, "/v1/integrations", in+`, "url": "https://ops.example.com/"}`).is(http.StatusCreated)
	}
	const to = `"url": "https://example.com/"`
	a.create(`{"id": "all", ` + to + `}`)
	a.create(`{"id": "off", ` + to + `, "enabled": false}`)
	a.create(`{"id": "debts", ` + to + `, "events": ["debt.*"], "alert": {"integration": "ops"}}`)
	a.create(`{"id": "paid", "integration": "ops", "events": ["sms.received", "debt.paid"]}`)
	a.create(`{"id": "none", ` + to + `, "events": []}`)
	a.do(http.MethodPost, "/v1/webhooks/off/suspend", "").is(http.StatusOK)
	a.do(http.MethodPost, "/v1/webhooks/paid/suspend", "").is(http.StatusOK)
	a.do(http.MethodPost, "/v1/webhooks/paid/unsuspend", "").is(http.StatusOK)
	ocelot := a.create(`{"id": "texts", ` + to + `, "format": "ocelot", "signing": {"enabled": false}, "events": []}`)
	a.registry.webhooks[ocelot].Platform = catalog.PlatformOcelot

	tenant := header{headerTenant, "acme"}
	expired := newAPIKey()
	a.registry.put(expired, "acme", time.Now().Add(-time.Second), scopeWebhooksRead)
	reads, writes := newAPIKey(), newAPIKey()
	a.registry.put(reads, "acme", time.Time{}, scopeWebhooksRead)
	a.registry.put(writes, "acme", time.Now().Add(time.Hour), scopeWebhooksRead, scopeWebhooksWrite)

	for path, want := range map[string][]string{
		"/v1/webhooks":                                              {"all", "off", "debts", "paid", "none", "texts"},
		"/v1/webhooks?platform=v1":                                  {"all", "off", "debts", "paid", "none"},
		"/v1/webhooks?platform=ocelot":                              {"texts"},
		"/v1/webhooks?platform=receeve":                             nil,
		"/v1/webhooks?enabled=true":                                 {"all", "debts", "paid", "none", "texts"},
		"/v1/webhooks?enabled=false":                                {"off"},
		"/v1/webhooks?suspended=true":                               {"off"},
		"/v1/webhooks?suspended=false":                              {"all", "debts", "paid", "none", "texts"},
		"/v1/webhooks?integration=ops":                              {"debts", "paid"},
		"/v1/webhooks?integration=nobody":                           nil,
		"/v1/webhooks?eventType=debt.paid":                          {"all", "off", "debts", "paid"},
		"/v1/webhooks?eventType=sms.received":                       {"all", "off", "paid"},
		"/v1/webhooks?eventType=relay.webhook.failing":              nil,
		"/v1/webhooks?eventType=debt.paid&enabled=true&platform=v1": {"all", "debts", "paid"},
	} {
		require.ElementsMatch(t, want, a.listed("id", path), path)
	}
	require.Equal(t, []string{"ops", "team", "work"}, a.listed("name", "/v1/integrations?type=chat"))
	require.Equal(t, []string{"crm", "ops", "pager", "team", "work"}, a.listed("name", "/v1/integrations"))
	require.Equal(t, []string{expired.uid()}, a.listed("id", "/v1/keys?expired=true", tenant))
	require.ElementsMatch(t, []string{reads.uid(), writes.uid()}, a.listed("id", "/v1/keys?expired=false", tenant))
	require.Equal(t, []string{writes.uid()}, a.listed("id", "/v1/keys?scope=webhooks:write", tenant))

	for _, path := range []string{"/v1/webhooks?enabled=maybe", "/v1/webhooks?platform=nobody", "/v1/webhooks?eventType=", "/v1/keys?scope=everything", "/v1/integrations?kind=chat"} {
		a.do(http.MethodGet, path, "").problem(kindBadRequest)
	}
}

// Every list of the document that gives pages can be narrowed: a new one is not forgotten.
func TestLists_HaveFilters(t *testing.T) {
	a := newAPI(t)
	lists := 0
	for _, r := range routes {
		op, ok := a.server.document.Operation(r.method, r.path)
		require.True(t, ok)
		if _, pages := op.Query("cursor"); !pages {
			continue
		}
		lists++
		var filters []string
		for _, p := range op.Parameters {
			if p.In == "query" && p.Name != "cursor" && p.Name != "limit" {
				filters = append(filters, p.Name)
			}
		}
		require.NotEmpty(t, filters, "%s %s", r.method, r.path)
	}
	require.Greater(t, lists, 10)
}
