// Package dialect speaks the webhook APIs of the platforms: a client that was written against a platform's page works
// against the relay when only its base URL and credentials change.
//
// A dialect is a thin translation between a platform's resource and the canonical catalog.Webhook, in files of its
// own (ophelos.go, ocelot.go, …). It reaches no further than the interfaces below, and package admin, which serves
// it, knows none by name: it mounts what Options.Dialects holds. Nothing here is state; a dialect is safe for
// concurrent use.
//
// # How a dialect is mounted
//
// Under "/" + Platform. The server has checked key, scope and tenant, bounded body and time, and counted the request,
// before Handle runs. Handle gets a Call and returns a Reply or an error; every error, the server's own 401, 403, 404,
// 405, 413, 415, 429 and 503 included, is answered as {"error": "…"}:
//
//   - an *Error (Refuse, Invalid) with the status and text that it has;
//   - a *catalog.ValidationError, from validation or the registry, as 422 with the field names that Fields translates;
//   - what the registry and the divert store return with the status that /v1 gives it: ErrNotFound 404, ErrExists 409,
//     anything unknown 503 with Retry-After. A dialect whose page has a text for one of these tests for it with
//     errors.Is and returns a Refuse of its own.
//
// # How a dialect is written
//
// Decode a body with Call.Object, which reads the members it is asked for, notes the wrong ones and ignores the rest;
// keep to the tenant's webhooks of the dialect's platform with shelf (find, all, create, edit, remove); translate event
// names with namedEvents and shownEvents. An edit changes only what the client sent, and of that only what differs
// from what the dialect shows, so that what a dialect cannot express is read as the nearest documented value and left
// alone by a client that sends back what it got.
//
// Read this file, then shelf.go, object.go and events.go, then ocelot.go as the plainest dialect.
package dialect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"eventrelay/catalog"
	"eventrelay/relay/divert"
	"eventrelay/relay/registry"
)

// Registry is what dialects need of the registry. Reads are answered from its snapshot; a write returns after it is
// durable and visible to the reads of this instance.
type Registry interface {
	FindOn(tenant string, platform catalog.Platform, id string) (registry.View, error)
	MadeBy(tenant, request string) (registry.View, bool)
	List(tenant, after string, limit int) (page []registry.View, next string)
	CreateWebhook(ctx context.Context, w *catalog.Webhook) (registry.View, error)
	UpdateWebhook(ctx context.Context, tenant, uid string, ifRevision int64, edit func(*catalog.Webhook) error) (registry.View, error)
	DeleteWebhook(ctx context.Context, tenant, uid string, ifRevision int64) error
	Unsuspend(ctx context.Context, tenant, uid string, resend bool) (registry.View, error)
	Integration(tenant, name string) (*catalog.Integration, bool)
	Integrations(tenant, after string, limit int) (page []*catalog.Integration, next string)
	PutIntegration(ctx context.Context, in *catalog.Integration, ifRevision int64) (*catalog.Integration, error)
	DeleteIntegration(ctx context.Context, tenant, name string, ifRevision int64) error
}

// Diverted is what dialects need of the divert store.
type Diverted interface {
	List(ctx context.Context, q divert.Query) (divert.Page, error)
	Get(ctx context.Context, tenant, uid, deliveryID string) (divert.Detail, error)
	Delete(ctx context.Context, tenant, uid, deliveryID string) error
	ResendOne(ctx context.Context, tenant, uid, deliveryID string) (divert.Entry, error)
	ListAt(ctx context.Context, tenant, uid string, offset, limit int) (divert.Page, error)
	Read(ctx context.Context, e divert.Entry) (divert.Detail, error)
}

// Services are what dialects are made of. Registry and Diverted are required.
type Services struct {
	Registry Registry
	Diverted Diverted
	// Rules are what webhooks and integrations are validated against; KnownIntegration is set per tenant.
	Rules catalog.Rules
	// CertificateCheck connects to an https:// URL, under the same guard as deliveries, and returns an error unless
	// the certificate is valid: one that wraps ErrUnchecked when that could not be found out. Nil: nothing is checked.
	CertificateCheck func(ctx context.Context, u *url.URL) error
}

// Dialect is one platform's API.
type Dialect struct {
	// Platform that its webhooks are of; "/" and its name are the base path.
	Platform catalog.Platform
	// Fields gives the canonical names of fields, as errors have them, the platform's: "events" → "enabled_events".
	// A name covers what follows it: "events[2]" becomes "enabled_events[2]". The longest that fits counts.
	Fields map[string]string
	Routes []Route
}

// All are the dialects, to be served together.
func All(s Services) []Dialect {
	return []Dialect{Ophelos(s), Socotra(s), Ocelot(s), Donutwork(s)}
}

// BasePath is what every path of the dialect begins with.
func (d Dialect) BasePath() string { return "/" + string(d.Platform) }

// Scope is the permission that a key needs.
type Scope string

// The scopes that dialects use.
const (
	WebhooksRead  Scope = "webhooks:read"
	WebhooksWrite Scope = "webhooks:write"
	DivertedRead  Scope = "diverted:read"
	DivertedWrite Scope = "diverted:write"
)

// Route is one call of the platform's API.
type Route struct {
	Method string
	// Path below the base path, its parameters in braces: "/webhooks/{id}". A parameter is a whole segment, or one
	// with the same ending in every route: "/webhooks/{id}.json".
	Path   string
	Scope  Scope
	Handle func(ctx context.Context, c *Call) (Reply, error)
}

// Call is one request that was let through.
type Call struct {
	Tenant string
	// Params are the path's parameters, decoded, none empty.
	Params map[string]string
	Query  url.Values
	Header http.Header
	// Body is empty for GET and DELETE.
	Body []byte
	// Request tells a repeated POST from another one.
	Request Request
}

// Request is what the Idempotency-Key of a POST says of it; the zero value: it had none. Both are kept with what the
// request creates.
type Request struct {
	// Digest of tenant, route and key; Fingerprint of the body.
	Digest, Fingerprint string
}

// made reports whether the request made an integration.
func (r Request) made(in *catalog.Integration) bool { return r.Digest != "" && r.Digest == in.Request }

// sameAs refuses a key that was used for another body.
func (r Request) sameAs(fingerprint string) error {
	if r.Fingerprint != fingerprint {
		return Refuse(http.StatusUnprocessableEntity, "The Idempotency-Key was used for another request")
	}
	return nil
}

// Reply is a successful answer.
type Reply struct {
	// Status default: 200.
	Status int
	// Body is written as JSON; nil leaves it empty.
	Body any
	// Stream writes a JSON body that is too large to be held, in place of Body. What it fails with before its first
	// Write is answered as an error of Handle; after that the connection is cut, so that no part is taken for the whole.
	Stream func(w io.Writer) error
	// Header adds to the answer's.
	Header http.Header
}

// Error is a refusal that the client sees.
type Error struct {
	Status int
	Text   string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%d: %s", e.Status, e.Text) }

// Refuse makes an Error.
func Refuse(status int, format string, args ...any) *Error {
	return &Error{Status: status, Text: fmt.Sprintf(format, args...)}
}

// Refusal decides whether an error of Handle is the dialect's to word. Nil: it is not, the server answers it as it
// does under /v1.
func (d Dialect) Refusal(err error) *Error {
	var own *Error
	var validation *catalog.ValidationError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &validation):
		return Invalid(d.renamed(validation.Fields))
	case errors.Is(err, catalog.ErrNoIntegration): // deleted since it was validated
		return Invalid(d.renamed([]catalog.FieldError{{Path: "integration", Message: "there is no integration of this name"}}))
	default:
		return nil
	}
}

// maxNamed is how many fields a refusal names, so that it does not grow with what a client sent.
const maxNamed = 20

// Invalid refuses fields, named as the platform names them.
func Invalid(fields []catalog.FieldError) *Error {
	more := ""
	if len(fields) > maxNamed {
		more = fmt.Sprintf("; and %d more", len(fields)-maxNamed)
		fields = fields[:maxNamed]
	}
	return Refuse(http.StatusUnprocessableEntity, "%s%s", (&catalog.ValidationError{Fields: fields}).Error(), more)
}

func (d Dialect) renamed(fields []catalog.FieldError) []catalog.FieldError {
	named := make([]catalog.FieldError, len(fields))
	for i, f := range fields {
		named[i] = catalog.FieldError{Path: d.fieldName(f.Path), Message: f.Message}
	}
	return named
}

// fieldName translates the longest canonical name that a path begins with, and then what is left of the path by
// itself, member by member: "overrides[3].enabled" becomes "perOfficeOverrides[3].active".
func (d Dialect) fieldName(path string) string {
	longest := ""
	for name := range d.Fields {
		rest, begins := strings.CutPrefix(path, name)
		if begins && (rest == "" || rest[0] == '.' || rest[0] == '[') && len(name) > len(longest) {
			longest = name
		}
	}
	if longest != "" {
		return d.Fields[longest] + d.fieldTail(path[len(longest):])
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		return path
	}
	return path[:end] + d.fieldTail(path[end:])
}

// fieldTail translates the members that follow an index; those of an object of the client's own keep their names.
func (d Dialect) fieldTail(tail string) string {
	if end := strings.Index(tail, "]."); strings.HasPrefix(tail, "[") && end > 0 {
		return tail[:end+2] + d.fieldName(tail[end+2:])
	}
	return tail
}
