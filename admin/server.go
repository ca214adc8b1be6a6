package admin

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"eventrelay/admin/dialect"
	"eventrelay/admin/openapi"
	"eventrelay/catalog"
	"eventrelay/relay/divert"
	"eventrelay/relay/jobs"
	"eventrelay/relay/registry"
)

//go:embed openapi.yaml
var documentYAML []byte

// embedded is the document, parsed once per process; it is immutable.
var embedded = sync.OnceValues(func() (*openapi.Document, error) { return openapi.Parse(documentYAML) })

// Registry is what the API needs of the registry. Reads are answered from its snapshot; a write returns after it is
// durable and visible to the reads of this instance.
type Registry interface {
	Keys
	Find(tenant, idOrUID string) (registry.View, error)
	MadeBy(tenant, request string) (registry.View, bool)
	List(tenant, after string, limit int) (page []registry.View, next string)
	Select(tenant, after string, limit int, keep func(registry.View) bool) (page []registry.View, next string)
	CreateWebhook(ctx context.Context, w *catalog.Webhook) (registry.View, error)
	UpdateWebhook(ctx context.Context, tenant, uid string, ifRevision int64, edit func(*catalog.Webhook) error) (registry.View, error)
	DeleteWebhook(ctx context.Context, tenant, uid string, ifRevision int64) error
	Suspend(ctx context.Context, uid, reason, lastFailure string) (*catalog.Suspension, error)
	Unsuspend(ctx context.Context, tenant, uid string, resend bool) (registry.View, error)
	Integration(tenant, name string) (*catalog.Integration, bool)
	Integrations(tenant, after string, limit int) (page []*catalog.Integration, next string)
	PutIntegration(ctx context.Context, in *catalog.Integration, ifRevision int64) (*catalog.Integration, error)
	DeleteIntegration(ctx context.Context, tenant, name string, ifRevision int64) error
	ForceBreaker(ctx context.Context, tenant, endpoint string, state catalog.BreakerState, reason string) (*catalog.ForcedBreaker, error)
	ResetBreaker(ctx context.Context, tenant, endpoint string) error
	ForcedBreakers(tenant string) []*catalog.ForcedBreaker
}

// Breakers is what the instances know of their breakers. complete is false when some are missing from the list.
type Breakers interface {
	List(ctx context.Context) (list []catalog.BreakerStatus, complete bool)
}

// Diverted is what the API needs of the divert store.
type Diverted interface {
	List(ctx context.Context, q divert.Query) (divert.Page, error)
	Get(ctx context.Context, tenant, uid, deliveryID string) (divert.Detail, error)
	Delete(ctx context.Context, tenant, uid, deliveryID string) error
	ResendOne(ctx context.Context, tenant, uid, deliveryID string) (divert.Entry, error)
	Start(ctx context.Context, b divert.Bulk) (jobs.Job, error)
	Count(ctx context.Context, tenant string, selection jobs.Selection) (int64, error)
}

// Jobs is what the API needs of the jobs.
type Jobs interface {
	List(ctx context.Context, q jobs.Query) (jobs.Page, error)
	Get(ctx context.Context, tenant, id string) (jobs.Job, error)
	Cancel(ctx context.Context, tenant, id string) (jobs.Job, error)
}

// Options of a Server. Registry, Diverted, Jobs, Attempts, Records, Tester and Audit are required.
type Options struct {
	Registry Registry
	Diverted Diverted
	Jobs     Jobs
	Attempts Attempts
	Records  Records
	Tester   Tester
	// Audit is the trail; without one nothing is done that must leave an entry in it.
	Audit Audit
	// Breakers of all instances; nil: only what operators forced is listed.
	Breakers Breakers
	// Rules are what webhooks and integrations are validated against. KnownIntegration is set by the server, per
	// tenant.
	Rules catalog.Rules
	// PublicKey gives a tenant's public key as PEM; nil: no tenant has one.
	PublicKey func(tenant string) (pem string, ok bool)
	// Dialects are the platforms' own APIs, served beside /v1.
	Dialects []dialect.Dialect
	// BootstrapKey may do everything for every tenant. Empty: nobody gets in.
	BootstrapKey catalog.Secret
	// TrustedProxies are the networks of proxies whose X-Forwarded-For is believed. Without any, the address that a
	// connection comes from is the client's: the header is whatever a client writes into it.
	TrustedProxies []netip.Prefix
	// Log gets one line per request; default none.
	Log *slog.Logger
	// Registerer of the metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer
	// Rate is how many requests per second one key, or one address, may make, Burst how many at once. Default 200
	// and 400; a negative Rate means no limit.
	Rate  float64
	Burst int
	// WriteTimeout bounds how long a request waits for Kafka. Default 10 s.
	WriteTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Audit == nil {
		o.Audit = noTrail{}
	}
	if o.Rate == 0 {
		o.Rate = 200
	}
	if o.Burst == 0 {
		o.Burst = 400
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 10 * time.Second
	}
	return o
}

// Server is the admin API. It is safe for concurrent use and has nothing to close.
type Server struct {
	opts     Options
	log      *slog.Logger
	document *openapi.Document
	keys     authenticator
	limits   *limiter
	tests    *testLimits
	scans    chan struct{} // holds a token for each scan of a topic that is under way
	metrics  *metrics
	echo     *echo.Echo
	// templates of the routes, by method and router's path; complete before the first request.
	templates map[string]string
	// cursorKey is what cursors are sealed with.
	cursorKey []byte

	webhookInput, integrationInput *openapi.Schema

	// asyncDocument is written when it is first asked for.
	asyncDocument func() []byte
}

// New builds the API. It panics where the route table and the embedded document disagree, which no configuration
// can cause.
func New(o Options) *Server {
	o = o.withDefaults()
	document, err := embedded()
	if err != nil {
		panic("admin: " + err.Error())
	}
	s := &Server{
		opts: o, log: o.Log.With("component", "admin"), document: document, keys: newAuthenticator(o.BootstrapKey, o.Registry),
		limits: newLimiter(o.Rate, o.Burst), tests: newTestLimits(), scans: make(chan struct{}, maxScans), metrics: newMetrics(o.Registerer),
		templates: make(map[string]string), cursorKey: cursorKey(o.BootstrapKey),

		asyncDocument: sync.OnceValue(func() []byte { return asyncDocument(catalog.EventTypes()) }),
	}
	s.webhookInput = bodySchema(document, http.MethodPost, "/v1/webhooks")
	s.integrationInput = bodySchema(document, http.MethodPost, "/v1/integrations")
	s.echo = s.router()
	return s
}

func bodySchema(document *openapi.Document, method, path string) *openapi.Schema {
	op, ok := document.Operation(method, path)
	if !ok {
		panic("admin: no operation " + method + " " + path)
	}
	return op.Body.Content[mediaJSON]
}

// Handler serves the API.
func (s *Server) Handler() http.Handler { return s.echo }

// writeContext bounds a write: the wait names itself when it ends.
func (s *Server) writeContext(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(c.Request().Context(), s.opts.WriteTimeout, errStoreTimeout)
}

// rules are the validation rules for a tenant's webhooks.
func (s *Server) rules(tenant string) catalog.Rules {
	rules := s.opts.Rules
	rules.KnownIntegration = func(name string) bool {
		_, ok := s.opts.Registry.Integration(tenant, name)
		return ok
	}
	return rules
}

// Limits of a connection. A request body is at most 1 MiB, so 30 s suffice at 300 kbit/s; an answer waits at most for
// a write and may then be a page of 200 webhooks.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	// maxHeaderBytes holds every documented parameter at its bound, percent-encoded twelvefold as four-byte characters
	// are, so that a value which is too long is refused by name.
	maxHeaderBytes = 64 << 10
)

// NewHTTPServer wraps a handler of this package with the limits that a server exposed to clients needs. The caller
// listens and shuts down.
func NewHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
