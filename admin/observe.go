package admin

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Keys of what a request carries from one middleware to another.
const (
	contextRequestID = "relay_request_id"
	contextPrincipal = "relay_principal"
	contextTenant    = "relay_tenant"
)

// unmatched is the route label of requests for which there is no route.
const unmatched = "unmatched"

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	factory := promauto.With(registerer)
	return &metrics{
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_admin_requests_total", Help: "Requests to the admin API by method, route and class of status.",
		}, []string{"method", "route", "status"}),
		seconds: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: "relay_admin_request_seconds", Help: "Time to answer a request to the admin API.",
			// From reads of the snapshot (under 1 ms) to a write that waits out a broker (10 s).
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
	}
}

// observe is the outermost middleware: whatever happens inside, the request gets an id, an answer, a line in the log
// and its place in the metrics.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		c.Set(contextRequestID, newRequestID(c.Request().Header.Get(echo.HeaderXRequestID)))
		header := c.Response().Header()
		header.Set(echo.HeaderXRequestID, requestID(c))
		header.Set(echo.HeaderXContentTypeOptions, "nosniff")
		header.Set("Cache-Control", "no-store")
		if err := s.recovered(next, c); err != nil {
			s.answerError(err, c)
		}
		s.record(c, time.Since(started))
		return nil
	}
}

// recovered runs the handler and makes an error of a panic. http.ErrAbortHandler is meant to pass.
func (s *Server) recovered(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case http.ErrAbortHandler:
			panic(r)
		default:
			s.log.Error("request_panicked", "request_id", requestID(c), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = newProblem(kindInternal, "the log has the cause under this request id")
		}
	}()
	return next(c)
}

// record counts and logs one request. The query is left out: it may hold what a client pasted into it.
func (s *Server) record(c echo.Context, took time.Duration) {
	method, route := s.routeLabels(c)
	status := c.Response().Status
	s.metrics.requests.WithLabelValues(method, route, fmt.Sprintf("%dxx", status/100)).Inc()
	s.metrics.seconds.WithLabelValues(method, route).Observe(took.Seconds())
	level := slog.LevelInfo
	if method == http.MethodGet && status < http.StatusBadRequest {
		level = slog.LevelDebug
	}
	principal, _ := c.Get(contextPrincipal).(string)
	tenant, _ := c.Get(contextTenant).(string)
	s.log.Log(c.Request().Context(), level, "request", "request_id", requestID(c), "method", c.Request().Method,
		"path", c.Request().URL.EscapedPath(), "status", status, "duration_ms", took.Milliseconds(), "bytes", c.Response().Size,
		"key", principal, "tenant", tenant, "remote", c.RealIP())
}

// routeLabels are method and template of the route, so that no client can make up new ones.
func (s *Server) routeLabels(c echo.Context) (method, route string) {
	if template, ok := s.templates[c.Request().Method+" "+c.Path()]; ok {
		return c.Request().Method, template
	}
	return unmatched, unmatched
}

// harmlessID is the form of request ids that are taken over from a client, so that its log and ours can be joined.
var harmlessID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func newRequestID(sent string) string {
	if harmlessID.MatchString(sent) {
		return sent
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func requestID(c echo.Context) string {
	id, _ := c.Get(contextRequestID).(string)
	return id
}
