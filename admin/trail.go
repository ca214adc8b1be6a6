package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"eventrelay/relay/audit"
)

// Audit is the trail of who changed what: the API appends to it what the registry does not, and reads it.
type Audit interface {
	// Write returns when the entry is durable.
	Write(ctx context.Context, e audit.Entry) error
	Read(ctx context.Context, q audit.Query) (audit.Page, error)
}

// noTrail stands in where no trail is configured: what must leave an entry is refused.
type noTrail struct{}

var errNoTrail = errors.New("no audit trail is configured")

func (noTrail) Write(context.Context, audit.Entry) error { return errNoTrail }
func (noTrail) Read(context.Context, audit.Query) (audit.Page, error) {
	return audit.Page{}, errNoTrail
}

// tracedElsewhere are the routes that are no GET and need no entry before they act: those that write nothing but the
// registry, which commits an entry together with each change, and those that change nothing. A route that is not
// listed leaves an entry, so that a new one cannot be forgotten.
var tracedElsewhere = map[string]bool{
	"POST /v1/webhooks":                  true,
	"PUT /v1/webhooks/{id}":              true,
	"PATCH /v1/webhooks/{id}":            true,
	"DELETE /v1/webhooks/{id}":           true,
	"POST /v1/webhooks/{id}/suspend":     true,
	"POST /v1/webhooks/{id}/unsuspend":   true,
	"POST /v1/integrations":              true,
	"PUT /v1/integrations/{name}":        true,
	"DELETE /v1/integrations/{name}":     true,
	"POST /v1/breakers/{endpoint}/open":  true,
	"POST /v1/breakers/{endpoint}/close": true,
	"POST /v1/breakers/{endpoint}/reset": true,
	"POST /v1/keys":                      true,
	"DELETE /v1/keys/{id}":               true,

	"POST /v1/webhooks/{id}/rotate-secret": true,
	"POST /v1/match":                       true,

	"POST /v1/integrations/{name}/rotate-secret": true,
}

// trace says in the request's context who acts, for whatever writes an entry further down, and writes the entry itself
// where nothing further down does. An action whose entry cannot be written is not taken.
func (s *Server) trace(c *call, template string, elsewhere bool) error {
	method := c.Request().Method
	c.SetRequest(c.Request().WithContext(audit.NewContext(c.Request().Context(), audit.Call{
		Actor: c.principal.Name, Action: method + " " + template, Address: c.RealIP(), RequestID: requestID(c),
	})))
	if method == http.MethodGet || elsewhere {
		return nil
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	e := audit.Entry{Tenant: c.tenant, Outcome: audit.Requested}
	e.Kind, e.ID, e.UID = s.objectOf(c, template)
	if err := s.opts.Audit.Write(ctx, e); err != nil {
		return &problem{kind: kindUnavailable, detail: "the audit trail cannot be written, so nothing was done", retryAfter: retrySoon, cause: err}
	}
	return nil
}

// mostNamed bounds what an entry repeats of a path, in bytes.
const mostNamed = 256

// objectOf names what a path is about: the last collection with a member named in it, or the collection that ends it.
// The uid is that of the webhook that the path names, if there is one.
func (s *Server) objectOf(c *call, template string) (kind, id, uid string) {
	segments := strings.Split(strings.Trim(template, "/"), "/")
	for i, segment := range segments {
		if i == 0 || !strings.HasPrefix(segment, "{") {
			continue
		}
		kind = strings.TrimSuffix(segments[i-1], "s")
		id, _ = c.param(strings.Trim(segment, "{}")) // a path without it is refused by the handler
		if kind == "webhook" {
			if view, err := s.opts.Registry.Find(c.tenant, id); err == nil {
				uid = view.Webhook.UID
			}
		}
		id = strings.ToValidUTF8(id[:min(len(id), mostNamed)], "")
	}
	if kind == "" {
		kind = strings.TrimSuffix(segments[len(segments)-1], "s")
	}
	return kind, id, uid
}

// entryResource is an entry as the API shows it.
type entryResource struct {
	ID        string         `json:"id"`
	Time      time.Time      `json:"time"`
	Tenant    *string        `json:"tenant"`
	Actor     string         `json:"actor"`
	Address   string         `json:"address,omitempty"`
	RequestID string         `json:"requestId,omitempty"`
	Action    string         `json:"action,omitempty"`
	Object    objectResource `json:"object"`
	Before    int64          `json:"revisionBefore,omitempty"`
	After     int64          `json:"revisionAfter,omitempty"`
	Changed   []string       `json:"changed,omitempty"`
	Outcome   audit.Outcome  `json:"outcome"`
}

type objectResource struct {
	Kind string `json:"kind"`
	ID   string `json:"id,omitempty"`
	UID  string `json:"uid,omitempty"`
}

func newEntryResource(e audit.Listed) entryResource {
	shown := entryResource{
		ID: strconv.FormatInt(e.Offset, 10), Time: e.Time, Actor: e.Actor, Address: e.Address, RequestID: e.RequestID, Action: e.Action,
		Object: objectResource{e.Kind, e.ID, e.UID}, Before: e.Before, After: e.After, Changed: e.Changed, Outcome: e.Outcome,
	}
	if e.Tenant != "" {
		shown.Tenant = &e.Tenant
	}
	return shown
}

func (s *Server) listAudit(c *call) error {
	after, err := c.cursor(listOfAudit)
	if err != nil {
		return err
	}
	q := audit.Query{
		Tenant: c.tenant, Ownerless: c.principal.Tenant == "", From: c.time("from"), To: c.time("to"), Actor: c.QueryParam("actor"),
		Action: c.QueryParam("action"), Object: c.QueryParam("object"), Limit: c.limit(),
	}
	if after != "" {
		if q.Before, err = strconv.ParseInt(after, 10, 64); err != nil || q.Before <= 0 {
			return badParameter("cursor", notOfThisList)
		}
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	found, err := s.opts.Audit.Read(ctx, q)
	if err != nil {
		return storeProblem(err)
	}
	items := make([]entryResource, len(found.Entries))
	for i, e := range found.Entries {
		items[i] = newEntryResource(e)
	}
	next := ""
	if found.Next > 0 {
		next = strconv.FormatInt(found.Next, 10)
	}
	return c.answer(http.StatusOK, newPage(c, listOfAudit, items, next))
}
