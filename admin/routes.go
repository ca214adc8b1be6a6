package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"eventrelay/admin/openapi"
	"eventrelay/admin/reference"
)

// call is one authenticated request of a handler.
type call struct {
	echo.Context
	op        *openapi.Operation
	principal principal
	tenant    string
	cursorKey []byte
}

// route is one row of the route table. Paths are the document's.
type route struct {
	method, path string
	scope        scope
	handle       func(*Server, *call) error
}

var routes = []route{
	{http.MethodGet, "/v1/webhooks", scopeWebhooksRead, (*Server).listWebhooks},
	{http.MethodPost, "/v1/webhooks", scopeWebhooksWrite, (*Server).createWebhook},
	{http.MethodGet, "/v1/webhooks/{id}", scopeWebhooksRead, (*Server).getWebhook},
	{http.MethodPut, "/v1/webhooks/{id}", scopeWebhooksWrite, (*Server).replaceWebhook},
	{http.MethodPatch, "/v1/webhooks/{id}", scopeWebhooksWrite, (*Server).editWebhook},
	{http.MethodDelete, "/v1/webhooks/{id}", scopeWebhooksWrite, (*Server).deleteWebhook},
	{http.MethodPost, "/v1/webhooks/{id}/suspend", scopeWebhooksWrite, (*Server).suspendWebhook},
	{http.MethodPost, "/v1/webhooks/{id}/unsuspend", scopeWebhooksWrite, (*Server).unsuspendWebhook},
	{http.MethodPost, "/v1/webhooks/{id}/test", scopeWebhooksWrite, (*Server).testWebhook},
	{http.MethodPost, "/v1/webhooks/{id}/rotate-secret", scopeWebhooksWrite, (*Server).rotateSecret},
	{http.MethodGet, "/v1/webhooks/{id}/attempts", scopeWebhooksRead, (*Server).listAttempts},
	{http.MethodGet, "/v1/webhooks/{id}/stats", scopeWebhooksRead, (*Server).getStats},
	{http.MethodGet, "/v1/attempts", scopeWebhooksRead, (*Server).findAttempts},
	{http.MethodGet, "/v1/rejected", scopeDivertedRead, (*Server).listRejected},
	{http.MethodPost, "/v1/match", scopeWebhooksRead, (*Server).explainMatch},
	{http.MethodGet, "/v1/webhooks/{id}/diverted", scopeDivertedRead, (*Server).listWebhookDiverted},
	{http.MethodDelete, "/v1/webhooks/{id}/diverted", scopeDivertedWrite, (*Server).deleteManyDiverted},
	{http.MethodPost, "/v1/webhooks/{id}/diverted/resend", scopeDivertedWrite, (*Server).resendManyDiverted},
	{http.MethodGet, "/v1/webhooks/{id}/diverted/{deliveryId}", scopeDivertedRead, (*Server).getDiverted},
	{http.MethodDelete, "/v1/webhooks/{id}/diverted/{deliveryId}", scopeDivertedWrite, (*Server).deleteDiverted},
	{http.MethodPost, "/v1/webhooks/{id}/diverted/{deliveryId}/resend", scopeDivertedWrite, (*Server).resendDiverted},
	{http.MethodGet, "/v1/diverted", scopeDivertedRead, (*Server).listDiverted},
	{http.MethodGet, "/v1/jobs", scopeDivertedRead, (*Server).listJobs},
	{http.MethodGet, "/v1/jobs/{id}", scopeDivertedRead, (*Server).getJob},
	{http.MethodDelete, "/v1/jobs/{id}", scopeDivertedWrite, (*Server).cancelJob},
	{http.MethodGet, "/v1/integrations", scopeWebhooksRead, (*Server).listIntegrations},
	{http.MethodPost, "/v1/integrations", scopeWebhooksWrite, (*Server).createIntegration},
	{http.MethodGet, "/v1/integrations/{name}", scopeWebhooksRead, (*Server).getIntegration},
	{http.MethodPut, "/v1/integrations/{name}", scopeWebhooksWrite, (*Server).replaceIntegration},
	{http.MethodDelete, "/v1/integrations/{name}", scopeWebhooksWrite, (*Server).deleteIntegration},
	{http.MethodPost, "/v1/integrations/{name}/rotate-secret", scopeWebhooksWrite, (*Server).rotateIntegrationSecret},
	{http.MethodGet, "/v1/breakers", scopeWebhooksRead, (*Server).listBreakers},
	{http.MethodPost, "/v1/breakers/{endpoint}/open", scopeWebhooksWrite, (*Server).openBreaker},
	{http.MethodPost, "/v1/breakers/{endpoint}/close", scopeWebhooksWrite, (*Server).closeBreaker},
	{http.MethodPost, "/v1/breakers/{endpoint}/reset", scopeWebhooksWrite, (*Server).resetBreaker},
	{http.MethodGet, "/v1/event-types", scopeWebhooksRead, (*Server).listEventTypes},
	{http.MethodGet, "/v1/keys", scopeKeysAdmin, (*Server).listKeys},
	{http.MethodPost, "/v1/keys", scopeKeysAdmin, (*Server).createKey},
	{http.MethodGet, "/v1/keys/{id}", scopeKeysAdmin, (*Server).getKey},
	{http.MethodDelete, "/v1/keys/{id}", scopeKeysAdmin, (*Server).deleteKey},
	{http.MethodGet, "/v1/audit", scopeAuditRead, (*Server).listAudit},
	{http.MethodGet, pathPublicKey, scopePublic, (*Server).getPublicKey},
	{http.MethodGet, "/openapi.json", scopePublic, (*Server).getDocument},
	{http.MethodGet, "/docs", scopePublic, (*Server).getReference},
	{http.MethodGet, "/asyncapi.json", scopePublic, (*Server).getAsyncDocument},
}

// echoPath turns "/v1/webhooks/{id}" into "/v1/webhooks/:id".
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

func (s *Server) router() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = addressOf(s.opts.TrustedProxies)
	e.HTTPErrorHandler = s.answerError
	e.Use(s.observe, s.limitAddress)
	for _, r := range routes {
		op, ok := s.document.Operation(r.method, r.path)
		if !ok {
			panic("admin: undocumented route " + r.method + " " + r.path)
		}
		if r.scope != scopePublic && !slices.Contains(allScopes, r.scope) {
			panic("admin: no key can have the scope that is needed for " + r.method + " " + r.path)
		}
		if op.Public != (r.scope == scopePublic) {
			panic("admin: document and route table disagree on who may use " + r.method + " " + r.path)
		}
		e.Add(r.method, echoPath(r.path), s.guard(r, op))
		s.templates[r.method+" "+echoPath(r.path)] = r.path
	}
	s.mountDialects(e)
	return e
}

// guard lets a request through to its handler when the key has the route's scope and the parameters are as
// documented.
func (s *Server) guard(r route, op *openapi.Operation) echo.HandlerFunc {
	return func(ec echo.Context) error {
		c := &call{Context: ec, op: op, cursorKey: s.cursorKey}
		if r.scope != scopePublic {
			if err := s.authorize(c, r.scope); err != nil {
				return err
			}
		}
		if err := checkParameters(c); err != nil {
			return err
		}
		if err := s.trace(c, r.path, tracedElsewhere[r.method+" "+r.path]); err != nil {
			return err
		}
		return r.handle(s, c)
	}
}

func (s *Server) authorize(c *call, needed scope) error {
	p, err := s.keys.authenticate(c.Request(), time.Now())
	if err != nil {
		if asProblem(err).kind == kindUnauthenticated {
			header := c.Response().Header()
			header.Add(echo.HeaderWWWAuthenticate, `Bearer realm="relay"`)
			header.Add(echo.HeaderWWWAuthenticate, `Basic realm="relay", charset="UTF-8"`)
		}
		return err
	}
	c.principal = p
	c.Set(contextPrincipal, p.Name)
	if err := s.limits.allow("key:" + p.Name); err != nil {
		return err
	}
	if needed == "" || !p.may(needed) {
		return newProblem(kindForbidden, "the key lacks the scope "+string(needed))
	}
	tenant, err := tenantOf(p, c.Request().Header.Get(headerTenant))
	c.tenant = tenant
	c.Set(contextTenant, tenant)
	return err
}

// param is a path parameter, decoded. The router matches the escaped path where it differs from the plain one, so
// that an id may hold "/", and leaves its segments escaped.
func (c *call) param(name string) (string, error) {
	value := c.Param(name)
	if c.Request().URL.RawPath != "" {
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return "", newProblem(kindNotFound, "")
		}
		value = decoded
	}
	if value == "" {
		return "", newProblem(kindNotFound, "")
	}
	return value, nil
}

func (s *Server) getDocument(c *call) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.Blob(http.StatusOK, mediaJSON, s.document.JSON())
}

// referencePage is written when it is first asked for.
var referencePage = sync.OnceValues(func() ([]byte, error) {
	document, err := embedded()
	if err != nil {
		return nil, err
	}
	return reference.Page(document.JSON())
})

func (s *Server) getReference(c *call) error {
	html, err := referencePage()
	if err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "no-cache")
	header.Set(echo.HeaderContentSecurityPolicy, reference.ContentSecurityPolicy())
	return c.Blob(http.StatusOK, "text/html; charset=utf-8", html)
}
