package dialect_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

const (
	ophelosWebhooks = "/ophelos/webhooks"
	// ophelosFull has every field of the page.
	ophelosFull = `{
		"url": "https://example.com/hooks",
		"enabled": true,
		"enabled_events": ["debt.created", "debt.paid", "payment.succeeded"],
		"filters": {"data": {"amount": {"$gte": 100.10}}},
		"version": "2025-04-01",
		"credentials": {"type": "basic", "username": "ophelos", "password": "s3cret"},
		"metadata": {"team": "collections", "n": 1.0}
	}`
)

// ophelosPageEvents are the events of the page, in its order.
var ophelosPageEvents = strings.Fields(`
	customer.created customer.updated customer.deleted
	customer_contact_detail.created customer_contact_detail.updated customer_contact_detail.deleted
	debt.created debt.updated debt.deleted debt.closed debt.opened debt.initialzing debt.prepared debt.paused debt.withdrawn
	debt.analysing debt.resumed debt.contacted debt.contact_established debt.contact_failed debt.enriching debt.returned
	debt.discharged debt.arranging debt.paying debt.settled debt.paid debt.queried debt.disputed debt.defaulted
	debt.follow_up_required debt.adjusted debt.assessing debt.recovering debt.process_exhausted debt.legal_protection
	payment.created payment.updated payment.deleted payment.succeeded payment.failed payment.processing payment.cancelled
	payment.refunded payment.preparing payment.disputed payment.scheduled
	payment_plan.created payment_plan.updated payment_plan.deleted payment_plan.activated payment_plan.suggested
	payment_plan.finished payment_plan.canceled`)

// createOphelos creates a webhook and returns its id.
func (a *api) createOphelos(body string) string {
	a.t.Helper()
	return a.do(http.MethodPost, ophelosWebhooks, body).is(http.StatusCreated).object()["id"].(string)
}

// The page's one call, and the usual verbs on what it makes.
func TestOphelos_EveryCall(t *testing.T) {
	a := newAPI(t)
	answer := a.do(http.MethodPost, ophelosWebhooks, ophelosFull).is(http.StatusCreated)
	require.Equal(t, "2025-04-01", answer.header.Get("Ophelos-Version"))
	created := answer.object()
	key := created["signing_key"].(string)
	require.GreaterOrEqual(t, len(key), 32)
	a.kept = []string{key, "s3cret"}
	id := created["id"].(string)
	delete(created, "signing_key")

	got := a.do(http.MethodGet, ophelosWebhooks+"/"+id, "").is(http.StatusOK)
	require.Equal(t, created, got.object(), "the same but for the key")
	shown := without(t, got.object(), "created_at", "updated_at")
	expected := parsed(t, strings.Replace(ophelosFull, "s3cret", "redacted", 1))
	expected["id"], expected["object"] = id, "webhook"
	require.Equal(t, expected, shown)
	require.Contains(t, string(got.body), `100.10`, "numbers keep their text")

	canonical := a.canonical(id)
	require.Equal(t, "ophelos", canonical["platform"])
	require.Equal(t, "ophelos", canonical["format"])
	v, err := a.hooks.FindOn(catalog.DefaultTenant, catalog.PlatformOphelos, id)
	require.NoError(t, err)
	require.Equal(t, []catalog.SigningSecret{{Value: catalog.NewSecret(key), Encoding: catalog.SecretRaw}}, v.Webhook.Signing.Secrets, "the key's characters are the key")

	list := a.do(http.MethodGet, ophelosWebhooks, "").is(http.StatusOK)
	require.Equal(t, map[string]any{"data": []any{got.object()}, "has_more": false, "total_count": 1.0}, list.object())

	for _, method := range []string{http.MethodPut, http.MethodPatch} {
		updated := a.do(method, ophelosWebhooks+"/"+id, string(got.body)).is(http.StatusOK)
		require.Equal(t, shown, without(t, updated.object(), "created_at", "updated_at"), "what is read may be sent back")
	}
	deleted := a.do(http.MethodDelete, ophelosWebhooks+"/"+id, "").is(http.StatusOK)
	require.Equal(t, shown, without(t, deleted.object(), "created_at", "updated_at"), "the resource as it was")
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		a.do(method, ophelosWebhooks+"/"+id, `{}`).refused(http.StatusNotFound)
	}
	require.Zero(t, a.hooks.Count())
}

// Each field of the page's request: what is sent, what is read, and what /v1 shows of it.
func TestOphelos_EveryFieldOfThePage(t *testing.T) {
	a := newAPI(t)
	every := func(names []string) string { text, _ := json.Marshal(names); return string(text) }
	tests := []struct {
		field, sent, read   string // sent "": omitted
		canonical, expected string // name and value under /v1
	}{
		{"url", `"https://example.com/a?b=c"`, `"https://example.com/a?b=c"`, "url", `"https://example.com/a?b=c"`},
		{"enabled", ``, `true`, "enabled", `true`},
		{"enabled", `true`, `true`, "enabled", `true`},
		{"enabled", `false`, `false`, "enabled", `false`},
		{"enabled_events", ``, `["*"]`, "events", every(ophelosPageEvents)},
		{"enabled_events", `["*"]`, `["*"]`, "events", every(ophelosPageEvents)},
		{"enabled_events", `["debt.paid","*"]`, `["*"]`, "events", every(ophelosPageEvents)},
		{"enabled_events", every(ophelosPageEvents), `["*"]`, "events", every(ophelosPageEvents)},
		{"enabled_events", `[]`, `[]`, "events", `[]`},
		{"filters", ``, `null`, "filter", ``},
		{"filters", `null`, `null`, "filter", ``},
		{"filters", `{}`, `{}`, "filter", `{}`},
		{"filters", `{"data":{"amount":{"$gte":100},"status":{"$in":["open","paid"]}}}`, `{"data":{"amount":{"$gte":100},"status":{"$in":["open","paid"]}}}`, "filter", `{"data":{"amount":{"$gte":100},"status":{"$in":["open","paid"]}}}`},
		{"version", ``, `"2025-04-01"`, "version", `"2025-04-01"`},
		{"version", `"2025-04-01"`, `"2025-04-01"`, "version", `"2025-04-01"`},
		{"credentials", ``, `null`, "auth", `{"type":"none"}`},
		{"credentials", `null`, `null`, "auth", `{"type":"none"}`},
		{"credentials", `{"type":"basic","username":"u","password":"p"}`, `{"type":"basic","username":"u","password":"redacted"}`, "auth", `{"type":"basic","username":"u","password":"redacted"}`},
		{"credentials", `{"type":"bearer","token":"t"}`, `{"type":"bearer","token":"redacted"}`, "auth", `{"type":"bearer","token":"redacted"}`},
		{"credentials", `{"type":"header","name":"X-Key","value":"k"}`, `{"type":"header","name":"X-Key","value":"redacted"}`, "auth", `{"type":"header","name":"X-Key","value":"redacted"}`},
		{"metadata", ``, `{}`, "metadata", ``},
		{"metadata", `null`, `{}`, "metadata", ``},
		{"metadata", `{}`, `{}`, "metadata", ``},
		{"metadata", `{"a":{"b":[1,null]}}`, `{"a":{"b":[1,null]}}`, "metadata", `{"a":{"b":[1,null]}}`},
		{"unheard_of", `7`, ``, "unheard_of", ``},
	}
	for _, name := range ophelosPageEvents {
		tests = append(tests, struct{ field, sent, read, canonical, expected string }{"enabled_events", `["` + name + `"]`, `["` + name + `"]`, "events", `["` + name + `"]`})
	}
	for _, tt := range tests {
		t.Run(tt.field+" "+tt.sent, func(t *testing.T) {
			body := map[string]json.RawMessage{"url": json.RawMessage(`"https://example.com"`)}
			if tt.sent != "" {
				body[tt.field] = json.RawMessage(tt.sent)
			}
			text, err := json.Marshal(body)
			require.NoError(t, err)
			shown := a.do(http.MethodPost, ophelosWebhooks, string(text)).is(http.StatusCreated).object()
			requireMember(t, tt.read, shown, tt.field)
			requireMember(t, tt.expected, a.canonical(shown["id"].(string)), tt.canonical)
		})
	}
	require.Len(t, ophelosPageEvents, 54)
}

func TestOphelos_RefusesAndChangesNothing(t *testing.T) {
	a := newAPI(t)
	a.kept = []string{"s3cret", "s4cret"}
	path := ophelosWebhooks + "/" + a.createOphelos(ophelosFull)
	before := a.do(http.MethodGet, ophelosWebhooks, "").body
	tests := []struct{ field, value, named string }{
		{"url", `7`, "url:"}, {"url", `""`, "url:"}, {"url", `"example.com"`, "url:"}, {"url", `"http://example.com"`, "url:"}, {"url", `"https://192.168.0.1/"`, "url:"},
		{"enabled", `"true"`, "enabled:"}, {"enabled", `0`, "enabled:"}, {"enabled", `[]`, "enabled:"},
		{"enabled_events", `"*"`, "enabled_events:"}, {"enabled_events", `{}`, "enabled_events:"}, {"enabled_events", `[1]`, "enabled_events:"},
		{"enabled_events", `["debt.paid","debt.unheard_of"]`, "enabled_events[1]:"}, {"enabled_events", `["debt.*"]`, "enabled_events[0]:"},
		{"enabled_events", `["claim.open"]`, "enabled_events[0]:"}, {"enabled_events", `["debt.initializing"]`, "enabled_events[0]:"}, {"enabled_events", `[""]`, "enabled_events[0]:"},
		{"filters", `[]`, "filters:"}, {"filters", `"x"`, "filters:"}, {"filters", `{"data":{"amount":{"$near":1}}}`, "filters.data.amount"}, {"filters", `{"data":{"a":{"$regex":"("}}}`, "filters.data.a"},
		{"version", `"2024-01-01"`, "version:"}, {"version", `"latest"`, "version:"}, {"version", `20250401`, "version:"}, {"version", `""`, "version:"},
		{"credentials", `"basic"`, "credentials:"}, {"credentials", `{}`, "credentials.type:"}, {"credentials", `{"type":"oauth2"}`, "credentials.type:"}, {"credentials", `{"type":7}`, "credentials.type:"},
		{"credentials", `{"type":"basic","username":"u"}`, "credentials.password:"}, {"credentials", `{"type":"basic","password":"p"}`, "credentials.username:"},
		{"credentials", `{"type":"bearer"}`, "credentials.token:"}, {"credentials", `{"type":"bearer","token":"redacted"}`, "credentials.token:"},
		{"credentials", `{"type":"header","name":"X-Key"}`, "credentials.value:"}, {"credentials", `{"type":"header","value":"k"}`, "credentials.name:"}, {"credentials", `{"type":"header","name":"Host","value":"k"}`, "credentials.name:"},
		{"metadata", `[]`, "metadata:"}, {"metadata", `"x"`, "metadata:"}, {"metadata", `{"x":"` + strings.Repeat("x", 16<<10) + `"}`, "metadata:"},
		// The lists of events of other platforms: they would not be noticed, and every event be sent.
		{"events", `["claim.open"]`, "events:"}, {"matchingEvents", `["IncomingSms.received"]`, "matchingEvents:"},
	}
	for _, tt := range tests {
		t.Run(tt.field+" "+tt.value[:min(len(tt.value), 40)], func(t *testing.T) {
			a.t = t
			body, err := json.Marshal(map[string]json.RawMessage{"url": json.RawMessage(`"https://example.com"`), tt.field: json.RawMessage(tt.value)})
			require.NoError(t, err)
			require.Contains(t, a.do(http.MethodPost, ophelosWebhooks, string(body)).refused(http.StatusUnprocessableEntity), tt.named)
			require.Contains(t, a.do(http.MethodPatch, path, string(body)).refused(http.StatusUnprocessableEntity), tt.named)
		})
	}
	a.t = t
	for _, missing := range []string{`{}`, `{"url":null}`, `{"URL":"https://example.com"}`, ocelotMinimal,
		`{"name":"claims","integrationName":"receiver"}`, `{"webhook":{"name":"B","url":"https://example.com","events":["x"]}}`} {
		a.do(http.MethodPost, ophelosWebhooks, missing).refused(http.StatusUnprocessableEntity)
	}
	require.Equal(t, string(before), string(a.do(http.MethodGet, ophelosWebhooks, "").body))
}

func TestOphelos_Paging(t *testing.T) {
	a := newAPI(t)
	var ids []string
	for i := range 5 {
		ids = append(ids, a.createOphelos(fmt.Sprintf(`{"url":"https://example.com/%d"}`, i)))
	}
	list := func(query string) (found []string, more bool) {
		page := a.do(http.MethodGet, ophelosWebhooks+"?"+query, "").is(http.StatusOK).object()
		require.EqualValues(t, 5, page["total_count"])
		for _, item := range page["data"].([]any) {
			found = append(found, item.(map[string]any)["id"].(string))
		}
		return found, page["has_more"].(bool)
	}
	tests := []struct {
		query string
		found []string
		more  bool
	}{
		{"", ids, false}, {"limit=100", ids, false}, {"limit=5", ids, false}, {"limit=2", ids[:2], true}, {"limit=0", nil, true},
		{"limit=2&after=" + ids[1], ids[2:4], true}, {"limit=2&after=" + ids[3], ids[4:], false}, {"after=" + ids[4], nil, false},
		{"expand=everything", ids, false},
	}
	for _, tt := range tests {
		found, more := list(tt.query)
		require.Equal(t, tt.found, found, tt.query)
		require.Equal(t, tt.more, more, tt.query)
	}
	for _, query := range []string{"limit=-1", "limit=101", "limit=ten", "limit=1.5", "limit=99999999999999999999", "after=nobody"} {
		a.do(http.MethodGet, ophelosWebhooks+"?"+query, "").refused(http.StatusBadRequest)
	}
}
