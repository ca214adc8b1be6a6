package admin

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/admin/openapi"
	"eventrelay/catalog"
)

func TestRoutes_AreTheDocument(t *testing.T) {
	document, err := openapi.Parse(documentYAML)
	require.NoError(t, err)
	var documented, routed []string
	ids := map[string]bool{}
	for _, op := range document.Operations() {
		documented = append(documented, op.Method+" "+op.Path)
		require.False(t, ids[op.ID], "operationId %s occurs twice", op.ID)
		ids[op.ID] = true
	}
	for _, r := range routes {
		routed = append(routed, r.method+" "+r.path)
		require.NotEmpty(t, r.scope, "%s %s", r.method, r.path)
	}
	require.ElementsMatch(t, documented, routed)

	a := newAPI(t)
	for _, r := range a.server.echo.Routes() {
		path := r.Path
		for _, name := range []string{"id", "deliveryId", "name", "endpoint"} {
			path = strings.ReplaceAll(path, ":"+name, "{"+name+"}")
		}
		require.Contains(t, documented, r.Method+" "+path)
	}
}

// everyRoute calls f with a request for each route of the table.
func everyRoute(f func(r route, request *http.Request)) {
	for _, r := range routes {
		path := strings.NewReplacer("{id}", "some", "{deliveryId}", "dlv_1", "{name}", "some", "{endpoint}", "w:some").Replace(r.path)
		f(r, httptest.NewRequest(r.method, path, nil))
	}
}

func TestAuth_EveryRouteNeedsTheKey(t *testing.T) {
	basic := func(user, password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	refused := []string{
		"", "Bearer", "Bearer ", "Bearer wrong", "Bearer " + bootstrapKey + "x", "Bearer " + bootstrapKey[:5], bootstrapKey,
		basic(bootstrapKey, ""), basic("any", "wrong"), "Basic !!!", "Digest " + bootstrapKey,
	}
	accepted := []string{"Bearer " + bootstrapKey, "bearer " + bootstrapKey, basic("", bootstrapKey), basic("any", bootstrapKey)}
	a := newAPI(t)
	everyRoute(func(r route, request *http.Request) {
		for _, authorization := range refused {
			request.Header.Set("Authorization", authorization)
			answer := a.serve(request)
			if r.scope == scopePublic {
				answer.is(http.StatusOK)
				continue
			}
			answer.problem(kindUnauthenticated)
			require.Len(t, answer.header.Values("WWW-Authenticate"), 2)
		}
		for _, authorization := range accepted {
			request.Header.Set("Authorization", authorization)
			require.NotEqual(t, http.StatusUnauthorized, a.serve(request).status, "%s %s", r.method, r.path)
		}
	})
}

func TestAuth_WithoutBootstrapKeyNobodyGetsIn(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.BootstrapKey = catalog.Secret{} })
	for _, key := range []string{"", "Bearer ", "Bearer x", "Basic Og=="} {
		a.do(http.MethodGet, "/v1/webhooks", "", header{"Authorization", key}).problem(kindUnauthenticated)
	}
}

func TestPrincipal_MayOnlyWhatItsScopesSay(t *testing.T) {
	for _, held := range allScopes {
		p := principal{Name: "k", Scopes: []scope{held}}
		for _, r := range routes {
			require.Equal(t, r.scope == held, p.may(r.scope), "%s with %s", r.path, held)
		}
		require.False(t, p.may(""), "a route without a scope is open to nobody")
	}
}

func TestTenantOf(t *testing.T) {
	tests := []struct {
		name, bound, header, want string
		refused                   kind
	}{
		{"unbound, silent", "", "", catalog.DefaultTenant, ""},
		{"unbound, chooses", "", "acme", "acme", ""},
		{"bound, silent", "acme", "", "acme", ""},
		{"bound, says so", "acme", "acme", "acme", ""},
		{"bound, chooses another", "acme", "other", "", kindForbidden},
		{"slash", "", "a/b", "", kindBadRequest},
		{"wildcard", "", "*", "", kindBadRequest},
		{"too long", "", strings.Repeat("a", 129), "", kindBadRequest},
		{"longest", "", strings.Repeat("a", 128), strings.Repeat("a", 128), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tenantOf(principal{Tenant: tt.bound}, tt.header)
			if tt.refused != "" {
				require.Equal(t, tt.refused, asProblem(err).kind)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestRouter_UnknownPathsAndMethods(t *testing.T) {
	a := newAPI(t)
	for _, path := range []string{"/", "/v1", "/v1/nothing", "/v1/webhooks/", "/v1/webhooks/x/y", "/openapi.yaml"} {
		require.Equal(t, http.StatusNotFound, a.do(http.MethodGet, path, "").status, path)
	}
	a.do(http.MethodPost, "/v1/webhooks//suspend", "").problem(kindNotFound)
	for _, method := range []string{http.MethodTrace, http.MethodHead, "PURGE"} {
		answer := a.do(method, "/v1/webhooks", "")
		require.Equal(t, http.StatusMethodNotAllowed, answer.status, method)
		require.Contains(t, answer.header.Get("Allow"), "GET")
		require.Contains(t, answer.header.Get("Allow"), "POST")
	}
}

func TestDocument_IsServed(t *testing.T) {
	a := newAPI(t)
	answer := a.do(http.MethodGet, "/openapi.json", "", header{"Authorization", ""}).is(http.StatusOK)
	require.Equal(t, "3.1.0", answer.json()["openapi"])
	require.Contains(t, answer.json()["paths"], "/v1/webhooks/{id}")
}

func TestGetReference(t *testing.T) {
	a := newAPI(t)
	answer := a.do(http.MethodGet, "/docs", "", header{"Authorization", ""}).is(http.StatusOK)
	require.Equal(t, "text/html; charset=utf-8", answer.header.Get("Content-Type"))
	require.Contains(t, answer.header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, string(answer.body), "/v1/webhooks/{id}/unsuspend")
}
