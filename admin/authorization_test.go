package admin

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/admin/dialect"
	"eventrelay/catalog"
	"eventrelay/relay/divert"
	"eventrelay/relay/history"
)

// Everything here derives from the route table and the dialects, so that a route is covered as soon as it is there, and
// one that names no scope, or one that is mounted past the table, fails.

// servedRoute is a route of /v1 or of a dialect.
type servedRoute struct {
	method, template string
	scope            scope
	dialect          bool
}

func (r servedRoute) String() string { return r.method + " " + r.template }

// newFullAPI serves all dialects beside /v1.
func newFullAPI(t testing.TB) *api {
	return newAPI(t, func(o *Options) {
		o.Dialects = dialect.All(dialect.Services{Registry: o.Registry.(*fakeRegistry), Diverted: o.Diverted.(*fakeDiverted)})
	})
}

// ListAt and Read are what dialects ask the divert store besides.
func (f *fakeDiverted) ListAt(ctx context.Context, tenant, uid string, _, limit int) (divert.Page, error) {
	return f.List(ctx, divert.Query{Tenant: tenant, UID: uid, Limit: limit})
}

func (f *fakeDiverted) Read(ctx context.Context, e divert.Entry) (divert.Detail, error) {
	return f.Get(ctx, e.Tenant, e.UID, e.DeliveryID)
}

// allRoutes is every route that needs a key.
func (a *api) allRoutes() (served []servedRoute) {
	mounted := map[string]bool{}
	for _, r := range a.server.echo.Routes() {
		mounted[r.Method+" "+r.Path] = true
	}
	take := func(method, template string, s scope, isDialect bool) {
		name := method + " " + echoPath(template)
		require.True(a.t, mounted[name], "%s is not mounted", name)
		delete(mounted, name)
		require.True(a.t, s == scopePublic || slices.Contains(allScopes, s), "%s %s has no scope that a key can have", method, template)
		if s != scopePublic {
			served = append(served, servedRoute{method, template, s, isDialect})
		}
	}
	for _, r := range routes {
		take(r.method, r.path, r.scope, false)
	}
	for _, d := range a.server.opts.Dialects {
		for _, r := range d.Routes {
			take(r.Method, d.BasePath()+r.Path, scope(r.Scope), true)
		}
	}
	require.Empty(a.t, mounted, "mounted past the route table")
	return served
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// fitting are bodies that pass for routes that refuse an empty object.
var fitting = map[string]string{
	"POST /v1/webhooks":                           minimal,
	"PUT /v1/webhooks/{id}":                       minimal,
	"PUT /v1/integrations/{name}":                 `{"url": "https://example.com/"}`,
	"POST /v1/match":                              `{"type": "debt.paid"}`,
	"PUT /socotra/integrations/{integrationName}": `{"url": "https://example.com/"}`,
}

// operatorOnly are the routes that want a key that is bound to no tenant besides their scope.
var operatorOnly = map[string]bool{"GET /v1/rejected": true}

// demanded are the queries without which a list refuses to answer.
var demanded = map[string]string{"/v1/attempts": "eventId=canary77ev1"}

// ask makes a request of a route, with what is named in place of its path parameters: all of them, or the last ones.
func (a *api) ask(r servedRoute, named string, headers ...header) reply {
	return a.askIn(r, []string{named}, headers...)
}

func (a *api) askIn(r servedRoute, named []string, headers ...header) reply {
	a.t.Helper()
	body := ""
	if r.method != http.MethodGet && r.method != http.MethodDelete {
		path, _, _ := strings.Cut(r.String(), "?")
		if body = fitting[path]; body == "" {
			body = "{}"
		}
	}
	at := 0
	target := pathParameter.ReplaceAllStringFunc(r.template, func(string) string {
		at++
		return named[min(at, len(named))-1]
	})
	return a.do(r.method, target, body, headers...)
}

func bearer(key string) header { return header{"Authorization", "Bearer " + key} }

func basic(name, password string) header {
	return header{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))}
}

// refused demands a status, in the form that the route's clients know.
func (r reply) refused(route servedRoute, status int) {
	r.t.Helper()
	require.Equal(r.t, status, r.status, "%s: %s", route, r.body)
	if route.dialect {
		require.Equal(r.t, mediaJSON, r.header.Get("Content-Type"))
		require.Len(r.t, r.json(), 1, "%s", r.body)
		require.NotEmpty(r.t, r.json()["error"])
	}
}

func TestAuthorization_EveryRouteNeedsExactlyItsScope(t *testing.T) {
	a := newFullAPI(t)
	served := a.allRoutes()
	require.Greater(t, len(served), len(routes))
	for _, held := range allScopes {
		bound, unbound := bearer(a.registry.grant("acme", held)), bearer(a.registry.grant("", held))
		for _, r := range served {
			key := bound
			if operatorOnly[r.String()] {
				a.ask(r, "nobody", bound).refused(r, http.StatusForbidden)
				key = unbound
			}
			answer := a.ask(r, "nobody", key)
			if held != r.scope {
				answer.refused(r, http.StatusForbidden)
				continue
			}
			require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, answer.status, "%s with %s: %s", r, held, answer.body)
			require.Less(t, answer.status, 500, "%s: %s", r, answer.body)
		}
	}
	none := bearer(a.registry.grant("acme"))
	for _, r := range served {
		a.ask(r, "nobody", none).refused(r, http.StatusForbidden)
	}
}

func TestAuthorization_EveryRouteRefusesKeysThatAreNotValid(t *testing.T) {
	a := newFullAPI(t)
	expired, revoked, right := newAPIKey(), newAPIKey(), newAPIKey()
	a.registry.put(expired, "acme", time.Now().Add(-time.Second), allScopes...)
	a.registry.put(revoked, "acme", time.Time{}, allScopes...)
	a.registry.put(right, "", time.Now().Add(time.Hour), allScopes...)
	a.do(http.MethodGet, "/v1/webhooks", "", bearer(revoked.whole().Reveal())).is(http.StatusOK)
	a.do(http.MethodDelete, "/v1/keys/"+revoked.uid(), "", header{headerTenant, "acme"}).is(http.StatusNoContent)
	a.registry.keys["key_"+strings.Repeat("a", keyIDLength)] = a.registry.keys[right.uid()] // another's id

	whole := right.whole().Reveal()
	other := newAPIKey()
	swapped := apiKey{id: right.id, secret: other.secret[:keyRandomLength]}
	swapped.secret += keyChecksum(swapped.id, swapped.secret)
	refused := map[string]header{
		"no key": {"Authorization", ""}, "empty": bearer(""), "expired": bearer(expired.whole().Reveal()),
		"expired, Basic": basic(expired.uid(), expired.secret), "revoked": bearer(revoked.whole().Reveal()),
		"not known": bearer(other.whole().Reveal()), "another's secret": bearer(swapped.whole().Reveal()),
		"cut off": bearer(whole[:len(whole)-1]), "longer": bearer(whole + "a"), "another case": bearer(strings.ToUpper(whole)),
		"the id alone": bearer(right.uid()), "the secret alone": bearer(right.secret), "the hash": bearer(right.hashText()),
		"id and hash": basic(right.uid(), right.hashText()), "no secret": basic(right.uid(), ""),
		"another id": basic("key_"+strings.Repeat("a", keyIDLength), right.secret), "whole key as name": basic(whole, "x"),
	}
	accepted := map[string]header{
		"bearer": bearer(whole), "lower-case scheme": {"Authorization", "bearer " + whole}, "id and secret": basic(right.uid(), right.secret),
		"any name": basic("anything", whole), "no name": basic("", whole), "bootstrap": bearer(bootstrapKey),
	}
	for _, r := range a.allRoutes() {
		for name, h := range refused {
			answer := a.ask(r, "nobody", h)
			answer.refused(r, http.StatusUnauthorized)
			require.Len(t, answer.header.Values("WWW-Authenticate"), 2, "%s: %s", r, name)
		}
		for name, h := range accepted {
			require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, a.ask(r, "nobody", h).status, "%s: %s", r, name)
		}
	}
	for _, secret := range []string{expired.secret, revoked.secret, right.secret} {
		require.NotContains(t, a.transcript.String()+a.log.String(), secret)
	}

	// Nobody knows whether a key was revoked when Kafka has not been heard of for a while.
	a.registry.stale = true
	for _, r := range a.allRoutes() {
		answer := a.ask(r, "nobody", bearer(whole))
		answer.refused(r, http.StatusServiceUnavailable)
		require.NotEmpty(t, answer.header.Get("Retry-After"))
		require.NotEqual(t, http.StatusServiceUnavailable, a.ask(r, "nobody").status, "the bootstrap key needs no registry")
	}
}

// theirs fills the stores with what belongs to another tenant, every text of it a canary, and names it all.
func (a *api) theirs(canary string) (names [][]string) {
	a.t.Helper()
	tenant := header{headerTenant, "theirs"}
	for _, n := range []string{"1", "2"} {
		body := strings.ReplaceAll(`{"id": "C", "url": "https://example.com/C", "description": "C", "metadata": {"k": "C"}}`, "C", canary+n)
		uid := a.create(body, tenant)
		name := canary + "in" + n
		a.do(http.MethodPost, "/v1/integrations", `{"name": "`+name+`", "url": "https://example.com/`+canary+`"}`, tenant).is(http.StatusCreated)
		key := a.do(http.MethodPost, "/v1/keys", `{"scopes": ["webhooks:read"], "displayName": "`+canary+`"}`, tenant).is(http.StatusCreated).json()["id"].(string)
		delivery := canary + "dlv" + n
		a.diverted.add("theirs", uid, delivery, &catalog.Event{ID: canary + "ev" + n, Type: "debt.paid", TransactionID: canary + "tx", Tenant: "theirs"})
		job := a.do(http.MethodPost, "/v1/webhooks/"+uid+"/diverted/resend", `{"type": "none"}`, tenant).is(http.StatusAccepted).json()["id"].(string)
		breaker := "w:" + uid
		a.do(http.MethodPost, "/v1/breakers/"+breaker+"/open", `{"reason": "`+canary+`"}`, tenant).is(http.StatusOK)
		for _, one := range []string{uid, canary + n, name, key, job, breaker, delivery, canary + "ev" + n, canary + "tx"} {
			names = append(names, []string{one})
		}
		names = append(names, []string{uid, delivery}, []string{canary + n, delivery})
		for _, d := range a.server.opts.Dialects {
			w := *a.registry.webhooks[uid]
			w.UID, w.Platform, w.ID = catalog.NewUID("wh_"), d.Platform, canary+string(d.Platform)+n
			a.registry.webhooks[w.UID] = &w
			a.diverted.add("theirs", w.UID, delivery, &catalog.Event{ID: canary, Type: "debt.paid", TransactionID: canary + "tx", Tenant: "theirs"})
			names = append(names, []string{w.ID}, []string{w.UID}, []string{w.ID, canary + "tx"}, []string{w.ID, delivery})
		}
	}
	require.NoError(a.t, a.trail.Write(a.t.Context(), entryOf("theirs", canary)))
	require.NoError(a.t, a.trail.Write(a.t.Context(), entryOf("theirs", canary)))
	a.transcript.Reset()
	return names
}

var anyRequest = regexp.MustCompile(`urn:relay:request:[0-9a-f]+`)

// sameAnswer is an answer without its request id and what the request named, which it may repeat.
func sameAnswer(body []byte, named ...string) string {
	text := anyRequest.ReplaceAllString(string(body), "")
	for _, name := range named {
		text = strings.ReplaceAll(text, name, "")
	}
	return text
}

// What belongs to another tenant is not there: whatever names it answers as what names nothing does.
func TestAuthorization_AnotherTenantsIDsAreNotThere(t *testing.T) {
	const canary = "canary77"
	a := newFullAPI(t)
	names := a.theirs(canary)
	ours := bearer(a.registry.grant("acme", allScopes...))
	before := encoded(t, a.registry.webhooks, a.registry.integrations, a.registry.suspensions, a.registry.breakers, a.diverted.events)
	for _, r := range a.allRoutes() {
		if strings.HasSuffix(r.template, "/webhook.json") {
			r.template += "?webhookId={webhookId}" // the one dialect that also names by query
		}
		if !strings.Contains(r.template, "{") {
			continue
		}
		for _, named := range names {
			for _, match := range []string{"", `"1"`, "*"} {
				got := a.askIn(r, named, ours, header{"If-Match", match})
				nobody := a.ask(r, "nobody", ours, header{"If-Match", match})
				require.Equal(t, nobody.status, got.status, "%s of %s: %s", r, named, got.body)
				if got.status >= 300 {
					require.Equal(t, sameAnswer(nobody.body, "nobody"), sameAnswer(got.body, named...), "%s", r)
				}
				if !r.dialect {
					require.Equal(t, http.StatusNotFound, got.status, "%s (does it want a body? then give it one in fitting): %s", r, got.body)
				}
			}
		}
	}
	require.Equal(t, before, encoded(t, a.registry.webhooks, a.registry.integrations, a.registry.suspensions, a.registry.breakers, a.diverted.events))
	require.Len(t, a.registry.keys, 3)
}

// No list shows it, whatever is asked for.
func TestAuthorization_AnotherTenantsAreInNoList(t *testing.T) {
	const canary = "canary77"
	a := newFullAPI(t)
	names := a.theirs(canary)
	ours := bearer(a.registry.grant("acme", allScopes...))
	for _, r := range a.allRoutes() {
		if r.method != http.MethodGet || strings.Contains(r.template, "{") {
			continue
		}
		targets := []string{r.template}
		if op, ok := a.server.document.Operation(r.method, r.template); ok {
			for _, p := range op.Parameters {
				for _, named := range names {
					if p.In == "query" {
						targets = append(targets, r.template+"?"+p.Name+"="+named[0])
					}
				}
			}
		}
		for _, target := range targets {
			answer := a.do(http.MethodGet, target, "", ours)
			require.Less(t, answer.status, 500)
			// A refusal may repeat what it refuses; an answer may not know it.
			if answer.status < 300 {
				require.NotContains(t, string(answer.body), canary, target)
			}
		}
		a.do(http.MethodGet, r.template, "", ours, header{headerTenant, "theirs"}).refused(r, http.StatusForbidden)
	}
}

// Cursors are good for the list, the tenant and the filter that they came from.
func TestAuthorization_CursorsOfOthersAreRefused(t *testing.T) {
	a := newFullAPI(t)
	a.theirs("canary77")
	a.history.since = time.Now()
	a.history.attempts, a.history.rejected = make([]history.Attempt, 2), make([]history.Rejected, 2)
	ours, tenant := bearer(a.registry.grant("acme", allScopes...)), header{headerTenant, "theirs"}
	page := func(r servedRoute, query string, headers ...header) reply {
		r.template += "?" + demanded[r.template] + query
		return a.ask(r, "", headers...)
	}
	cursors := map[servedRoute]string{}
	for _, r := range a.allRoutes() {
		op, ok := a.server.document.Operation(r.method, r.template)
		if !ok || strings.Contains(r.template, "{") {
			continue
		}
		if _, pages := op.Query("cursor"); !pages {
			continue
		}
		cursor, ok := page(r, "&limit=1", tenant).is(http.StatusOK).json()["nextCursor"].(string)
		require.True(t, ok, "%s has one page only: give theirs two of them", r)
		cursors[r] = cursor
	}
	require.Greater(t, len(cursors), 8)
	for own, cursor := range cursors {
		page(own, "&limit=2&cursor="+cursor, tenant).is(http.StatusOK)
		if operatorOnly[own.String()] {
			page(own, "&cursor="+cursor, ours).problem(kindForbidden)
		} else {
			page(own, "&cursor="+cursor, ours).problem(kindBadRequest)
		}
		page(own, "&cursor="+cursor, header{headerTenant, "third"}).problem(kindBadRequest)
		for other := range cursors {
			if other != own {
				page(other, "&cursor="+cursor, tenant).problem(kindBadRequest)
			}
		}
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		require.NoError(t, err)
		for i := range raw {
			forged := slices.Clone(raw)
			forged[i] ^= 1
			page(own, "&cursor="+base64.RawURLEncoding.EncodeToString(forged), tenant).problem(kindBadRequest)
		}
	}
	diverted := page(servedRoute{method: http.MethodGet, template: "/v1/diverted"}, "&limit=1", tenant).json()["nextCursor"].(string)
	a.do(http.MethodGet, "/v1/diverted?type=debt.paid&cursor="+diverted, "", tenant).problem(kindBadRequest)
	for _, junk := range []string{"x", "!", "AAAA", base64.RawURLEncoding.EncodeToString(make([]byte, sealLength))} {
		a.do(http.MethodGet, "/v1/webhooks?cursor="+junk, "").problem(kindBadRequest)
	}
}

// An Idempotency-Key is its tenant's, and references find only what is the tenant's own.
func TestAuthorization_AnotherTenantsKeysAndReferences(t *testing.T) {
	a := newFullAPI(t)
	key := header{"Idempotency-Key", "6f1c"}
	ours, tenant := bearer(a.registry.grant("acme", allScopes...)), header{headerTenant, "theirs"}
	for path, body := range map[string]string{
		"/v1/webhooks": minimal, "/v1/integrations": `{"name": "ops", "url": "https://example.com/"}`, "/v1/keys": `{"scopes": ["webhooks:read"]}`,
	} {
		a.do(http.MethodPost, path, body, key, tenant).is(http.StatusCreated)
		a.do(http.MethodPost, path, body, key, ours).is(http.StatusCreated)
		a.do(http.MethodPost, path, body, key, ours).is(http.StatusOK)
	}
	a.do(http.MethodPost, "/v1/integrations", `{"name": "secret", "url": "https://example.com/"}`, tenant).is(http.StatusCreated)
	for _, field := range []string{`"integration": "%"`, `"url": "https://example.com/", "alert": {"integration": "%"}`} {
		theirs := a.do(http.MethodPost, "/v1/webhooks", "{"+strings.ReplaceAll(field, "%", "secret")+"}", ours)
		nobodys := a.do(http.MethodPost, "/v1/webhooks", "{"+strings.ReplaceAll(field, "%", "nobody")+"}", ours)
		require.Equal(t, http.StatusUnprocessableEntity, theirs.status)
		require.Equal(t, sameAnswer(nobodys.body, "nobody"), sameAnswer(theirs.body, "secret"))
	}
}

func TestServer_RefusesRoutesThatNoKeyCanUse(t *testing.T) {
	defer func(was []route) { routes = was }(routes)
	for _, s := range []scope{"", "webhooks:everything"} {
		routes = []route{{http.MethodGet, "/v1/webhooks", s, (*Server).listWebhooks}}
		require.Panics(t, func() { New(Options{Registry: newFakeRegistry(), Diverted: &fakeDiverted{}}) })
	}
}

func TestServer_OversizeHeadersAreRefused(t *testing.T) {
	a := newAPI(t)
	front := httptest.NewUnstartedServer(nil)
	front.Config = NewHTTPServer(a.handler, a.server.log)
	front.Start()
	defer front.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+"/v1/webhooks", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("X-Large", strings.Repeat("a", 2*maxHeaderBytes))
	resp, err := front.Client().Do(request)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
}
