package admin

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"github.com/labstack/echo/v4"

	"eventrelay/admin/dialect"
)

// mountDialects adds the routes of the dialects. They are documented by the platforms' pages, not by openapi.yaml.
func (s *Server) mountDialects(e *echo.Echo) {
	for _, d := range s.opts.Dialects {
		for _, r := range d.Routes {
			template := d.BasePath() + r.Path
			path := echoPath(template)
			e.Add(r.Method, path, s.serveDialect(d, r))
			s.templates[r.Method+" "+path] = template
		}
	}
}

// serveDialect authorizes a request and hands it to a dialect.
func (s *Server) serveDialect(d dialect.Dialect, r dialect.Route) echo.HandlerFunc {
	return func(ec echo.Context) error {
		c := &call{Context: ec}
		if err := s.authorize(c, scope(r.Scope)); err != nil {
			return err
		}
		// What needs only the webhooks' scope writes nothing but the registry.
		template := d.BasePath() + r.Path
		if err := s.trace(c, template, r.Scope == dialect.WebhooksWrite); err != nil {
			return err
		}
		request, err := c.dialectCall(template)
		if err != nil {
			return err
		}
		ctx, cancel := s.writeContext(c)
		defer cancel()
		reply, err := r.Handle(ctx, request)
		if err != nil {
			if refusal := d.Refusal(err); refusal != nil {
				return refusal
			}
			return storeProblem(err)
		}
		for name, values := range reply.Header {
			c.Response().Header()[name] = values
		}
		status := max(reply.Status, http.StatusOK)
		if reply.Stream != nil {
			return s.stream(c, status, reply.Stream)
		}
		if reply.Body == nil {
			return c.NoContent(status)
		}
		return c.answer(status, reply.Body)
	}
}

// stream answers with what write writes. Once a part of it has been sent, only an aborted connection tells the client
// that the rest is missing.
func (s *Server) stream(c *call, status int, write func(io.Writer) error) error {
	c.Response().Header().Set(echo.HeaderContentType, mediaJSON)
	c.Response().Status = status
	err := write(c.Response())
	if err == nil || !c.Response().Committed {
		return storeProblem(err)
	}
	s.log.Warn("answer_cut_off", "request_id", requestID(c), "err", err)
	panic(http.ErrAbortHandler)
}

// dialectCall is the request as a dialect sees it.
func (c *call) dialectCall(template string) (*dialect.Call, error) {
	r := &dialect.Call{
		Tenant: c.tenant, Params: make(map[string]string), Query: c.QueryParams(), Header: c.Request().Header,
	}
	for _, segment := range c.ParamNames() {
		value, err := c.param(segment)
		if err != nil {
			return nil, err
		}
		// The router knows a parameter with an ending, "{id}.json", as a whole segment of that name.
		name, ending, has := strings.Cut(segment, ".")
		if has {
			ending = "." + ending
		}
		value, found := strings.CutSuffix(value, ending)
		if !found || value == "" {
			return nil, echo.ErrNotFound
		}
		r.Params[name] = value
	}
	if c.Request().Method == http.MethodGet || c.Request().Method == http.MethodDelete {
		return r, nil
	}
	text, err := c.bodyText()
	if err == nil && len(text) > 0 && !isJSONMedia(c.Request().Header.Get(echo.HeaderContentType)) {
		err = newProblem(kindMediaType, "send the body as "+mediaJSON+", in UTF-8")
	}
	r.Body = text
	if key := c.Request().Header.Get(headerIdempotencyKey); err == nil && key != "" && c.Request().Method == http.MethodPost {
		if !idempotencyKeyGrammar.MatchString(key) {
			return nil, badParameter(headerIdempotencyKey, "must be 1 to 255 visible ASCII characters")
		}
		request := newIdempotency(key, c.tenant, http.MethodPost+" "+template, text)
		r.Request = dialect.Request{Digest: request.digest, Fingerprint: request.fingerprint}
	}
	return r, err
}

// idempotencyKeyGrammar is that of the document, for requests that it does not describe.
var idempotencyKeyGrammar = regexp.MustCompile(`^[!-~]{1,255}$`)

// isJSONMedia accepts JSON of any kind, and nothing that a web form can send: a browser would add the Basic credentials
// that it remembers to the form of any site.
func isJSONMedia(contentType string) bool {
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	charset := parameters["charset"]
	return err == nil && (mediaType == mediaJSON || strings.HasSuffix(mediaType, "+json")) && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// inDialect reports whether a path belongs to a dialect, whose errors have a form of their own.
func (s *Server) inDialect(path string) bool {
	for _, d := range s.opts.Dialects {
		if rest, ok := strings.CutPrefix(path, d.BasePath()); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// dialectError is the wire form of every error under a dialect's base path.
type dialectError struct {
	Error string `json:"error"`
}

// dialectAnswer is how a dialect's client is told of an error that became the problem p.
func dialectAnswer(err error, p *problem) (status int, body dialectError) {
	var refusal *dialect.Error
	var router *echo.HTTPError
	switch {
	case errors.As(err, &refusal):
		return refusal.Status, dialectError{refusal.Text}
	case errors.As(err, &router) && p.kind == kindNotFound:
		return http.StatusNotFound, dialectError{"There is no such path"}
	case p.detail == "":
		return kinds[p.kind].status, dialectError{kinds[p.kind].title}
	default:
		return kinds[p.kind].status, dialectError{kinds[p.kind].title + ": " + p.detail}
	}
}
