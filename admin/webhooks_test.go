package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

const minimal = `{"id": "orders", "url": "https://example.com/hook"}`

func TestCreateWebhook_DefaultsAreShown(t *testing.T) {
	a := newAPI(t)
	answer := a.do(http.MethodPost, "/v1/webhooks", minimal).is(http.StatusCreated)
	got := answer.json()
	require.Equal(t, `"1"`, answer.header.Get("ETag"))
	require.Equal(t, "/v1/webhooks/"+got["uid"].(string), answer.header.Get("Location"))
	require.Equal(t, "v1", got["platform"])
	require.Equal(t, true, got["enabled"])
	require.Nil(t, got["suspension"])
	require.Equal(t, []any{"*"}, got["events"])
	require.Equal(t, "standard", got["format"])
	require.Equal(t, "standard", got["retry"])
	require.Equal(t, map[string]any{"type": "none"}, got["auth"])
	require.Equal(t, map[string]any{"mode": "divert", "actOnStatusCodes": []any{"4xx", "5xx"}, "actOnTimeout": true, "otherwise": "divert"}, got["failureHandling"])
	require.Equal(t, map[string]any{"timeout": "15s", "concurrency": 8.0}, got["delivery"])
	require.NotContains(t, got, "tenant")
	require.NotContains(t, got, "warnings")
}

func TestCreateWebhook_GeneratedSecretIsShownOnce(t *testing.T) {
	a := newAPI(t)
	for _, signing := range []string{``, `, "signing": {}`, `, "signing": {"enabled": true, "secrets": []}`} {
		created := a.do(http.MethodPost, "/v1/webhooks", `{"url": "https://example.com/"`+signing+`}`).is(http.StatusCreated).json()
		secret := created["signing"].(map[string]any)["secrets"].([]any)[0].(map[string]any)["value"].(string)
		require.True(t, strings.HasPrefix(secret, "whsec_"), secret)
		uid := created["uid"].(string)
		require.Equal(t, uid, created["id"], "an omitted id is generated")
		for _, path := range []string{"/v1/webhooks/" + uid, "/v1/webhooks"} {
			read := a.do(http.MethodGet, path, "").is(http.StatusOK)
			require.NotContains(t, string(read.body), secret)
			require.Contains(t, string(read.body), catalog.Redacted)
		}
	}
	off := a.do(http.MethodPost, "/v1/webhooks", `{"url": "https://example.com/", "signing": {"enabled": false}}`).is(http.StatusCreated)
	require.Equal(t, map[string]any{"enabled": false}, off.json()["signing"])
}

func TestCreateWebhook_Warns(t *testing.T) {
	a := newAPI(t)
	got := a.do(http.MethodPost, "/v1/webhooks", `{"url": "https://example.com/", "events": ["debt.paid", "debt.nobody"]}`).is(http.StatusCreated)
	require.Equal(t, "events[1]", got.json()["warnings"].([]any)[0].(map[string]any)["field"])
}

func TestCreateWebhook_Refuses(t *testing.T) {
	with := func(members string) string { return `{"url": "https://example.com/", ` + members + `}` }
	tests := []struct {
		name, body string
		kind       kind
		fields     []string
	}{
		{"nothing", ``, kindMediaType, nil},
		{"white space", ` `, kindBadRequest, nil},
		{"not JSON", `{`, kindBadRequest, nil},
		{"two values", minimal + minimal, kindBadRequest, nil},
		{"member twice", `{"url": "https://a.example/", "url": "https://b.example/"}`, kindBadRequest, nil},
		{"not an object", `[]`, kindInvalid, []string{""}},
		{"no endpoint", `{}`, kindInvalid, []string{"url"}},
		{"unknown fields", with(`"color": 1, "retries": 2`), kindInvalid, []string{"color", "retries"}},
		{"unknown nested field", with(`"delivery": {"concurency": 3}`), kindInvalid, []string{"delivery.concurency"}},
		{"another spelling", `{"URL": "https://example.com/"}`, kindInvalid, []string{"URL"}},
		{"tenant is not a field", with(`"tenant": "other"`), kindInvalid, []string{"tenant"}},
		{"wrong types", with(`"enabled": "yes", "events": "x", "delivery": {"concurrency": "8"}`), kindInvalid, []string{"delivery.concurrency", "enabled", "events"}},
		{"null", with(`"enabled": null`), kindInvalid, []string{"enabled"}},
		{"wrong item", with(`"events": ["a", 2]`), kindInvalid, []string{"events[1]"}},
		{"wrong secret type", with(`"auth": {"type": "bearer", "token": {"a": "hunter2"}}`), kindInvalid, []string{"auth.token"}},
		{"retry name", with(`"retry": "often"`), kindInvalid, []string{"retry"}},
		{"retry schedule", with(`"retry": {"schedule": ["5s", "soon"]}`), kindInvalid, []string{"retry.schedule[1]"}},
		{"retry overflow", with(`"retry": {"schedule": ["99999999999999999999h"]}`), kindInvalid, []string{"retry"}},
		{"timeout", with(`"delivery": {"timeout": "15"}`), kindInvalid, []string{"delivery.timeout"}},
		{"timeout too long", with(`"delivery": {"timeout": "31s"}`), kindInvalid, []string{"delivery.timeout"}},
		{"filter", with(`"filter": {"data": {"amount": {"$gte": [1]}}}`), kindInvalid, []string{"filter.data.amount.$gte"}},
		{"pattern", with(`"events": ["relay.*"]`), kindInvalid, []string{"events[0]"}},
		{"address inside", `{"url": "https://127.0.0.1/"}`, kindInvalid, []string{"url"}},
		{"no such integration", `{"integration": "nobody"}`, kindInvalid, []string{"integration"}},
		{"nothing to keep", with(`"auth": {"type": "bearer", "token": "redacted"}`), kindInvalid, []string{"auth.token"}},
		{"rate limit out of range", with(`"delivery": {"rateLimit": 1e999}`), kindInvalid, []string{"delivery.rateLimit"}},
		{"too large", with(`"description": "` + strings.Repeat("x", maxBodyBytes) + `"`), kindTooLarge, nil},
	}
	a := newAPI(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a.t = t
			answer := a.do(http.MethodPost, "/v1/webhooks", tt.body)
			require.Equal(t, tt.fields, answer.problem(tt.kind).fields())
			require.NotContains(t, string(answer.body), "hunter2")
		})
	}
	require.Empty(t, a.registry.webhooks)
}

func TestCreateWebhook_MediaTypes(t *testing.T) {
	a := newAPI(t)
	for _, refused := range []string{"text/plain", "application/xml", "application/merge-patch+json", "application/json; charset=latin1", "*/*", ";"} {
		a.do(http.MethodPost, "/v1/webhooks", minimal, header{"Content-Type", refused}).problem(kindMediaType)
	}
	a.do(http.MethodPost, "/v1/webhooks", minimal, header{"Content-Type", "Application/JSON; charset=UTF-8"}).is(http.StatusCreated)
	a.do(http.MethodPost, "/v1/webhooks", minimal).problem(kindExists)
}

func TestWebhook_WhatIsReadMayBeSentBack(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, "/v1/integrations", `{"name": "ops", "url": "https://ops.example.com/"}`).is(http.StatusCreated)
	for _, body := range []string{
		minimal,
		`{"integration": "ops", "headers": {"X-One": "1"}}`,
		`{"url": "https://example.com/", "events": [], "domains": ["debt"], "filter": {"data": {"n": {"$gt": 12345678901234567890.5}}},
		  "metadata": {"z": 1, "a": {"b": "<&>"}}, "retry": {"schedule": ["1s", "1m30s"]}, "auth": {"type": "basic", "username": "u", "password": "p"},
		  "signing": {"secrets": [{"value": "plain-one", "tag": "new"}, {"value": "plain-two", "tag": "old"}]}, "format": "ocelot",
		  "failureHandling": {"mode": "suspend", "actOnStatusCodes": [], "actOnTimeout": false, "otherwise": "none"}, "alert": {"integration": "ops"},
		  "overrides": [{"office": "north", "url": "https://north.example.com/", "enabled": false, "auth": {"type": "bearer", "token": "t"}}],
		  "delivery": {"timeout": "20s", "concurrency": 3, "rateLimit": 0.5}, "displayName": "Ä", "description": "d", "enabled": false}`,
	} {
		uid := a.create(body)
		before := a.registry.webhooks[uid].Clone()
		first := a.do(http.MethodGet, "/v1/webhooks/"+uid, "").is(http.StatusOK)
		a.do(http.MethodPut, "/v1/webhooks/"+uid, string(first.body)).is(http.StatusOK)
		after := a.registry.webhooks[uid].Clone()
		require.Equal(t, before.Revision+1, after.Revision)
		before.Revision, before.Updated = after.Revision, after.Updated
		require.Equal(t, before, after, "secrets included")
		a.do(http.MethodPatch, "/v1/webhooks/"+uid, `{}`).is(http.StatusOK)
		after = a.registry.webhooks[uid].Clone()
		before.Revision, before.Updated = after.Revision, after.Updated
		require.Equal(t, before, after)
	}
}

func TestReplaceWebhook(t *testing.T) {
	a := newAPI(t)
	uid := a.create(`{"id": "orders", "url": "https://example.com/", "events": ["debt.*"], "description": "old",
		"auth": {"type": "bearer", "token": "t1"}, "signing": {"secrets": [{"value": "keep-me"}]}}`)
	// By id; omitted fields get their defaults, signing and id stay, response-only fields are ignored.
	got := a.do(http.MethodPut, "/v1/webhooks/orders", `{"url": "https://example.com/2", "uid": "wh_forged", "revision": 77, "platform": "socotra",
		"suspension": {"reason": "x"}, "warnings": [], "created": 1, "updated": null}`).is(http.StatusOK).json()
	require.Equal(t, uid, got["uid"])
	require.Equal(t, "v1", got["platform"])
	require.Equal(t, "orders", got["id"])
	require.EqualValues(t, 2, got["revision"])
	require.Equal(t, []any{"*"}, got["events"])
	require.NotContains(t, got, "description")
	stored := a.registry.webhooks[uid]
	require.Equal(t, catalog.AuthNone, stored.Auth.Type)
	require.Equal(t, "keep-me", stored.Signing.Secrets[0].Value.Reveal())
	// Renaming keeps the uid.
	got = a.do(http.MethodPut, "/v1/webhooks/orders", `{"id": "bills/ä", "url": "https://example.com/2"}`).is(http.StatusOK).json()
	require.Equal(t, uid, got["uid"])
	a.do(http.MethodGet, "/v1/webhooks/orders", "").problem(kindNotFound)
	a.do(http.MethodGet, "/v1/webhooks/bills%2F%C3%A4", "").is(http.StatusOK)
	// What is not there is not made.
	a.do(http.MethodPut, "/v1/webhooks/nobody", minimal).problem(kindNotFound)
	a.create(minimal)
	a.do(http.MethodPut, "/v1/webhooks/"+uid, minimal).problem(kindExists)
}

func TestEditWebhook(t *testing.T) {
	a := newAPI(t)
	uid := a.create(`{"id": "orders", "url": "https://example.com/", "description": "old", "events": ["debt.*"],
		"metadata": {"keep": {"big": 12345678901234567890}, "drop": 1}, "auth": {"type": "bearer", "token": "t1"},
		"delivery": {"concurrency": 3, "timeout": "20s"}, "signing": {"secrets": [{"value": "keep-me"}]}}`)
	got := a.do(http.MethodPatch, "/v1/webhooks/orders", `{"description": null, "enabled": false, "events": null, "signing": null,
		"metadata": {"drop": null, "add": [null]}, "delivery": {"concurrency": null}, "uid": "forged", "warnings": null}`,
		header{"Content-Type", mediaMergePatch}).is(http.StatusOK)
	require.Contains(t, string(got.body), `"metadata":{"add":[null],"keep":{"big":12345678901234567890}}`)
	require.NotContains(t, got.json(), "description")
	require.Equal(t, false, got.json()["enabled"])
	require.Equal(t, []any{"*"}, got.json()["events"])
	require.Equal(t, map[string]any{"timeout": "20s", "concurrency": 8.0}, got.json()["delivery"])
	stored := a.registry.webhooks[uid]
	require.Equal(t, "t1", stored.Auth.Token.Reveal())
	require.Equal(t, "keep-me", stored.Signing.Secrets[0].Value.Reveal())

	require.Equal(t, []string{"nobody"}, a.do(http.MethodPatch, "/v1/webhooks/orders", `{"nobody": 1}`).problem(kindInvalid).fields())
	require.Equal(t, []string{"delivery.timeout"}, a.do(http.MethodPatch, "/v1/webhooks/orders", `{"delivery": {"timeout": 3}}`).problem(kindInvalid).fields())
	require.Equal(t, []string{""}, a.do(http.MethodPatch, "/v1/webhooks/orders", `"x"`).problem(kindInvalid).fields())
	a.do(http.MethodPatch, "/v1/webhooks/orders", `{}`, header{"Content-Type", "text/plain"}).problem(kindMediaType)
	a.do(http.MethodPatch, "/v1/webhooks/nobody", `{}`).problem(kindNotFound)
}

func TestWebhook_IfMatch(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	stale, current := header{"If-Match", `"7"`}, header{"If-Match", `"1"`}
	a.do(http.MethodPut, "/v1/webhooks/"+uid, minimal, stale).problem(kindRevision)
	a.do(http.MethodPatch, "/v1/webhooks/"+uid, `{}`, stale).problem(kindRevision)
	a.do(http.MethodPatch, "/v1/webhooks/"+uid, `{}`, header{"If-Match", "junk"}).problem(kindRevision)
	a.do(http.MethodDelete, "/v1/webhooks/"+uid, "", stale).problem(kindRevision)
	require.Equal(t, `"2"`, a.do(http.MethodPut, "/v1/webhooks/"+uid, minimal, current).is(http.StatusOK).header.Get("ETag"))
	a.do(http.MethodPatch, "/v1/webhooks/"+uid, `{}`, current).problem(kindRevision)
	a.do(http.MethodPatch, "/v1/webhooks/"+uid, `{}`, header{"If-Match", "*"}).is(http.StatusOK)
	a.do(http.MethodDelete, "/v1/webhooks/"+uid, "", header{"If-Match", `"3"`}).is(http.StatusNoContent)
	a.do(http.MethodDelete, "/v1/webhooks/"+uid, "").problem(kindNotFound)
}

func TestWebhook_OtherTenantsAreNotThere(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	other := header{"Relay-Tenant", "other"}
	for _, id := range []string{uid, "orders"} {
		a.do(http.MethodGet, "/v1/webhooks/"+id, "", other).problem(kindNotFound)
		a.do(http.MethodPut, "/v1/webhooks/"+id, minimal, other).problem(kindNotFound)
		a.do(http.MethodPatch, "/v1/webhooks/"+id, `{}`, other, header{"If-Match", `"1"`}).problem(kindNotFound)
		a.do(http.MethodDelete, "/v1/webhooks/"+id, "", other).problem(kindNotFound)
		a.do(http.MethodPost, "/v1/webhooks/"+id+"/suspend", "", other).problem(kindNotFound)
		a.do(http.MethodPost, "/v1/webhooks/"+id+"/unsuspend", "", other).problem(kindNotFound)
		a.do(http.MethodGet, "/v1/webhooks/"+id+"/diverted", "", other).problem(kindNotFound)
	}
	require.Empty(t, a.do(http.MethodGet, "/v1/webhooks", "", other).is(http.StatusOK).json()["items"])
	require.NotEqual(t, uid, a.create(minimal, other), "ids are unique per tenant only")
	require.EqualValues(t, 1, a.registry.webhooks[uid].Revision)
	a.do(http.MethodGet, "/v1/webhooks", "", header{"Relay-Tenant", "a/b"}).problem(kindBadRequest)
}

func TestWebhook_AmbiguousID(t *testing.T) {
	a := newAPI(t)
	one, two := a.create(minimal), a.create(`{"id": "other", "url": "https://example.com/"}`)
	a.registry.webhooks[two].Platform, a.registry.webhooks[two].ID = catalog.PlatformOcelot, "orders"
	require.ElementsMatch(t, []string{one, two}, a.do(http.MethodGet, "/v1/webhooks/orders", "").problem(kindAmbiguous).UIDs)
	a.do(http.MethodGet, "/v1/webhooks/"+two, "").is(http.StatusOK)
}

func TestListWebhooks_Pages(t *testing.T) {
	a := newAPI(t)
	want := map[string]bool{}
	for range 5 {
		want[a.create(`{"url": "https://example.com/"}`)] = true
	}
	got, cursor, pages := map[string]bool{}, "", 0
	for {
		page := a.do(http.MethodGet, "/v1/webhooks?limit=2"+cursor, "").is(http.StatusOK).json()
		pages++
		for _, item := range page["items"].([]any) {
			got[item.(map[string]any)["uid"].(string)] = true
		}
		next, more := page["nextCursor"].(string)
		if !more {
			break
		}
		cursor = "&cursor=" + next
	}
	require.Equal(t, want, got)
	require.Equal(t, 3, pages)
}

func TestSuspendAndUnsuspend(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	got := a.do(http.MethodPost, "/v1/webhooks/orders/suspend", "").is(http.StatusOK).json()
	require.Equal(t, "operator", got["suspension"].(map[string]any)["reason"])
	got = a.do(http.MethodPost, "/v1/webhooks/orders/suspend", `{"reason": "again"}`).is(http.StatusOK).json()
	require.Equal(t, "operator", got["suspension"].(map[string]any)["reason"], "it was suspended already")
	require.Nil(t, a.do(http.MethodPost, "/v1/webhooks/orders/unsuspend", `{"resend": false}`).is(http.StatusOK).json()["suspension"])
	require.Equal(t, []int64{1}, a.registry.suspensions[uid].Kept)
	a.do(http.MethodPost, "/v1/webhooks/orders/suspend", `{"reason": "maintenance"}`).is(http.StatusOK)
	a.do(http.MethodPost, "/v1/webhooks/orders/unsuspend", "").is(http.StatusOK)
	require.Empty(t, a.registry.suspensions[uid].Kept, "resend is the default")
	for _, body := range []string{`{"resend": "no"}`, `{"resnd": true}`} {
		a.do(http.MethodPost, "/v1/webhooks/orders/unsuspend", body).problem(kindInvalid)
	}
	a.do(http.MethodPost, "/v1/webhooks/orders/suspend", `{"reason": ""}`).problem(kindInvalid)
	a.do(http.MethodPost, "/v1/webhooks/nobody/suspend", "").problem(kindNotFound)
}

func TestWebhook_StoreFailuresSayNothingOfBrokers(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	a.registry.fail = errors.New("NOT_ENOUGH_REPLICAS from broker-7.internal:9092")
	for _, answer := range []reply{
		a.do(http.MethodPost, "/v1/webhooks", `{"url": "https://example.com/"}`),
		a.do(http.MethodPut, "/v1/webhooks/"+uid, minimal),
		a.do(http.MethodPatch, "/v1/webhooks/"+uid, `{}`),
		a.do(http.MethodDelete, "/v1/webhooks/"+uid, ""),
		a.do(http.MethodPost, "/v1/webhooks/"+uid+"/suspend", ""),
		a.do(http.MethodPost, "/v1/webhooks/"+uid+"/unsuspend", ""),
	} {
		answer.problem(kindUnavailable)
		require.Equal(t, "1", answer.header.Get("Retry-After"))
		require.NotContains(t, string(answer.body), "broker-7")
	}
	require.Contains(t, a.log.String(), "broker-7", "the log has the cause")
}

func TestMembersOfWebhook_AreWhatTheSchemaAllows(t *testing.T) {
	a := newAPI(t)
	a.create(minimal)
	for _, w := range a.registry.webhooks {
		m, err := webhookMembers(w, a.server.webhookInput.ReadOnly())
		require.NoError(t, err)
		text, err := json.Marshal(m)
		require.NoError(t, err)
		_, err = decodeObject(text, a.server.webhookInput)
		require.NoError(t, err)
	}
}
