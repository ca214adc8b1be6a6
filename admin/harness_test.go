package admin

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"eventrelay/admin/openapi"
	"eventrelay/catalog"
)

const bootstrapKey = "test-key-0123456789abcdef"

// api is a Server on fakes. Every answer that passes through it is checked against the document.
type api struct {
	t          testing.TB
	server     *Server
	handler    http.Handler
	registry   *fakeRegistry
	diverted   *fakeDiverted
	history    *fakeHistory
	tester     *fakeTester
	jobs       *fakeJobs
	trail      *fakeTrail
	breakers   *fakeBreakers
	metrics    *prometheus.Registry
	log        *bytes.Buffer // written by requests, which the tests make one at a time
	transcript bytes.Buffer  // of all answers, headers included
}

func newAPI(t testing.TB, options ...func(*Options)) *api {
	a := &api{t: t, registry: newFakeRegistry(), jobs: newFakeJobs(), breakers: &fakeBreakers{}, history: &fakeHistory{}, tester: &fakeTester{}, trail: &fakeTrail{}, metrics: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	a.diverted = &fakeDiverted{jobs: a.jobs}
	o := Options{
		Registry: a.registry, Diverted: a.diverted, Jobs: a.jobs, Breakers: a.breakers, Audit: a.trail, Attempts: a.history, Records: a.history, Tester: a.tester, PublicKey: onlyDefaultHasKey, BootstrapKey: catalog.NewSecret(bootstrapKey), Registerer: a.metrics,
		Log: slog.New(slog.NewJSONHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Rate: -1,
	}
	for _, option := range options {
		option(&o)
	}
	a.server = New(o)
	a.handler = a.server.Handler()
	return a
}

// reply is an answer that satisfied the document.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// header is an option of do.
type header struct{ name, value string }

func (a *api) do(method, target, body string, headers ...header) reply {
	a.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	r.Header.Set("Authorization", "Bearer "+bootstrapKey)
	if body != "" {
		r.Header.Set("Content-Type", mediaJSON)
	}
	for _, h := range headers {
		if h.value == "" {
			r.Header.Del(h.name)
			continue
		}
		r.Header.Set(h.name, h.value)
	}
	return a.serve(r)
}

func (a *api) serve(r *http.Request) reply {
	a.t.Helper()
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	answer := reply{t: a.t, status: w.Code, header: w.Header(), body: w.Body.Bytes()}
	_ = w.Header().Write(&a.transcript)
	a.transcript.Write(answer.body)
	a.conforms(r, answer)
	return answer
}

// conforms checks an answer against what the document says of the operation; of a path that is not documented, that
// it is a problem. What a dialect answers is not the document's.
func (a *api) conforms(r *http.Request, answer reply) {
	a.t.Helper()
	require.NotEmpty(a.t, answer.header.Get("X-Request-Id"))
	if a.server.inDialect(r.URL.Path) {
		return
	}
	response, documented := a.server.documentedResponse(r, answer.status)
	if !documented {
		op, ok := a.server.document.Operation(http.MethodGet, "/v1/webhooks")
		require.True(a.t, ok)
		require.GreaterOrEqual(a.t, answer.status, 400, "%s %s is not documented to answer so", r.Method, r.URL)
		response = op.Responses["default"]
	}
	for _, name := range response.Headers {
		require.NotEmpty(a.t, answer.header.Get(name), "header %s", name)
	}
	if len(response.Content) == 0 {
		require.Empty(a.t, answer.body)
		return
	}
	mediaType, _, err := mime.ParseMediaType(answer.header.Get("Content-Type"))
	require.NoError(a.t, err)
	schema, ok := response.Content[mediaType]
	require.True(a.t, ok, "%s %s answered %d as %s", r.Method, r.URL, answer.status, mediaType)
	if !strings.HasSuffix(mediaType, "json") {
		return
	}
	value, err := openapi.Decode(answer.body)
	require.NoError(a.t, err)
	require.Empty(a.t, schema.Check(value), "%s %s answered %d %s", r.Method, r.URL, answer.status, answer.body)
}

// documentedResponse finds what the document says of a status of the operation that a request is for.
func (s *Server) documentedResponse(r *http.Request, status int) (openapi.Response, bool) {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for _, op := range s.document.Operations() {
		templated := strings.Split(op.Path, "/")
		if op.Method != r.Method || len(templated) != len(segments) {
			continue
		}
		match := true
		for i, part := range templated {
			match = match && (strings.HasPrefix(part, "{") || part == segments[i])
		}
		if match {
			return op.Response(status)
		}
	}
	return openapi.Response{}, false
}

// is demands a status and returns the reply.
func (r reply) is(status int) reply {
	r.t.Helper()
	require.Equal(r.t, status, r.status, "%s", r.body)
	return r
}

// problem demands a kind of problem and returns its body.
func (r reply) problem(k kind) problemJSON {
	r.t.Helper()
	require.Equal(r.t, kinds[k].status, r.status, "%s", r.body)
	var p problemJSON
	require.NoError(r.t, json.Unmarshal(r.body, &p))
	require.Equal(r.t, problemTypePrefix+string(k), p.Type)
	require.Equal(r.t, r.status, p.Status)
	return p
}

// json decodes the body.
func (r reply) json() map[string]any {
	r.t.Helper()
	var v map[string]any
	require.NoError(r.t, json.Unmarshal(r.body, &v), "%s", r.body)
	return v
}

// fields are the names in a problem's errors.
func (p problemJSON) fields() []string {
	var names []string
	for _, e := range p.Errors {
		names = append(names, e.Field)
	}
	return names
}

// create makes a webhook and returns its uid.
func (a *api) create(body string, headers ...header) string {
	a.t.Helper()
	return a.do(http.MethodPost, "/v1/webhooks", body, headers...).is(http.StatusCreated).json()["uid"].(string)
}
