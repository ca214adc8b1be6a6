package dialect_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

const (
	ocelotWebhooks = "/ocelot/webhooks"
	// ocelotMinimal is the least that makes a webhook.
	ocelotMinimal = `{"id":"sms-1","matchingEvents":["IncomingSms.received"],"url":"https://example.com/sms"}`
	// ocelotFull has every field of the page.
	ocelotFull = `{
		"id": "my-incoming-sms-webhook",
		"matchingEvents": ["IncomingSms.received", "OutboundSms.delivered", "OutboundSms.deliveryFailed", "PhoneNumber.optedOut", "PhoneNumber.optedIn"],
		"url": "https://example.com/sms",
		"auth": {"type": "Basic", "username": "ocelot", "password": "s3cret"},
		"active": true,
		"perOfficeOverrides": [
			{"office": "north", "url": "https://north.example.com/sms", "auth": {"type": "None"}, "active": false},
			{"office": "south", "auth": {"type": "Basic", "username": "south", "password": "s4cret"}},
			{"office": "east"}
		]
	}`
	ocelotPath = ocelotWebhooks + "/my-incoming-sms-webhook"
)

// without removes the members that only answers have, after checking that they are times.
func without(t *testing.T, shown map[string]any, times ...string) map[string]any {
	t.Helper()
	for _, name := range times {
		_, err := time.Parse(time.RFC3339, shown[name].(string))
		require.NoError(t, err, name)
		delete(shown, name)
	}
	return shown
}

func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	return v
}

// ocelotShown is ocelotFull as it is read: passwords redacted.
func ocelotShown(t *testing.T) map[string]any {
	return parsed(t, strings.NewReplacer("s3cret", "redacted", "s4cret", "redacted").Replace(ocelotFull))
}

// The calls of the page, in its order. Its first entry, the request that a receiver gets, is what the format is for.
func TestOcelot_EveryCallOfThePage(t *testing.T) {
	a := newAPI(t)
	a.kept = []string{"s3cret", "s4cret"}
	require.Equal(t, "[]", string(a.do(http.MethodGet, ocelotWebhooks, "").is(http.StatusOK).body), "a bare array")

	created := a.do(http.MethodPost, ocelotWebhooks, ocelotFull).is(http.StatusOK).object()
	require.Equal(t, created["created"], created["updated"])
	require.Equal(t, ocelotShown(t), without(t, created, "created", "updated"))
	canonical := a.canonical("my-incoming-sms-webhook")
	require.Equal(t, "ocelot", canonical["platform"])
	require.Equal(t, "ocelot", canonical["format"])
	require.Equal(t, false, canonical["signing"].(map[string]any)["enabled"], "the platform signs nothing")

	got := a.do(http.MethodGet, ocelotPath, "").is(http.StatusOK)
	require.Equal(t, ocelotShown(t), without(t, got.object(), "created", "updated"))
	require.Equal(t, "["+string(got.body)+"]", string(a.do(http.MethodGet, ocelotWebhooks, "").is(http.StatusOK).body))

	renamed := strings.Replace(string(got.body), "my-incoming-sms-webhook", "renamed", 1)
	put := a.do(http.MethodPut, ocelotPath, renamed).is(http.StatusOK).object()
	require.Equal(t, "renamed", put["id"])
	require.Equal(t, got.object()["created"], put["created"])
	a.do(http.MethodGet, ocelotPath, "").refused(http.StatusNotFound)

	deleted := a.do(http.MethodDelete, ocelotWebhooks+"/renamed", "").is(http.StatusOK).object()
	require.Equal(t, put, deleted, "the resource as it was")
	a.do(http.MethodDelete, ocelotWebhooks+"/renamed", "").refused(http.StatusNotFound)
	require.Zero(t, a.hooks.Count())
}

// Each field of the page's request: what is sent, what is read, and what /v1 shows of it.
func TestOcelot_EveryFieldOfThePage(t *testing.T) {
	a := newAPI(t)
	tests := []struct {
		field, sent, read   string // sent "": omitted
		canonical, expected string // name and value under /v1
	}{
		{"id", `"Büro/1 %?"`, `"Büro/1 %?"`, "id", `"Büro/1 %?"`},
		{"matchingEvents", `["PhoneNumber.optedIn","IncomingSms.received"]`, `["IncomingSms.received","PhoneNumber.optedIn"]`, "events", `["IncomingSms.received","PhoneNumber.optedIn"]`},
		{"matchingEvents", `["OutboundSms.delivered","OutboundSms.delivered"]`, `["OutboundSms.delivered"]`, "events", `["OutboundSms.delivered"]`},
		{"matchingEvents", `["OutboundSms.deliveryFailed"]`, `["OutboundSms.deliveryFailed"]`, "events", `["OutboundSms.deliveryFailed"]`},
		{"matchingEvents", `["PhoneNumber.optedOut"]`, `["PhoneNumber.optedOut"]`, "events", `["PhoneNumber.optedOut"]`},
		{"matchingEvents", `[]`, `[]`, "events", `[]`},
		{"url", `"https://example.com/a?b=c"`, `"https://example.com/a?b=c"`, "url", `"https://example.com/a?b=c"`},
		{"auth", "", `{"type":"None"}`, "auth", `{"type":"none"}`},
		{"auth", `{"type":"None"}`, `{"type":"None"}`, "auth", `{"type":"none"}`},
		{"auth", `{"type":"Basic","username":"u","password":"p"}`, `{"type":"Basic","username":"u","password":"redacted"}`, "auth", `{"type":"basic","username":"u","password":"redacted"}`},
		{"active", "", `true`, "enabled", `true`},
		{"active", `true`, `true`, "enabled", `true`},
		{"active", `false`, `false`, "enabled", `false`},
		{"perOfficeOverrides", "", `[]`, "overrides", ``},
		{"perOfficeOverrides", `[]`, `[]`, "overrides", ``},
		{"perOfficeOverrides", `[{"office":"n","url":"https://n.example.com"}]`, `[{"office":"n","url":"https://n.example.com"}]`, "overrides", `[{"office":"n","url":"https://n.example.com"}]`},
		{"perOfficeOverrides", `[{"office":"n","auth":{"type":"None"}}]`, `[{"office":"n","auth":{"type":"None"}}]`, "overrides", `[{"office":"n","auth":{"type":"none"}}]`},
		{"perOfficeOverrides", `[{"office":"n","active":false}]`, `[{"office":"n","active":false}]`, "overrides", `[{"office":"n","enabled":false}]`},
		{"unheardOf", `{"x":1}`, ``, "unheardOf", ``},
	}
	for _, tt := range tests {
		t.Run(tt.field+" "+tt.sent, func(t *testing.T) {
			tenant := header{"Relay-Tenant", catalog.NewUID("t")}
			body := parsed(t, ocelotMinimal)
			delete(body, tt.field)
			if tt.sent != "" {
				body[tt.field] = json.RawMessage(tt.sent)
			}
			text, err := json.Marshal(body)
			require.NoError(t, err)
			shown := a.do(http.MethodPost, ocelotWebhooks, string(text), tenant).is(http.StatusOK).object()
			requireMember(t, tt.read, shown, tt.field)
			items := a.do(http.MethodGet, "/v1/webhooks", "", tenant).is(http.StatusOK).object()["items"].([]any)
			require.Len(t, items, 1)
			requireMember(t, tt.expected, items[0].(map[string]any), tt.canonical)
		})
	}
}

// requireMember demands a member of that JSON, or that there is none.
func requireMember(t *testing.T, expected string, object map[string]any, name string) {
	t.Helper()
	if expected == "" {
		require.NotContains(t, object, name)
		return
	}
	actual, err := json.Marshal(object[name])
	require.NoError(t, err)
	require.JSONEq(t, expected, string(actual), name)
}

func TestOcelot_RefusesAndChangesNothing(t *testing.T) {
	a := newAPI(t)
	a.kept = []string{"s3cret", "s4cret"}
	a.do(http.MethodPost, ocelotWebhooks, ocelotFull).is(http.StatusOK)
	a.do(http.MethodPost, ocelotWebhooks, ocelotMinimal).is(http.StatusOK)
	before := a.do(http.MethodGet, ocelotWebhooks, "").body
	tests := []struct{ field, value, named string }{
		{"id", `7`, "id:"}, {"id", `""`, "id:"}, {"id", `"` + strings.Repeat("x", 257) + `"`, "id:"}, {"id", `"a\u0007"`, "id:"},
		{"matchingEvents", `"IncomingSms.received"`, "matchingEvents:"}, {"matchingEvents", `[1]`, "matchingEvents:"},
		{"matchingEvents", `[null]`, "matchingEvents[0]:"}, {"matchingEvents", `["IncomingSms.received","debt.paid"]`, "matchingEvents[1]:"},
		{"matchingEvents", `["IncomingSms.*"]`, "matchingEvents[0]:"}, {"matchingEvents", `["incomingsms.received"]`, "matchingEvents[0]:"},
		{"url", `{}`, "url:"}, {"url", `""`, "url:"}, {"url", `"sms"`, "url:"}, {"url", `"http://example.com"`, "url:"},
		{"url", `"https://10.0.0.1/"`, "url:"}, {"url", `"ftp://example.com"`, "url:"},
		{"auth", `"Basic"`, "auth:"}, {"auth", `{}`, "auth.type:"}, {"auth", `{"type":"Bearer","token":"t"}`, "auth.type:"},
		{"auth", `{"type":"Basic","username":"u"}`, "auth.password:"}, {"auth", `{"type":"Basic","password":"p"}`, "auth.username:"},
		{"auth", `{"type":"Basic","username":"a:b","password":"p"}`, "auth.username:"}, {"auth", `{"type":"Basic","username":1,"password":"p"}`, "auth.username:"},
		{"active", `"yes"`, "active:"}, {"active", `1`, "active:"},
		{"perOfficeOverrides", `{}`, "perOfficeOverrides:"}, {"perOfficeOverrides", `["n"]`, "perOfficeOverrides[0]:"},
		{"perOfficeOverrides", `[{"url":"https://n.example.com"}]`, "perOfficeOverrides[0].office:"},
		{"perOfficeOverrides", `[{"office":""}]`, "perOfficeOverrides[0].office:"}, {"perOfficeOverrides", `[{"office":3}]`, "perOfficeOverrides[0].office:"},
		{"perOfficeOverrides", `[{"office":"n"},{"office":"n"}]`, "perOfficeOverrides[1].office:"},
		{"perOfficeOverrides", `[{"office":"n","url":"http://n.example.com"}]`, "perOfficeOverrides[0].url:"},
		{"perOfficeOverrides", `[{"office":"n","active":"no"}]`, "perOfficeOverrides[0].active:"},
		{"perOfficeOverrides", `[{"office":"n","auth":{"type":"Basic"}}]`, "perOfficeOverrides[0].auth.username:"},
		{"perOfficeOverrides", `[{"office":"n","auth":{"type":"Basic","username":"u","password":"redacted"}}]`, "perOfficeOverrides[0].auth.password:"},
	}
	for _, tt := range tests {
		t.Run(tt.field+" "+tt.value, func(t *testing.T) {
			a.t = t
			body := parsed(t, ocelotMinimal)
			body["id"] = "another"
			body[tt.field] = json.RawMessage(tt.value)
			text, err := json.Marshal(body)
			require.NoError(t, err)
			require.Contains(t, a.do(http.MethodPost, ocelotWebhooks, string(text)).refused(http.StatusUnprocessableEntity), tt.named)
			require.Contains(t, a.do(http.MethodPut, ocelotPath, string(text)).refused(http.StatusUnprocessableEntity), tt.named)
		})
	}
	a.t = t
	for _, missing := range []string{"id", "matchingEvents", "url"} {
		body := parsed(t, ocelotMinimal)
		for _, null := range []bool{true, false} {
			if body[missing] = nil; !null {
				delete(body, missing)
			}
			text, err := json.Marshal(body)
			require.NoError(t, err)
			require.Contains(t, a.do(http.MethodPost, ocelotWebhooks, string(text)).refused(http.StatusUnprocessableEntity), missing+": it is required")
		}
	}
	for _, other := range otherPlatformsBodies {
		a.do(http.MethodPost, ocelotWebhooks, other).refused(http.StatusUnprocessableEntity)
	}
	a.do(http.MethodPost, ocelotWebhooks, ocelotMinimal).refused(http.StatusConflict)
	a.do(http.MethodPut, ocelotPath, ocelotMinimal).refused(http.StatusConflict)
	a.do(http.MethodPut, ocelotWebhooks+"/nobody", ocelotMinimal).refused(http.StatusNotFound)
	require.Equal(t, string(before), string(a.do(http.MethodGet, ocelotWebhooks, "").body))
}

// An id may hold anything but control characters; in a path it is percent-encoded.
func TestOcelot_IDsOfTheClientsChoice(t *testing.T) {
	a := newAPI(t)
	id := "sms-1"
	a.do(http.MethodPost, ocelotWebhooks, ocelotMinimal).is(http.StatusOK)
	for _, next := range []string{"a/b", "ä ö", "100%", "?x=1#y", "..", "a+b", ".", strings.Repeat("x", 256), "sms-1"} {
		body, err := json.Marshal(map[string]string{"id": next})
		require.NoError(t, err)
		requireMember(t, `"`+next+`"`, a.do(http.MethodPut, ocelotWebhooks+"/"+url.PathEscape(id), string(body)).is(http.StatusOK).object(), "id")
		requireMember(t, `"`+next+`"`, a.do(http.MethodGet, ocelotWebhooks+"/"+url.PathEscape(next), "").is(http.StatusOK).object(), "id")
		id = next
	}
	a.do(http.MethodPut, ocelotWebhooks+"/sms-1", ocelotMinimal).is(http.StatusOK) // to its own name
	require.Equal(t, 1, a.hooks.Count())
}

// A rename keeps the uid, and with it what is pending and what is diverted.
func TestOcelot_RenameKeepsDivertedDeliveries(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, ocelotWebhooks, ocelotMinimal).is(http.StatusOK)
	uid := a.canonical("sms-1")["uid"].(string)
	event := &catalog.Event{ID: "evt_1", Type: "IncomingSms.received", Tenant: catalog.DefaultTenant, Raw: []byte(`{}`)}
	diverted := a.divert(uid, event, 7)

	a.do(http.MethodPut, ocelotWebhooks+"/sms-1", `{"id":"sms-2"}`).is(http.StatusOK)
	require.Equal(t, uid, a.canonical("sms-2")["uid"])
	items := a.do(http.MethodGet, "/v1/webhooks/sms-2/diverted", "").is(http.StatusOK).object()["items"].([]any)
	require.Len(t, items, 1)
	require.Equal(t, diverted.ID, items[0].(map[string]any)["deliveryId"])
	a.do(http.MethodPost, "/v1/webhooks/sms-2/diverted/"+diverted.ID+"/resend", "").is(http.StatusAccepted)
	require.Equal(t, uid, (<-a.resent.due).UID)

	// The old id is free again, and names another webhook.
	a.do(http.MethodPost, ocelotWebhooks, ocelotMinimal).is(http.StatusOK)
	require.NotEqual(t, uid, a.canonical("sms-1")["uid"])
}
