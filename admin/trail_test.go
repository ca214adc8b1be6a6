package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/audit"
)

func entryOf(tenant, uid string) audit.Entry {
	return audit.Entry{Tenant: tenant, Kind: "webhook", ID: uid, UID: uid, Outcome: audit.Requested}
}

func encoded(t testing.TB, values ...any) string {
	t.Helper()
	text, err := json.Marshal(values)
	require.NoError(t, err)
	return string(text)
}

// A route that changes something leaves an entry before it acts, or is one whose change leaves its own.
func TestTrace_EveryMutationLeavesAnEntry(t *testing.T) {
	a := newFullAPI(t)
	own := map[string]bool{}
	for _, r := range a.allRoutes() {
		before := len(a.trail.entries)
		a.ask(r, "nobody", header{"X-Request-Id", "req-7"})
		elsewhere := tracedElsewhere[r.String()] || r.dialect && r.scope == scopeWebhooksWrite
		own[r.String()] = true
		if r.method == http.MethodGet || elsewhere {
			require.Len(t, a.trail.entries, before, "%s", r)
			continue
		}
		require.Len(t, a.trail.entries, before+1, "%s", r)
		e := a.trail.entries[before]
		require.Equal(t, audit.Call{Actor: audit.ActorBootstrap, Action: r.String(), Address: "192.0.2.1", RequestID: "req-7"}, e.Call)
		require.Equal(t, catalog.DefaultTenant, e.Tenant)
		require.NotEmpty(t, e.Kind, "%s", r)
		require.Equal(t, audit.Requested, e.Outcome)
	}
	for route := range tracedElsewhere {
		require.True(t, own[route], "%s is no route", route)
	}
}

func TestTrace_WithoutAnEntryNothingIsDone(t *testing.T) {
	a := newFullAPI(t)
	uid := a.create(minimal)
	a.diverted.add(catalog.DefaultTenant, uid, "dlv_1", &catalog.Event{ID: "e", Type: "debt.paid"})
	a.trail.fail = errors.New("broker away")
	path := "/v1/webhooks/orders/diverted/dlv_1"
	a.do(http.MethodPost, path+"/resend", "").problem(kindUnavailable)
	answer := a.do(http.MethodDelete, path, "")
	answer.problem(kindUnavailable)
	require.NotContains(t, string(answer.body), "broker")
	require.Len(t, a.diverted.events, 1)
	a.do(http.MethodGet, path, "").is(http.StatusOK)
	a.do(http.MethodGet, "/v1/audit", "").problem(kindUnavailable)

	a.trail.fail = nil
	a.do(http.MethodDelete, path, "").is(http.StatusNoContent)
	e := a.trail.entries[len(a.trail.entries)-1]
	require.Equal(t, [3]string{"diverted", "dlv_1", uid}, [3]string{e.Kind, e.ID, e.UID})

	without := newAPI(t, func(o *Options) { o.Audit = nil })
	without.create(minimal)
	without.do(http.MethodDelete, path, "").problem(kindUnavailable)
	without.do(http.MethodGet, "/v1/audit", "").problem(kindUnavailable)
}

// The registry learns from the context who acts.
func TestTrace_SaysWhoActs(t *testing.T) {
	a := newAPI(t)
	made := newAPIKey()
	a.registry.put(made, "acme", time.Time{}, scopeWebhooksWrite)
	a.registry.acted = nil
	a.create(minimal, bearer(made.whole().Reveal()), header{"X-Request-Id", "req-8"})
	require.Equal(t, []audit.Call{{Actor: made.uid(), Action: "POST /v1/webhooks", Address: "192.0.2.1", RequestID: "req-8"}}, a.registry.acted)
}

func TestAudit_ListsWhatTheCallerMaySee(t *testing.T) {
	a := newAPI(t)
	for _, e := range []audit.Entry{entryOf("acme", "1"), entryOf("other", "2"), entryOf("", "3"), entryOf("acme", "4")} {
		require.NoError(t, a.trail.Write(t.Context(), e))
	}
	uids := func(target string, headers ...header) (uids []string) {
		for target, cursor := target, ""; ; {
			answer := a.do(http.MethodGet, target+cursor, "", headers...).is(http.StatusOK).json()
			for _, item := range answer["items"].([]any) {
				uids = append(uids, item.(map[string]any)["object"].(map[string]any)["uid"].(string))
			}
			next, ok := answer["nextCursor"].(string)
			if !ok {
				return uids
			}
			cursor = "&cursor=" + next
		}
	}
	bound := bearer(a.registry.grant("acme", scopeAuditRead))
	require.Equal(t, []string{"4", "1"}, uids("/v1/audit?limit=1", bound))
	require.Equal(t, []string{"4", "3", "1"}, uids("/v1/audit?limit=1", header{headerTenant, "acme"}), "who is bound to no tenant sees what belongs to none")
	require.Equal(t, []string{"1"}, uids("/v1/audit?object=1", bound))
	require.Empty(t, uids("/v1/audit?object=2", bound))
	a.do(http.MethodGet, "/v1/audit?from=yesterday", "", bound).problem(kindBadRequest)
	item := a.do(http.MethodGet, "/v1/audit?object=3", "").is(http.StatusOK).json()["items"].([]any)[0].(map[string]any)
	require.Nil(t, item["tenant"])
	require.Equal(t, "relay", item["actor"])
}
