package admin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every secret that a client can send is a canary: none may sing in any answer or log line, whatever is done with the
// resource and whichever way it is refused.
func TestSecrets_AreInNoAnswerAndNoLog(t *testing.T) {
	a := newAPI(t)
	const canary = "canary-1f0c9a77"
	auths := []string{
		`{"type": "basic", "username": "u", "password": "%s"}`, `{"type": "bearer", "token": "%s"}`,
		`{"type": "header", "name": "X-Key", "value": "%s"}`,
		`{"type": "oauth2", "tokenUrl": "https://id.example.com/", "clientId": "c", "clientSecret": "%s"}`,
		`{"type": "mtls", "certificate": "none", "privateKey": "%s"}`, `{"type": "bearer", "token": ["%s"]}`,
		`{"type": "bearer", "token": "%s\n"}`, `{"type": "header", "name": "Host", "value": "%s"}`,
	}
	bodies := []string{}
	for _, auth := range auths {
		auth = fmt.Sprintf(auth, canary)
		bodies = append(bodies,
			`{"url": "https://example.com/", "auth": `+auth+`}`,
			`{"url": "https://example.com/", "overrides": [{"office": "n", "auth": `+auth+`}]}`,
			`{"integration": "ops", "auth": `+auth+`}`)
	}
	for _, secret := range []string{`{"value": "%s"}`, `{"value": "whsec_%s"}`, `{"value": "%s", "encoding": "whsec"}`, `{"value": "%s", "tag": 1}`, `"%s"`} {
		bodies = append(bodies, `{"url": "https://example.com/", "signing": {"secrets": [`+fmt.Sprintf(secret, canary)+`]}}`)
	}
	bodies = append(bodies, `{"url": "https://example.com/", "auth": {"type": "bearer", "token": "`+canary)
	a.do(http.MethodPost, "/v1/integrations", `{"name": "ops", "url": "https://ops.example.com/"}`).is(http.StatusCreated)
	made := 0
	for _, body := range bodies {
		answer := a.do(http.MethodPost, "/v1/webhooks", body)
		a.do(http.MethodPost, "/v1/integrations", strings.Replace(body, `{"url"`, fmt.Sprintf(`{"name": "n%d", "url"`, made), 1))
		if answer.status != http.StatusCreated {
			continue
		}
		made++
		path := "/v1/webhooks/" + answer.json()["uid"].(string)
		shown := a.do(http.MethodGet, path, "").is(http.StatusOK)
		a.do(http.MethodPut, path, string(shown.body)).is(http.StatusOK)
		a.do(http.MethodPatch, path, body).is(http.StatusOK)
		a.do(http.MethodPatch, path, `{"format": "nothing"}`).problem(kindInvalid)
		a.do(http.MethodPost, path+"/suspend", "").is(http.StatusOK)
	}
	require.Greater(t, made, 8)
	a.do(http.MethodGet, "/v1/webhooks?limit=200", "").is(http.StatusOK)
	a.do(http.MethodGet, "/v1/integrations?limit=200", "").is(http.StatusOK)
	a.do(http.MethodGet, "/v1/webhooks?key="+canary, "").problem(kindBadRequest)
	a.do(http.MethodGet, "/v1/webhooks", "", header{"Authorization", "Bearer " + canary}).problem(kindUnauthenticated)
	require.NotContains(t, a.transcript.String(), canary)
	require.NotContains(t, a.log.String(), canary)
	require.NotContains(t, a.transcript.String()+a.log.String(), bootstrapKey)
}

// Whatever is sent, the answer is a documented one and never our fault.
func FuzzWebhookBodies(f *testing.F) {
	for _, seed := range []string{
		minimal, `{}`, `[]`, `{"url": 1}`, `{"url": "https://example.com/", "retry": {"schedule": ["1s"]}, "filter": {"$or": []}}`,
		`{"integration": "x", "signing": {"enabled": true}}`, `{"url": "http://[::1]:99999/", "delivery": {"timeout": "1h1m1s", "rateLimit": 1e308}}`,
		`{"url": "https://example.com/", "metadata": {"a": [1, {"b": null}]}, "headers": {"": "\u0000"}}`, `{"signing": null, "url": null}`,
		`{"url": "https://example.com/", "overrides": [{"office": "a", "auth": {"type": "mtls"}}], "alert": {"integration": "a"}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := newAPI(t)
		a.create(minimal)
		for _, answer := range []reply{
			a.do(http.MethodPatch, "/v1/webhooks/orders", body),
			a.do(http.MethodPut, "/v1/webhooks/orders", body),
			a.do(http.MethodPost, "/v1/webhooks", body),
			a.do(http.MethodPost, "/v1/integrations", body),
			a.do(http.MethodPost, "/v1/webhooks/orders/suspend", body),
			a.do(http.MethodPost, "/v1/webhooks/orders/unsuspend", body),
		} {
			require.Less(t, answer.status, 500, "%s", answer.body)
		}
	})
}
