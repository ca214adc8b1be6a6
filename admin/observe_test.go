package admin

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestObserve_PanicsAreAnswered(t *testing.T) {
	a := newAPI(t)
	a.registry.beforeWrite = func() { panic("secret of the heap") }
	answer := a.do(http.MethodPost, "/v1/webhooks", minimal, header{"X-Request-Id", "join-me"})
	p := answer.problem(kindInternal)
	require.Equal(t, "urn:relay:request:join-me", p.Instance)
	require.NotContains(t, string(answer.body), "heap")
	require.Contains(t, a.log.String(), "secret of the heap")
	a.registry.beforeWrite = nil
	a.do(http.MethodPost, "/v1/webhooks", minimal).is(http.StatusCreated)
}

func TestObserve_RequestIDs(t *testing.T) {
	a := newAPI(t)
	require.Equal(t, "abc-1", a.do(http.MethodGet, "/v1/webhooks", "", header{"X-Request-Id", "abc-1"}).header.Get("X-Request-Id"))
	require.Len(t, a.do(http.MethodGet, "/v1/webhooks", "", header{"X-Request-Id", "a\"}\n"}).header.Get("X-Request-Id"), 24)
}

func TestObserve_MetricsAreBounded(t *testing.T) {
	a := newAPI(t)
	uid := a.create(minimal)
	for range 3 {
		a.do(http.MethodGet, "/v1/webhooks/"+uid, "").is(http.StatusOK)
	}
	for _, path := range []string{"/v1/a", "/v1/b", "/c", "/v1/webhooks/x/y/z"} {
		a.do(http.MethodGet, path, "").problem(kindNotFound)
	}
	for _, method := range []string{"PURGE", "MKCOL"} {
		a.do(method, "/v1/webhooks", "").problem(kindMethodNotAllowed)
	}
	families, err := a.metrics.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "relay_admin_requests_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			got[strings.Join(labels, " ")] = m.GetCounter().GetValue()
		}
	}
	require.Equal(t, map[string]float64{
		"GET /v1/webhooks/{id} 2xx": 3, "POST /v1/webhooks 2xx": 1, "unmatched unmatched 4xx": 6,
	}, got)
}

func TestAsProblem(t *testing.T) {
	require.Equal(t, kindNotFound, asProblem(echo.ErrNotFound).kind)
	require.Equal(t, kindInternal, asProblem(echo.ErrTeapot).kind)
	require.Equal(t, kindInternal, asProblem(errors.New("x")).kind)
	for k, meta := range kinds {
		require.NotEmpty(t, meta.title, k)
		require.GreaterOrEqual(t, meta.status, 400, k)
	}
}

func TestLimiter(t *testing.T) {
	a := newAPI(t, func(o *Options) { o.Rate, o.Burst = 0.5, 2 })
	a.do(http.MethodGet, "/v1/webhooks", "").is(http.StatusOK)
	a.do(http.MethodGet, "/v1/webhooks", "", header{"Authorization", ""}).problem(kindUnauthenticated)
	limited := a.do(http.MethodGet, "/v1/webhooks", "")
	limited.problem(kindRateLimited)
	require.Equal(t, "2", limited.header.Get("Retry-After"))

	// Another address has a bucket of its own, and the key's is another one again.
	r := httptest.NewRequest(http.MethodGet, "/v1/webhooks", nil)
	r.RemoteAddr = "198.51.100.7:1"
	r.Header.Set("Authorization", "Bearer "+bootstrapKey)
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	a.serve(r).is(http.StatusOK)
	a.serve(r).problem(kindRateLimited)
}

func TestLimiter_ForgetsTheLeastRecent(t *testing.T) {
	l := newLimiter(1, 1)
	for i := range maxBuckets + 10 {
		require.NoError(t, l.allow(time.Duration(i).String()))
		require.Error(t, l.allow(time.Duration(i).String()))
	}
	require.Len(t, l.buckets, maxBuckets)
	require.Equal(t, maxBuckets, l.recent.Len())
	require.NoError(t, l.allow("0s"), "forgotten")
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "::ffff:192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "": "", "junk": "junk",
	} {
		require.Equal(t, want, network(address))
	}
}

func TestOpsHandler(t *testing.T) {
	gatherer := prometheus.NewRegistry()
	gatherer.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "relay_test_total", Help: "x"}))
	checks := []Check{{Name: "kafka", OK: true}, {Name: "registry", WaitsFor: "the snapshot to be complete"}}
	handler := OpsHandler(func() []Check { return checks }, gatherer)
	get := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	require.Equal(t, http.StatusOK, get(http.MethodGet, "/healthz").Code)
	w := get(http.MethodGet, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.JSONEq(t, `{"ready": false, "checks": [{"name": "kafka", "ok": true}, {"name": "registry", "ok": false, "waitsFor": "the snapshot to be complete"}]}`, w.Body.String())
	checks = []Check{{Name: "kafka", OK: true}}
	require.Equal(t, http.StatusOK, get(http.MethodGet, "/readyz").Code)
	require.Contains(t, get(http.MethodGet, "/metrics").Body.String(), "relay_test_total 0")
	require.Equal(t, http.StatusNotFound, get(http.MethodGet, "/debug/pprof").Code)
	require.Equal(t, http.StatusMethodNotAllowed, get(http.MethodPost, "/healthz").Code)
}

func TestNewHTTPServer_HasLimits(t *testing.T) {
	s := NewHTTPServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	require.Equal(t, 5*time.Second, s.ReadHeaderTimeout)
	require.Equal(t, 64<<10, s.MaxHeaderBytes)
	require.NotZero(t, s.ReadTimeout)
	require.NotZero(t, s.WriteTimeout)
	require.NotZero(t, s.IdleTimeout)
}
