package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// kind names a kind of problem; its value is the stable end of the problem's type URI.
type kind string

// The kinds of problems.
const (
	kindBadRequest       kind = "bad-request"
	kindUnauthenticated  kind = "unauthenticated"
	kindForbidden        kind = "forbidden"
	kindNotFound         kind = "not-found"
	kindMethodNotAllowed kind = "method-not-allowed"
	kindExists           kind = "already-exists"
	kindAmbiguous        kind = "ambiguous-id"
	kindInUse            kind = "integration-in-use"
	kindResending        kind = "already-resending"
	kindInactive         kind = "webhook-inactive"
	kindRevision         kind = "revision-conflict"
	kindTooLarge         kind = "body-too-large"
	kindMediaType        kind = "unsupported-media-type"
	kindInvalid          kind = "invalid"
	kindKeyReused        kind = "idempotency-key-reused"
	kindRateLimited      kind = "rate-limited"
	kindTooManyJobs      kind = "too-many-jobs"
	kindInternal         kind = "internal"
	kindUnavailable      kind = "unavailable"
	kindIndexBehind      kind = "index-behind"
	kindHistory          kind = "history-unavailable"
	kindNoSecret         kind = "no-signing-secret"
	kindManySecrets      kind = "too-many-secrets"
	kindCannotSend       kind = "cannot-send"
)

// What the URIs of problems begin with; the latter is followed by the request id.
const (
	problemTypePrefix     = "urn:relay:problem:"
	problemInstancePrefix = "urn:relay:request:"
)

// kinds gives each kind its status and title.
var kinds = map[kind]struct {
	status int
	title  string
}{
	kindBadRequest:       {http.StatusBadRequest, "The request is malformed"},
	kindUnauthenticated:  {http.StatusUnauthorized, "No valid key"},
	kindForbidden:        {http.StatusForbidden, "The key does not allow this"},
	kindNotFound:         {http.StatusNotFound, "Not found"},
	kindMethodNotAllowed: {http.StatusMethodNotAllowed, "Method not allowed"},
	kindExists:           {http.StatusConflict, "Already exists"},
	kindAmbiguous:        {http.StatusConflict, "The id is shared by several webhooks"},
	kindInUse:            {http.StatusConflict, "The integration is in use"},
	kindResending:        {http.StatusConflict, "Already being resent"},
	kindInactive:         {http.StatusConflict, "The webhook is not active"},
	kindRevision:         {http.StatusPreconditionFailed, "The revision is not current"},
	kindTooLarge:         {http.StatusRequestEntityTooLarge, "The body is too large"},
	kindMediaType:        {http.StatusUnsupportedMediaType, "Unsupported media type"},
	kindInvalid:          {http.StatusUnprocessableEntity, "The content is not valid"},
	kindKeyReused:        {http.StatusUnprocessableEntity, "The Idempotency-Key was used for another request"},
	kindRateLimited:      {http.StatusTooManyRequests, "Too many requests"},
	kindTooManyJobs:      {http.StatusTooManyRequests, "Too many unfinished jobs"},
	kindInternal:         {http.StatusInternalServerError, "Internal error"},
	kindUnavailable:      {http.StatusServiceUnavailable, "Temporarily unavailable"},
	kindIndexBehind:      {http.StatusServiceUnavailable, "The index of diverted events is catching up"},
	kindHistory:          {http.StatusServiceUnavailable, "What has happened cannot be read at the moment"},
	kindNoSecret:         {http.StatusConflict, "The webhook has no signing secret of its own"},
	kindManySecrets:      {http.StatusConflict, "Too many signing secrets are valid"},
	kindCannotSend:       {http.StatusConflict, "The webhook cannot be sent to"},
}

// fieldMessage says what is wrong with one field or parameter.
type fieldMessage struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// problem is an error that the client sees (RFC 9457). Everything in it is meant for the client; cause is for the
// log only.
type problem struct {
	kind       kind
	detail     string
	errors     []fieldMessage
	uids       []string
	webhooks   []string
	retryAfter time.Duration
	cause      error
}

func newProblem(k kind, detail string) *problem { return &problem{kind: k, detail: detail} }

// badParameter is the problem of a query or header parameter.
func badParameter(name, message string) *problem {
	return &problem{kind: kindBadRequest, detail: "parameter " + name + " " + message, errors: []fieldMessage{{name, message}}}
}

// invalid is the problem of fields that are not valid.
func invalid(fields []fieldMessage) *problem {
	detail := "1 field is not valid"
	if len(fields) != 1 {
		detail = strconv.Itoa(len(fields)) + " fields are not valid"
	}
	return &problem{kind: kindInvalid, detail: detail, errors: fields}
}

// Error implements error, for the log.
func (p *problem) Error() string {
	text := string(p.kind)
	if p.detail != "" {
		text += ": " + p.detail
	}
	if p.cause != nil {
		text += fmt.Sprintf(" (%v)", p.cause)
	}
	return text
}

// Unwrap gives the cause.
func (p *problem) Unwrap() error { return p.cause }

// problemJSON is the wire form.
type problemJSON struct {
	Type     string         `json:"type"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail,omitempty"`
	Instance string         `json:"instance"`
	Errors   []fieldMessage `json:"errors,omitempty"`
	UIDs     []string       `json:"uids,omitempty"`
	Webhooks []string       `json:"webhooks,omitempty"`
}

func newProblemJSON(p *problem, c echo.Context) problemJSON {
	meta := kinds[p.kind]
	return problemJSON{
		Type: problemTypePrefix + string(p.kind), Title: meta.title, Status: meta.status, Detail: p.detail,
		Instance: problemInstancePrefix + requestID(c), Errors: p.errors, UIDs: p.uids, Webhooks: p.webhooks,
	}
}

// asProblem decides how an error is answered. What nobody made a problem of is ours: the client learns no more than
// the request id.
func asProblem(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		switch he.Code {
		case http.StatusNotFound:
			return newProblem(kindNotFound, "there is no such path; /openapi.json lists them")
		case http.StatusMethodNotAllowed:
			return newProblem(kindMethodNotAllowed, "the Allow header lists the methods of this path")
		}
	}
	return &problem{kind: kindInternal, detail: "the log has the cause under this request id", cause: err}
}

// answerError is the router's error handler.
func (s *Server) answerError(err error, c echo.Context) {
	p := asProblem(err)
	status, mediaType, body := kinds[p.kind].status, mediaProblem, any(newProblemJSON(p, c))
	if s.inDialect(c.Request().URL.Path) {
		mediaType = mediaJSON
		status, body = dialectAnswer(err, p)
	}
	if status >= http.StatusInternalServerError {
		level := slog.LevelError
		if c.Request().Context().Err() != nil {
			level = slog.LevelDebug // the client went away, which is what failed
		}
		s.log.Log(c.Request().Context(), level, "request_failed", "request_id", requestID(c), "route", c.Path(), "kind", string(p.kind), "err", p)
	}
	if c.Response().Committed {
		return
	}
	text, err := json.Marshal(body)
	if err != nil { // strings and numbers cannot fail
		panic(err)
	}
	if p.retryAfter > 0 {
		seconds := (p.retryAfter + time.Second - 1) / time.Second
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.FormatInt(int64(seconds), 10))
	}
	if err := c.Blob(status, mediaType, text); err != nil {
		s.log.Debug("answer_failed", "request_id", requestID(c), "err", err)
	}
}
