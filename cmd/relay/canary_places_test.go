package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
)

// once makes a request whose answer shows a secret for the only time: that answer is no leak, every later one is. field
// is the path to the secret in the answer.
func (a *aviary) once(name, method, path, body string, field ...any) (secret string, answer map[string]any) {
	a.t.Helper()
	a.mu.Lock()
	before := a.shown.Len()
	a.mu.Unlock()
	status, text := a.do(method, path, body)
	require.Equal(a.t, 2, status/100, "%s %s: %s", method, path, text)
	a.mu.Lock()
	a.shown.Truncate(before)
	a.mu.Unlock()
	require.NoError(a.t, json.Unmarshal(text, &answer))
	var at any = answer
	for _, step := range field {
		switch step := step.(type) {
		case string:
			at = at.(map[string]any)[step]
		case int:
			at = at.([]any)[step]
		}
	}
	secret, ok := at.(string)
	require.True(a.t, ok && len(secret) >= 20, "%s: %s", name, text)
	a.canaries = append(a.canaries, canary{name: name, value: secret})
	return secret, answer
}

// useKeys has keys made, used in every way, misused and revoked.
func (a *aviary) useKeys() {
	a.t.Helper()
	for _, body := range []string{`{"scopes": ["webhooks:read", "diverted:read", "keys:admin"]}`, `{"scopes": ["webhooks:read"], "unbound": true, "displayName": "unbound"}`} {
		key, made := a.once("API key", http.MethodPost, "/v1/keys", body, "key")
		id := made["id"].(string)
		secret := key[strings.LastIndexByte(key, '_')+1:]
		a.canaries = append(a.canaries, canary{name: "secret half of an API key", value: secret})
		basic := func(user, password string) string {
			return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
		}
		for _, header := range []string{"Bearer " + key, basic(id, secret), basic("any", key), basic(key, "x"), basic(secret, id), "Bearer " + secret, "Bearer " + key + "x", key} {
			a.do(http.MethodGet, "/v1/webhooks?limit=1", "", "Authorization", header)
			a.do(http.MethodGet, "/v1/audit", "", "Authorization", header) // a scope that it lacks
			a.do(http.MethodPost, "/v1/keys", `{"scopes": ["audit:read"]}`, "Authorization", header)
			a.do(http.MethodGet, "/donutwork/2026-02-01/webhooks.json", "", "Authorization", header)
		}
		a.do(http.MethodGet, "/v1/keys/"+id, "")
		a.do(http.MethodGet, "/v1/keys?scope=webhooks:read", "")
		a.must(http.StatusNoContent, http.MethodDelete, "/v1/keys/"+id, "")
		status, _ := a.do(http.MethodGet, "/v1/webhooks", "", "Authorization", "Bearer "+key)
		require.Equal(a.t, http.StatusUnauthorized, status)
	}
}

// generate has the relay make secrets, each of which one answer alone shows. It returns the uids of webhooks.
func (a *aviary) generate(url string) (uids []string) {
	a.t.Helper()
	_, made := a.once("generated secret", http.MethodPost, "/v1/webhooks", fmt.Sprintf(`{"id": "generated", "url": "%s/500", "retry": "none"}`, url), "signing", "secrets", 0, "value")
	uid := made["uid"].(string)
	a.once("rotated secret", http.MethodPost, "/v1/webhooks/"+uid+"/rotate-secret", `{"overlap": "1h"}`, "signing", "secrets", 0, "value")
	a.must(http.StatusOK, http.MethodPost, "/v1/webhooks/"+uid+"/rotate-secret", fmt.Sprintf(`{"value": %q, "encoding": "raw"}`, a.secret("secret of a rotation")))
	a.once("generated secret of an integration", http.MethodPost, "/v1/integrations", fmt.Sprintf(`{"name": "generated", "url": "%s/404"}`, url), "signing", "secrets", 0, "value")
	a.once("rotated secret of an integration", http.MethodPost, "/v1/integrations/generated/rotate-secret", "", "signing", "secrets", 0, "value")
	a.once("Ophelos signing key", http.MethodPost, "/ophelos/webhooks", fmt.Sprintf(`{"url": "%s/200", "enabled_events": ["debt.paid"], "credentials": {"type": "bearer", "token": %q}}`,
		url, a.secret("token of an Ophelos webhook")), "signing_key")
	a.once("Donutwork token", http.MethodPost, "/donutwork/2026-02-01/webhooks.json",
		fmt.Sprintf(`{"webhook": {"name": "n", "url": "%s/200", "events": "RecurringPayments.charge.paid"}}`, url), "token")
	a.must(http.StatusOK, http.MethodPost, "/ocelot/webhooks", fmt.Sprintf(
		`{"id": "texts", "matchingEvents": ["IncomingSms.received"], "url": "%s/200", "auth": {"type": "Basic", "username": "u", "password": %q}, "active": true, "perOfficeOverrides": []}`,
		url, a.secret("password of an Ocelot webhook")))
	return append(uids, uid)
}

// integrate puts every kind of credentials into integrations and overrides, delivers through them and edits them. It
// returns the uids of the webhooks.
func (a *aviary) integrate(auths map[string]string, url, signing string) (uids []string) {
	a.t.Helper()
	made := func(answer []byte) {
		var w struct{ UID string }
		require.NoError(a.t, json.Unmarshal(answer, &w))
		uids = append(uids, w.UID)
	}
	for kind, auth := range auths {
		path := "/v1/integrations/of-" + kind
		a.must(http.StatusCreated, http.MethodPost, "/v1/integrations", fmt.Sprintf(`{"name": "of-%s", "url": "%s/500", "auth": %s, %s}`, kind, url, auth, signing))
		made(a.must(http.StatusCreated, http.MethodPost, "/v1/webhooks", fmt.Sprintf(`{"id": "through-%s", "integration": "of-%s", "alert": {"integration": "of-%s"}, "retry": "none"}`, kind, kind, kind)))
		shown := a.must(http.StatusOK, http.MethodGet, path, "")
		a.must(http.StatusOK, http.MethodPut, path, string(shown))
		a.must(http.StatusConflict, http.MethodDelete, path, "")
		made(a.must(http.StatusCreated, http.MethodPost, "/v1/webhooks", fmt.Sprintf(
			`{"id": "office-%s", "url": "%s/404", "overrides": [{"office": "north", "url": "%s/500", "auth": %s}], "retry": "none"}`, kind, url, url, auth)))
	}
	return uids
}

// manyAtOnce has diverted events of a webhook resent and deleted in bulk, and tries it first.
func (a *aviary) manyAtOnce(uid string) {
	path := "/v1/webhooks/" + uid + "/diverted"
	a.do(http.MethodPost, path+"/resend", `{"dryRun": true}`)
	a.do(http.MethodPost, path+"/resend", `{"reason": "exhausted"}`)
	a.do(http.MethodDelete, path+"?dryRun=true", "")
	a.do(http.MethodDelete, path+"?reason=exhausted", "")
}
