package admin

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/admin/dialect"
	"eventrelay/relay/divert"
	"eventrelay/relay/registry"
)

// handler is what a route of the dialect under test does.
type handler func(context.Context, *dialect.Call) (dialect.Reply, error)

// newDialectAPI serves a dialect under /minimal whose every route is h, and one that no key has the scope for.
func newDialectAPI(t *testing.T, h handler, options ...func(*Options)) *api {
	d := dialect.Dialect{Platform: "minimal", Routes: []dialect.Route{
		{Method: http.MethodGet, Path: "/things", Scope: dialect.WebhooksRead, Handle: h},
		{Method: http.MethodPut, Path: "/things/{id}", Scope: dialect.WebhooksWrite, Handle: h},
		{Method: http.MethodGet, Path: "/2026-02-01/things/{id}.json", Scope: dialect.WebhooksRead, Handle: h},
		{Method: http.MethodGet, Path: "/forbidden", Scope: "nobody:has", Handle: h},
		{Method: http.MethodGet, Path: "/scopeless", Handle: h},
	}}
	return newAPI(t, append(options, func(o *Options) { o.Dialects = []dialect.Dialect{d} })...)
}

// dialectError demands a status and the form of a dialect's errors, and returns the text.
func (a *api) dialectError(status int, method, target, body string, headers ...header) string {
	a.t.Helper()
	answer := a.do(method, target, body, headers...)
	require.Equal(a.t, status, answer.status, "%s", answer.body)
	require.Equal(a.t, mediaJSON, answer.header.Get("Content-Type"))
	require.Len(a.t, answer.json(), 1)
	return answer.json()["error"].(string)
}

func TestDialect_GetsTheRequestAndAnswers(t *testing.T) {
	var got *dialect.Call
	a := newDialectAPI(t, func(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
		_, bounded := ctx.Deadline()
		require.True(t, bounded)
		got = c
		return dialect.Reply{Status: http.StatusAccepted, Body: map[string]string{"a": "<&>"}, Header: http.Header{"X-Own": {"v"}}}, nil
	})
	answer := a.do(http.MethodPut, "/minimal/things/a%2Fb%20%25?x=1&x=2", `{"b":1}`, header{"Relay-Tenant", "acme"})
	require.Equal(t, http.StatusAccepted, answer.status)
	require.Equal(t, `{"a":"<&>"}`, string(answer.body))
	require.Equal(t, "v", answer.header.Get("X-Own"))
	require.Equal(t, "acme", got.Tenant)
	require.Equal(t, map[string]string{"id": "a/b %"}, got.Params)
	require.Equal(t, []string{"1", "2"}, got.Query["x"])
	require.Equal(t, `{"b":1}`, string(got.Body))

	a.do(http.MethodGet, "/minimal/2026-02-01/things/a.b.json", "").is(http.StatusAccepted)
	require.Equal(t, map[string]string{"id": "a.b"}, got.Params)
	for _, path := range []string{"/minimal/2026-02-01/things/a", "/minimal/2026-02-01/things/.json", "/minimal/2026-02-01/things/a.json/b", "/minimal/things/", "/minimal"} {
		require.NotContains(t, a.dialectError(http.StatusNotFound, http.MethodGet, path, ""), "openapi")
	}
	require.Contains(t, a.log.String(), `"tenant":"acme"`)
	families, err := a.metrics.Gather()
	require.NoError(t, err)
	labels := ""
	for _, f := range families {
		labels += f.String()
	}
	require.Contains(t, labels, "/minimal/things/{id}")
	require.NotContains(t, labels, "a.b")
}

func TestDialect_ErrorsOfTheServer(t *testing.T) {
	fail := error(nil)
	a := newDialectAPI(t, func(context.Context, *dialect.Call) (dialect.Reply, error) { return dialect.Reply{}, fail })
	a.do(http.MethodGet, "/minimal/things", "").is(http.StatusOK)
	for _, path := range []string{"/minimal/forbidden", "/minimal/scopeless"} {
		a.dialectError(http.StatusForbidden, http.MethodGet, path, "")
	}
	a.dialectError(http.StatusUnauthorized, http.MethodGet, "/minimal/things", "", header{"Authorization", ""})
	a.dialectError(http.StatusMethodNotAllowed, http.MethodDelete, "/minimal/things", "")
	a.dialectError(http.StatusRequestEntityTooLarge, http.MethodPut, "/minimal/things/x", strings.Repeat(" ", maxBodyBytes+1))
	a.dialectError(http.StatusUnsupportedMediaType, http.MethodPut, "/minimal/things/x", "a=b", header{"Content-Type", "application/x-www-form-urlencoded"})
	tests := []struct {
		err    error
		status int
		text   string
	}{
		{dialect.Refuse(http.StatusTeapot, "own %s", "words"), http.StatusTeapot, "own words"},
		{registry.ErrNotFound, http.StatusNotFound, "Not found"},
		{registry.ErrExists, http.StatusConflict, "Already exists: choose another id or name"},
		{divert.ErrIndexBehind, http.StatusServiceUnavailable, ""},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, ""},
	}
	for _, tt := range tests {
		fail = tt.err
		text := a.dialectError(tt.status, http.MethodGet, "/minimal/things", "")
		if tt.text != "" {
			require.Equal(t, tt.text, text)
		}
		retryAfter := a.do(http.MethodGet, "/minimal/things", "").header.Get("Retry-After")
		require.Equal(t, tt.status == http.StatusServiceUnavailable, retryAfter != "", "%v", tt.err)
	}
}

func TestDialect_PanicIsItsOwn(t *testing.T) {
	a := newDialectAPI(t, func(context.Context, *dialect.Call) (dialect.Reply, error) { panic("secret detail") })
	require.NotContains(t, a.dialectError(http.StatusInternalServerError, http.MethodGet, "/minimal/things", ""), "secret")
	require.Contains(t, a.log.String(), "secret detail")
}

// A store that does not answer ends the call when the server says so.
func TestDialect_TimeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDialectAPI(t, func(ctx context.Context, _ *dialect.Call) (dialect.Reply, error) {
			<-ctx.Done()
			return dialect.Reply{}, context.Cause(ctx)
		}, func(o *Options) { o.WriteTimeout = time.Minute })
		started := time.Now()
		a.dialectError(http.StatusServiceUnavailable, http.MethodGet, "/minimal/things", "")
		require.Equal(t, time.Minute, time.Since(started))
	})
}
