package dialect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// ophelos is the API of a platform for debt collection: generated ids, a filter, dated versions of the payload, and a
// signing key that is shown once.
//
// The page documents the creation only; get, list, update and delete are the same resource under the usual verbs. PUT
// and PATCH both keep what is omitted, and null clears credentials, filters and metadata.
type ophelos struct{ shelf }

// Ophelos makes the dialect of Ophelos.
func Ophelos(s Services) Dialect {
	o := ophelos{shelf{s, catalog.PlatformOphelos}}
	return Dialect{
		Platform: catalog.PlatformOphelos,
		Fields:   map[string]string{"events": "enabled_events", "filter": "filters", "auth": "credentials"},
		Routes: []Route{
			{http.MethodPost, "/webhooks", WebhooksWrite, o.post},
			{http.MethodGet, "/webhooks", WebhooksRead, o.list},
			{http.MethodGet, "/webhooks/{id}", WebhooksRead, o.get},
			{http.MethodPut, "/webhooks/{id}", WebhooksWrite, o.update},
			{http.MethodPatch, "/webhooks/{id}", WebhooksWrite, o.update},
			{http.MethodDelete, "/webhooks/{id}", WebhooksWrite, o.delete},
		},
	}
}

// ophelosWebhook is a webhook as its clients see it.
type ophelosWebhook struct {
	ID            string              `json:"id"`
	Object        string              `json:"object"` // always "webhook"
	URL           string              `json:"url"`
	Enabled       bool                `json:"enabled"`
	EnabledEvents []string            `json:"enabled_events"`
	Filters       json.RawMessage     `json:"filters"` // null: none
	Version       string              `json:"version"`
	Credentials   *ophelosCredentials `json:"credentials"` // null: none
	Metadata      json.RawMessage     `json:"metadata"`
	SigningKey    string              `json:"signing_key,omitempty"` // in the answer to the creation only
	CreatedAt     time.Time           `json:"created_at"`
	UpdatedAt     time.Time           `json:"updated_at"`
}

// ophelosCredentials have the members of their type only. Secrets read as redacted.
type ophelosCredentials struct {
	Type     catalog.AuthType `json:"type"`
	Username string           `json:"username,omitempty"`
	Password catalog.Secret   `json:"password,omitzero"`
	Token    catalog.Secret   `json:"token,omitzero"`
	Name     string           `json:"name,omitempty"`
	Value    catalog.Secret   `json:"value,omitzero"`
}

// ophelosAuths are the types of credentials that the platform has words for; they are the canonical ones.
var ophelosAuths = []catalog.AuthType{catalog.AuthBasic, catalog.AuthBearer, catalog.AuthHeader}

func showOphelos(v registry.View) ophelosWebhook {
	w := v.Webhook
	url, auth := endpointOf(v)
	shown := ophelosWebhook{
		ID: w.ID, Object: "webhook", URL: url, Enabled: w.Enabled, EnabledEvents: shownEvents(catalog.PlatformOphelos, w.Events),
		Filters: w.Filter, Version: ophelosVersion(w), Metadata: ophelosMetadata(w), CreatedAt: w.Created, UpdatedAt: w.Updated,
	}
	if namesEveryEvent(catalog.PlatformOphelos, w.Events) {
		shown.EnabledEvents = []string{everyEvent}
	}
	if slices.Contains(ophelosAuths, auth.Type) {
		shown.Credentials = &ophelosCredentials{
			Type: auth.Type, Username: auth.Username, Password: auth.Password, Token: auth.Token, Name: auth.Name, Value: auth.Value,
		}
	}
	return shown
}

// ophelosVersion is the version of the payload that a webhook gets: the newest where it names none.
func ophelosVersion(w *catalog.Webhook) string {
	versions := catalog.FormatVersions(catalog.FormatOphelos)
	if slices.Contains(versions, w.Version) {
		return w.Version
	}
	return versions[len(versions)-1]
}

// ophelosMetadata shows none as an empty object.
func ophelosMetadata(w *catalog.Webhook) json.RawMessage {
	if len(w.Metadata) == 0 || string(w.Metadata) == "null" {
		return json.RawMessage("{}")
	}
	return w.Metadata
}

// The bounds of a page, which the platform leaves open.
const (
	ophelosDefaultLimit = 50
	ophelosMaxLimit     = 100
)

// ophelosList is a page of webhooks, oldest first.
type ophelosList struct {
	Data       []ophelosWebhook `json:"data"`
	HasMore    bool             `json:"has_more"`
	TotalCount int              `json:"total_count"`
}

func (d ophelos) list(_ context.Context, c *Call) (Reply, error) {
	limit, err := c.IntQuery("limit", ophelosDefaultLimit, 0, ophelosMaxLimit)
	if err != nil {
		return Reply{}, err
	}
	after := c.Query.Get("after")
	page, reached := ophelosList{Data: []ophelosWebhook{}}, after == ""
	for v := range d.all(c.Tenant) {
		page.TotalCount++
		switch {
		case !reached:
			reached = v.Webhook.ID == after
		case len(page.Data) < limit:
			page.Data = append(page.Data, showOphelos(v))
		default:
			page.HasMore = true
		}
	}
	if !reached {
		return Reply{}, Refuse(http.StatusBadRequest, "after is not the id of a webhook")
	}
	return Reply{Body: page}, nil
}

func (d ophelos) get(_ context.Context, c *Call) (Reply, error) {
	return d.reply(d.find(c.Tenant, c.Params["id"]))
}

func (d ophelos) delete(ctx context.Context, c *Call) (Reply, error) {
	return d.reply(d.remove(ctx, c.Tenant, c.Params["id"]))
}

// headerOphelosVersion names the version of what it is sent with.
const headerOphelosVersion = "Ophelos-Version"

// reply shows a webhook, or gives the errors of the registry the texts of this platform.
func (d ophelos) reply(v registry.View, err error) (Reply, error) {
	if errors.Is(err, registry.ErrNotFound) {
		return Reply{}, Refuse(http.StatusNotFound, "There is no webhook with this id")
	}
	if err != nil {
		return Reply{}, err
	}
	shown := showOphelos(v)
	return Reply{Body: shown, Header: http.Header{headerOphelosVersion: {shown.Version}}}, nil
}

func (d ophelos) post(ctx context.Context, c *Call) (Reply, error) {
	sent, err := c.Object()
	if err != nil {
		return Reply{}, err
	}
	sent.Require("url")
	w := catalog.NewWebhook()
	w.Format = catalog.FormatOphelos
	w.Version = ophelosVersion(w)
	w.Events = platformEvents(d.platform)
	key := generateKey("ophelos_")
	w.Signing.Secrets = []catalog.SigningSecret{{Value: key, Encoding: catalog.SecretRaw}}
	if err := d.change(sent, registry.View{Webhook: &catalog.Webhook{}}, w); err != nil {
		return Reply{}, err
	}
	v, err := d.create(ctx, c.Tenant, c.Request, w)
	reply, err := d.reply(v, err)
	if err != nil {
		return Reply{}, err
	}
	shown := showOphelos(v)
	if holds(v, key) {
		shown.SigningKey = key.Reveal() // nobody is told again
	}
	reply.Status, reply.Body = http.StatusCreated, shown
	return reply, nil
}

func (d ophelos) update(ctx context.Context, c *Call) (Reply, error) {
	sent, err := c.Object()
	if err != nil {
		return Reply{}, err
	}
	return d.reply(d.edit(ctx, c.Tenant, c.Params["id"], func(current registry.View, w *catalog.Webhook) error {
		return d.change(sent.again(), current, w)
	}))
}

// change makes a webhook what a client sent. current is the webhook so far; of what the client sent, only what
// differs from what is shown of that is a change.
func (d ophelos) change(sent *Object, current registry.View, w *catalog.Webhook) error {
	url, auth := endpointOf(current)
	if read, ok := sent.Text("url"); ok && read != url {
		w.URL = read
	}
	if enabled, ok := sent.Bool("enabled"); ok {
		w.Enabled = enabled
	}
	d.changeEvents(sent, current, w)
	if filters, ok := sent.RawObject("filters"); ok || sent.Cleared("filters") {
		w.Filter = filters
	}
	if version, ok := sent.Text("version"); ok && version != ophelosVersion(current.Webhook) {
		w.Version = version
	}
	if read, ok := sent.ophelosCredentials(); ok && !isShownAuth(read, auth, ophelosAuths...) {
		w.Auth = read
	}
	if metadata, ok := sent.RawObject("metadata"); sent.Cleared("metadata") || ok && !bytes.Equal(metadata, ophelosMetadata(current.Webhook)) {
		w.Metadata = metadata
	}
	return sent.Err()
}

// otherEventFields are what other platforms call enabled_events.
var otherEventFields = []string{"events", "matchingEvents"}

// changeEvents reads enabled_events. Unknown members are ignored, but not the list of events under another platform's
// name for it: the webhook would get every event instead of the ones that are meant.
func (d ophelos) changeEvents(sent *Object, current registry.View, w *catalog.Webhook) {
	names, ok := sent.Strings("enabled_events")
	if ok {
		w.Events = sent.events("enabled_events", d.platform, names, current.Webhook.Events)
		return
	}
	for _, other := range otherEventFields {
		if sent.Has(other) {
			sent.Fail(other, "the events of a webhook are called enabled_events here")
		}
	}
}

// ophelosCredentials reads the member credentials; null is none.
func (o *Object) ophelosCredentials() (auth catalog.Auth, ok bool) {
	auth.Type = catalog.AuthNone
	sent, ok := o.Object("credentials")
	if !ok {
		return auth, o.Cleared("credentials")
	}
	sent.Require("type")
	kind, ok := sent.Text("type")
	if !ok {
		return auth, true
	}
	switch auth.Type = catalog.AuthType(kind); auth.Type {
	case catalog.AuthBasic:
		sent.Require("username", "password")
		auth.Username, _ = sent.String("username")
		auth.Password, _ = sent.Secret("password")
	case catalog.AuthBearer:
		sent.Require("token")
		auth.Token, _ = sent.Secret("token")
	case catalog.AuthHeader:
		sent.Require("name", "value")
		auth.Name, _ = sent.String("name")
		auth.Value, _ = sent.Secret("value")
	default:
		sent.Fail("type", "it is not one of basic, bearer, header")
	}
	return auth, true
}
