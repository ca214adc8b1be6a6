package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

func TestKeys_FromMakingToRevoking(t *testing.T) {
	a := newAPI(t)
	made := a.do(http.MethodPost, "/v1/keys", `{"displayName": "billing", "scopes": ["webhooks:write", "webhooks:read"]}`, header{headerTenant, "acme"}).is(http.StatusCreated)
	id, key := made.json()["id"].(string), made.json()["key"].(string)
	require.Equal(t, "/v1/keys/"+id, made.header.Get("Location"))
	require.Equal(t, "acme", made.json()["tenant"])
	require.Equal(t, []any{"webhooks:read", "webhooks:write"}, made.json()["scopes"])
	require.Regexp(t, `^relay_[a-z2-7]{26}_[a-z2-7]{59}$`, key)
	require.Contains(t, key, strings.TrimPrefix(id, keyUIDPrefix))
	a.transcript.Reset()

	secret := key[len(keyPrefix)+keyIDLength+1:]
	uid := a.create(minimal, bearer(key))
	require.Equal(t, "acme", a.registry.webhooks[uid].Tenant)
	a.do(http.MethodGet, "/v1/webhooks/orders", "", basic(id, secret)).is(http.StatusOK)
	a.do(http.MethodGet, "/v1/webhooks/orders", "", basic("any", key), header{headerTenant, "acme"}).is(http.StatusOK)
	a.do(http.MethodGet, "/v1/webhooks", "", bearer(key), header{headerTenant, "other"}).problem(kindForbidden)
	a.do(http.MethodGet, "/v1/diverted", "", bearer(key)).problem(kindForbidden)

	tenant := header{headerTenant, "acme"}
	shown := a.do(http.MethodGet, "/v1/keys/"+id, "", tenant).is(http.StatusOK).json()
	require.NotContains(t, shown, "key")
	require.Nil(t, shown["expires"])
	require.Len(t, a.do(http.MethodGet, "/v1/keys", "", tenant).is(http.StatusOK).json()["items"], 1)
	a.do(http.MethodDelete, "/v1/keys/"+id, "", tenant).is(http.StatusNoContent)
	a.do(http.MethodGet, "/v1/webhooks", "", bearer(key)).problem(kindUnauthenticated)
	a.do(http.MethodDelete, "/v1/keys/"+id, "", tenant).problem(kindNotFound)

	for _, place := range []string{a.transcript.String(), a.log.String(), fmt.Sprintf("%+v", a.registry.keys)} {
		require.NotContains(t, place, secret, "the key is shown once")
	}
	require.Contains(t, a.log.String(), `"key":"`+id+`"`)
}

// A key never makes one that may do more than itself.
func TestKeys_GrantOnlyWhatTheMakerHas(t *testing.T) {
	a := newAPI(t)
	maker := bearer(a.registry.grant("acme", scopeKeysAdmin, scopeWebhooksRead))
	roamer := bearer(a.registry.grant("", scopeKeysAdmin, scopeWebhooksRead))
	for _, s := range allScopes {
		answer := a.do(http.MethodPost, "/v1/keys", `{"scopes": ["`+string(s)+`"]}`, maker)
		if s == scopeKeysAdmin || s == scopeWebhooksRead {
			require.Equal(t, "acme", answer.is(http.StatusCreated).json()["tenant"])
		} else {
			answer.problem(kindForbidden)
		}
		a.do(http.MethodPost, "/v1/keys", `{"scopes": ["keys:admin", "`+string(s)+`"]}`).is(http.StatusCreated)
	}
	a.do(http.MethodPost, "/v1/keys", `{"scopes": ["webhooks:read"], "unbound": true}`, maker).problem(kindForbidden)
	a.do(http.MethodPost, "/v1/keys", `{"scopes": ["webhooks:read"]}`, maker, header{headerTenant, "other"}).problem(kindForbidden)
	unbound := a.do(http.MethodPost, "/v1/keys", `{"scopes": ["webhooks:read"], "unbound": true}`, roamer, header{headerTenant, "acme"}).is(http.StatusCreated).json()
	require.Nil(t, unbound["tenant"])
	path := "/v1/keys/" + unbound["id"].(string)
	a.do(http.MethodGet, path, "", maker).problem(kindNotFound)
	a.do(http.MethodDelete, path, "", maker).problem(kindNotFound)
	a.do(http.MethodGet, path, "", roamer).is(http.StatusOK)
	a.do(http.MethodGet, "/v1/webhooks", "", bearer(unbound["key"].(string)), header{headerTenant, "anyone"}).is(http.StatusOK)

	for _, body := range []string{`{}`, `{"scopes": []}`, `{"scopes": ["all"]}`, `{"scopes": ["public"]}`, `{"scopes": [""]}`, `{"scopes": ["webhooks:read"], "tenant": "other"}`,
		`{"scopes": ["webhooks:read"], "hash": "x"}`, `{"scopes": ["webhooks:read"], "expires": "2020-01-01T00:00:00Z"}`, `{"scopes": ["webhooks:read"], "expires": "soon"}`} {
		a.do(http.MethodPost, "/v1/keys", body).problem(kindInvalid)
	}
}

func TestKeys_Expire(t *testing.T) {
	a := newAPI(t)
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	made := a.do(http.MethodPost, "/v1/keys", `{"scopes": ["webhooks:read"], "expires": "`+expires+`"}`).is(http.StatusCreated).json()
	require.Equal(t, expires, made["expires"])
	require.Equal(t, false, made["expired"])
	a.do(http.MethodGet, "/v1/webhooks", "", bearer(made["key"].(string))).is(http.StatusOK)
	id := made["id"].(string)
	k := a.registry.keys[id]
	k.Expires = time.Now()
	a.registry.keys[id] = k
	require.Contains(t, a.do(http.MethodGet, "/v1/webhooks", "", bearer(made["key"].(string))).problem(kindUnauthenticated).Detail, "expired")
	require.Equal(t, true, a.do(http.MethodGet, "/v1/keys/"+id, "").is(http.StatusOK).json()["expired"])
}

func TestKeys_Idempotency(t *testing.T) {
	a := newAPI(t)
	once := header{"Idempotency-Key", "k-1"}
	const body = `{"scopes": ["webhooks:read"]}`
	first := a.do(http.MethodPost, "/v1/keys", body, once).is(http.StatusCreated).json()
	repeat := a.do(http.MethodPost, "/v1/keys", body, once).is(http.StatusOK)
	require.Equal(t, "true", repeat.header.Get(headerReplayed))
	require.Equal(t, first["id"], repeat.json()["id"])
	require.NotContains(t, repeat.json(), "key")
	a.do(http.MethodPost, "/v1/keys", `{"scopes": ["webhooks:write"]}`, once).problem(kindKeyReused)
	a.do(http.MethodPost, "/v1/keys", `{"scopes": ["webhooks:read"], "unbound": true}`, once).is(http.StatusCreated)
}

// Each key has a bucket of its own.
func TestKeys_RateLimitIsTheKeys(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Rate, o.Burst = 0.001, 2 })
	one, two := bearer(a.registry.grant("acme", scopeWebhooksRead)), bearer(a.registry.grant("acme", scopeWebhooksRead))
	from := func(address string, key header) reply {
		r := httptest.NewRequest(http.MethodGet, "/v1/webhooks", nil)
		r.RemoteAddr = address + ":1"
		r.Header.Set(key.name, key.value)
		return a.serve(r)
	}
	from("192.0.2.1", one).is(http.StatusOK)
	from("192.0.2.2", one).is(http.StatusOK)
	limited := from("192.0.2.3", one)
	limited.problem(kindRateLimited)
	require.NotEmpty(t, limited.header.Get("Retry-After"))
	from("192.0.2.4", two).is(http.StatusOK)
}

func TestAPIKey_Form(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		k := newAPIKey()
		whole := k.whole().Reveal()
		require.Len(t, whole, keyLength)
		require.False(t, seen[whole])
		seen[whole] = true
		parsed, ok := parseAPIKey("anything", whole)
		require.True(t, ok)
		require.Equal(t, k, parsed)
		require.Equal(t, "redacted", fmt.Sprint(k.whole()))
	}
	k := newAPIKey()
	whole := k.whole().Reveal()
	for i := range whole {
		changed := []byte(whole)
		changed[i] ^= 3
		_, ok := parseAPIKey("", string(changed))
		require.False(t, ok, "the checksum finds every mistyped character")
	}
}

func FuzzParseAPIKey(f *testing.F) {
	k := newAPIKey()
	f.Add("", k.whole().Reveal())
	f.Add(k.uid(), k.secret)
	f.Add("key_", "relay__")
	f.Fuzz(func(t *testing.T, name, text string) {
		if k, ok := parseAPIKey(name, text); ok {
			require.Len(t, k.id, keyIDLength)
			require.True(t, text == k.whole().Reveal() || text == k.secret)
		}
	})
}

func TestAddressOf(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8:1::/48")}
	tests := []struct {
		name      string
		proxies   []netip.Prefix
		peer      string
		forwarded []string
		want      string
	}{
		{"no proxies, no header", nil, "192.0.2.1:1", nil, "192.0.2.1"},
		{"no proxies: the header is not believed", nil, "10.1.0.1:1", []string{"203.0.113.9"}, "10.1.0.1"},
		{"loopback is not trusted by itself", proxies, "127.0.0.1:1", []string{"203.0.113.9"}, "127.0.0.1"},
		{"a private network is not trusted by itself", proxies, "10.2.0.1:1", []string{"203.0.113.9"}, "10.2.0.1"},
		{"through the proxy", proxies, "10.1.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"forged in front of the proxy's", proxies, "10.1.0.1:1", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		{"several proxies", proxies, "10.1.0.1:1", []string{"1.1.1.1, 203.0.113.9, 10.1.2.3"}, "203.0.113.9"},
		{"several headers", proxies, "10.1.0.1:1", []string{"1.1.1.1", "203.0.113.9"}, "203.0.113.9"},
		{"IPv6", proxies, "[2001:db8:1::5]:1", []string{"2001:db8:9::1"}, "2001:db8:9::1"},
		{"no header", proxies, "10.1.0.1:1", nil, "10.1.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			for _, f := range tt.forwarded {
				r.Header.Add(echo.HeaderXForwardedFor, f)
			}
			require.Equal(t, tt.want, addressOf(tt.proxies)(r))
		})
	}
}
