package dialect

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// ocelot is the API of a platform for text messages: webhooks with ids of the client's choice, renamed by PUT, and
// overrides per office. Its requests are not signed.
//
// The page marks no field as required. A webhook cannot do without id, matchingEvents and url, so creation demands
// them; PUT keeps what is omitted, so that no password is lost to a client that does not know it.
type ocelot struct{ shelf }

// Ocelot makes the dialect of Ocelot.
func Ocelot(s Services) Dialect {
	o := ocelot{shelf{s, catalog.PlatformOcelot}}
	return Dialect{
		Platform: catalog.PlatformOcelot,
		Fields:   map[string]string{"events": "matchingEvents", "enabled": "active", "overrides": "perOfficeOverrides"},
		Routes: []Route{
			{http.MethodGet, "/webhooks", WebhooksRead, o.list},
			{http.MethodPost, "/webhooks", WebhooksWrite, o.post},
			{http.MethodGet, "/webhooks/{webhookId}", WebhooksRead, o.get},
			{http.MethodPut, "/webhooks/{webhookId}", WebhooksWrite, o.put},
			{http.MethodDelete, "/webhooks/{webhookId}", WebhooksWrite, o.delete},
		},
	}
}

// ocelotWebhook is a webhook as the page documents it.
type ocelotWebhook struct {
	ID                 string           `json:"id"`
	MatchingEvents     []string         `json:"matchingEvents"`
	URL                string           `json:"url"`
	Auth               ocelotAuth       `json:"auth"`
	Active             bool             `json:"active"`
	PerOfficeOverrides []ocelotOverride `json:"perOfficeOverrides"`
	Created            time.Time        `json:"created"`
	Updated            time.Time        `json:"updated"`
}

// ocelotAuth is a WebhookBasicAuth or a WebhookNoAuth.
type ocelotAuth struct {
	Type     string          `json:"type"`
	Username string          `json:"username,omitempty"`
	Password *catalog.Secret `json:"password,omitempty"` // reads as redacted
}

// The types of auth that the page documents.
const (
	ocelotBasic  = "Basic"
	ocelotNoAuth = "None"
)

type ocelotOverride struct {
	Office string      `json:"office"`
	URL    string      `json:"url,omitempty"`
	Auth   *ocelotAuth `json:"auth,omitempty"`
	Active *bool       `json:"active,omitempty"`
}

func showOcelot(v registry.View) ocelotWebhook {
	w := v.Webhook
	url, auth := endpointOf(v)
	shown := ocelotWebhook{
		ID: w.ID, MatchingEvents: shownEvents(catalog.PlatformOcelot, w.Events), URL: url, Auth: showOcelotAuth(auth),
		Active: w.Enabled, PerOfficeOverrides: []ocelotOverride{}, Created: w.Created, Updated: w.Updated,
	}
	for _, o := range w.Overrides {
		override := ocelotOverride{Office: o.Office, URL: o.URL, Active: o.Enabled}
		if o.Auth != nil {
			auth := showOcelotAuth(*o.Auth)
			override.Auth = &auth
		}
		shown.PerOfficeOverrides = append(shown.PerOfficeOverrides, override)
	}
	return shown
}

// showOcelotAuth shows what the page has no word for as no auth.
func showOcelotAuth(a catalog.Auth) ocelotAuth {
	if a.Type != catalog.AuthBasic {
		return ocelotAuth{Type: ocelotNoAuth}
	}
	return ocelotAuth{Type: ocelotBasic, Username: a.Username, Password: &a.Password}
}

func (d ocelot) list(_ context.Context, c *Call) (Reply, error) {
	shown := []ocelotWebhook{}
	for v := range d.all(c.Tenant) {
		shown = append(shown, showOcelot(v))
	}
	return Reply{Body: shown}, nil
}

func (d ocelot) get(_ context.Context, c *Call) (Reply, error) {
	return d.reply(d.find(c.Tenant, c.Params["webhookId"]))
}

func (d ocelot) delete(ctx context.Context, c *Call) (Reply, error) {
	return d.reply(d.remove(ctx, c.Tenant, c.Params["webhookId"]))
}

// reply shows a webhook, or gives the errors of the registry the texts of this platform.
func (d ocelot) reply(v registry.View, err error) (Reply, error) {
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return Reply{}, Refuse(http.StatusNotFound, "There is no webhook with this id")
	case errors.Is(err, registry.ErrExists):
		return Reply{}, Refuse(http.StatusConflict, "There is a webhook with this id already")
	case err != nil:
		return Reply{}, err
	}
	return Reply{Body: showOcelot(v)}, nil
}

func (d ocelot) post(ctx context.Context, c *Call) (Reply, error) {
	sent, err := c.Object()
	if err != nil {
		return Reply{}, err
	}
	sent.Require("id", "matchingEvents", "url")
	w := catalog.NewWebhook()
	w.Format = catalog.FormatOcelot
	w.Signing.Enabled = false
	w.Events = []string{}
	if err := d.change(sent, registry.View{Webhook: &catalog.Webhook{}}, w); err != nil {
		return Reply{}, err
	}
	return d.reply(d.create(ctx, c.Tenant, c.Request, w))
}

func (d ocelot) put(ctx context.Context, c *Call) (Reply, error) {
	sent, err := c.Object()
	if err != nil {
		return Reply{}, err
	}
	return d.reply(d.edit(ctx, c.Tenant, c.Params["webhookId"], func(current registry.View, w *catalog.Webhook) error {
		return d.change(sent.again(), current, w)
	}))
}

// change makes a webhook what a client sent. current is the webhook so far; of what the client sent, only what
// differs from what is shown of that is a change.
func (d ocelot) change(sent *Object, current registry.View, w *catalog.Webhook) error {
	url, auth := endpointOf(current)
	if id, ok := sent.Text("id"); ok {
		w.ID = id
	}
	if names, ok := sent.Strings("matchingEvents"); ok {
		w.Events = sent.events("matchingEvents", d.platform, names, current.Webhook.Events)
	}
	if read, ok := sent.Text("url"); ok && read != url {
		w.URL = read
	}
	if active, ok := sent.Bool("active"); ok {
		w.Enabled = active
	}
	if read, ok := sent.ocelotAuth(); ok && !isShownAuth(read, auth, catalog.AuthBasic) {
		w.Auth = read
	}
	if overrides, ok := sent.Objects("perOfficeOverrides"); ok || sent.Cleared("perOfficeOverrides") {
		w.Overrides = ocelotOverrides(overrides, current.Webhook.Overrides)
	}
	return sent.Err()
}

// ocelotAuth reads the member auth; null is no auth.
func (o *Object) ocelotAuth() (auth catalog.Auth, ok bool) {
	auth.Type = catalog.AuthNone
	sent, ok := o.Object("auth")
	if !ok {
		return auth, o.Cleared("auth")
	}
	sent.Require("type")
	switch kind, _ := sent.String("type"); kind {
	case "", ocelotNoAuth:
	case ocelotBasic:
		sent.Require("username", "password")
		auth.Type = catalog.AuthBasic
		auth.Username, _ = sent.String("username")
		auth.Password, _ = sent.Secret("password")
	default:
		sent.Fail("type", `it is neither "Basic" nor "None"`)
	}
	return auth, true
}

// ocelotOverrides reads the list of overrides, which replaces the stored one. Of a stored override for the same office
// everything stays that the page has no word for.
func ocelotOverrides(sent []*Object, stored []catalog.Override) []catalog.Override {
	var overrides []catalog.Override
	for _, o := range sent {
		o.Require("office")
		next, before := catalog.Override{}, catalog.Override{}
		next.Office, _ = o.Text("office")
		if i := slices.IndexFunc(stored, func(s catalog.Override) bool { return s.Office == next.Office }); i >= 0 {
			before = stored[i]
		}
		next.Headers = before.Headers
		next.URL, _ = o.Text("url")
		if active, ok := o.Bool("active"); ok {
			next.Enabled = &active
		}
		if read, ok := o.ocelotAuth(); ok {
			next.Auth = &read
			if before.Auth != nil && isShownAuth(read, *before.Auth, catalog.AuthBasic) {
				next.Auth = before.Auth
			}
		}
		overrides = append(overrides, next)
	}
	return overrides
}
