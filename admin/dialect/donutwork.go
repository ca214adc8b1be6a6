package dialect

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// donutworkVersion is the date in every path: the version of the API.
const donutworkVersion = "/2026-02-01"

// ErrUnchecked is what a Services.CertificateCheck returns, wrapped, when it could not find out whether the certificate
// is valid. It is no fault of the URL: the client is asked to try again.
var ErrUnchecked = errors.New("the certificate could not be checked")

// Donutwork is the API of the payments platform: a paged list, webhooks that are created and deleted but never changed,
// a token that is shown once, and a URL whose certificate is checked before it is accepted.
//
// Where its page is silent: texts of errors follow the pattern of those it has; a page behind the last is empty; paging
// out of range is 400; what is not JSON is 400.
func Donutwork(s Services) Dialect {
	d := donutwork{shelf{s, catalog.PlatformDonutwork}}
	return Dialect{
		Platform: catalog.PlatformDonutwork,
		Fields:   map[string]string{"displayName": "webhook.name", "url": "webhook.url", "events": "webhook.events", "description": "webhook.description"},
		Routes: []Route{
			{http.MethodGet, donutworkVersion + "/webhooks.json", WebhooksRead, d.list},
			{http.MethodPost, donutworkVersion + "/webhooks.json", WebhooksWrite, d.createWebhook},
			{http.MethodGet, donutworkVersion + "/webhooks/types.json", WebhooksRead, d.types},
			{http.MethodGet, donutworkVersion + "/webhooks/{webhookId}.json", WebhooksRead, d.get},
			{http.MethodDelete, donutworkVersion + "/webhooks/{webhookId}.json", WebhooksWrite, d.delete},
			// The page calls the id a query parameter.
			{http.MethodGet, donutworkVersion + "/webhook.json", WebhooksRead, d.get},
			{http.MethodDelete, donutworkVersion + "/webhook.json", WebhooksWrite, d.delete},
		},
	}
}

type donutwork struct{ shelf }

// donutworkWebhook is a webhook as the platform shows it.
type donutworkWebhook struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	Token       string   `json:"token"`
}

func shownDonutworkWebhook(v registry.View) donutworkWebhook {
	w := v.Webhook
	to, _ := endpointOf(v)
	return donutworkWebhook{
		ID: w.ID, Name: w.DisplayName, Description: w.Description, URL: to,
		Events: shownEvents(catalog.PlatformDonutwork, w.Events), Token: catalog.Redacted,
	}
}

// donutworkPage is a page of the list.
type donutworkPage struct {
	Entities string `json:"entities"`
	Count    int    `json:"count"`
	PerPage  int    `json:"per_page"`
	Pages    struct {
		Current int `json:"current"`
		Max     int `json:"max"`
	} `json:"pages"`
	Elements []donutworkWebhook `json:"elements"`
}

const (
	donutworkMaxSize = 100
	// donutworkLastPage bounds the page index, far behind any list and far from what arithmetic bears.
	donutworkLastPage = 1_000_000_000
)

func (d donutwork) list(_ context.Context, c *Call) (Reply, error) {
	size, err := c.IntQuery("size", donutworkMaxSize, 1, donutworkMaxSize)
	if err != nil {
		return Reply{}, missing("size")
	}
	page, err := c.IntQuery("page", 1, 1, donutworkLastPage)
	if err != nil {
		return Reply{}, missing("page")
	}
	answer := donutworkPage{Entities: "Webhook", PerPage: size, Elements: []donutworkWebhook{}}
	first := int64(page-1) * int64(size)
	for view := range d.all(c.Tenant) {
		if at := int64(answer.Count); first <= at && at < first+int64(size) {
			answer.Elements = append(answer.Elements, shownDonutworkWebhook(view))
		}
		answer.Count++
	}
	answer.Pages.Current, answer.Pages.Max = page, max(1, (answer.Count+size-1)/size)
	return Reply{Body: answer}, nil
}

func (d donutwork) types(context.Context, *Call) (Reply, error) {
	return Reply{Body: platformEvents(catalog.PlatformDonutwork)}, nil
}

func (d donutwork) createWebhook(ctx context.Context, c *Call) (Reply, error) {
	sent, err := readDonutworkWebhook(c)
	if err != nil {
		return Reply{}, err
	}
	to, err := d.Rules.Egress.CheckURL(sent.url)
	if err != nil {
		return Reply{}, malformed(err)
	}
	events, wrong := namedEvents(catalog.PlatformDonutwork, "events", sent.events, nil)
	if len(wrong) > 0 {
		return Reply{}, Refuse(http.StatusUnprocessableEntity, "Some events are not available")
	}
	if err := d.checkCertificate(ctx, to); err != nil {
		return Reply{}, err
	}
	token := generateKey("")
	view, err := d.create(ctx, c.Tenant, c.Request, &catalog.Webhook{
		DisplayName: sent.name, Description: sent.description, URL: sent.url, Events: events, Enabled: true, Format: catalog.FormatDonutwork,
		Signing: catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{{Value: token, Encoding: catalog.SecretRaw}}},
	})
	if err != nil {
		return Reply{}, err
	}
	shown := shownDonutworkWebhook(view)
	if holds(view, token) {
		shown.Token = token.Reveal() // this once
	}
	return Reply{Body: shown}, nil
}

// checkCertificate makes sure that deliveries will find a certificate that they accept. A URL without TLS, where the
// operator allows it, has none to check.
func (d donutwork) checkCertificate(ctx context.Context, to *url.URL) error {
	if d.CertificateCheck == nil || to.Scheme != "https" {
		return nil
	}
	err := d.CertificateCheck(ctx, to)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnchecked):
		return Refuse(http.StatusServiceUnavailable, "TLS certificate validation is not available now. Try again.")
	default: // what was found there is not for the client, whom it would tell about networks
		return Refuse(http.StatusBadRequest, `%s TLS certificate validation failed.`, missing("url").Text)
	}
}

// missing refuses a field in the words of the page.
func missing(field string) *Error {
	return Refuse(http.StatusBadRequest, `A valid "%s" must be specified.`, field)
}

// malformed refuses a URL. It says the reason, which never repeats the URL.
func malformed(err error) *Error {
	text := missing("url").Text
	var refused *catalog.URLError
	if errors.As(err, &refused) {
		reason := string(refused.Reason)
		text += " " + strings.ToUpper(reason[:1]) + reason[1:] + "."
	}
	return Refuse(http.StatusUnprocessableEntity, "%s", text)
}

// donutworkRequest is the body of a creation with everything in it that is required.
type donutworkRequest struct {
	name, description, url string
	events                 []string
}

// readDonutworkWebhook refuses the first field that is missing or of the wrong type, in the page's order.
func readDonutworkWebhook(c *Call) (donutworkRequest, error) {
	body, err := c.Object()
	if err != nil {
		return donutworkRequest{}, err
	}
	o, ok := body.Object("webhook")
	if !ok {
		return donutworkRequest{}, missing("webhook")
	}
	var r donutworkRequest
	for _, text := range []struct {
		field string
		to    *string
	}{{"name", &r.name}, {"url", &r.url}} {
		if *text.to, _ = o.String(text.field); strings.TrimSpace(*text.to) == "" {
			return donutworkRequest{}, missing(text.field)
		}
	}
	if r.events = readEvents(o); len(r.events) == 0 {
		return donutworkRequest{}, missing("events")
	}
	if r.description, ok = o.String("description"); !ok && o.Has("description") {
		return donutworkRequest{}, missing("description")
	}
	return r, nil
}

// readEvents reads an array of names or a single one; nil when it is neither or a name is empty.
func readEvents(o *Object) []string {
	var one string
	if json.Unmarshal(o.Raw("events"), &one) == nil && one != "" {
		return []string{one}
	}
	var several []string
	if json.Unmarshal(o.Raw("events"), &several) != nil || slices.Contains(several, "") { // null reads as empty
		return nil
	}
	return several
}

// webhookID is in the path or in the query.
func webhookID(c *Call) (string, error) {
	if id, ok := c.Params["webhookId"]; ok {
		return id, nil
	}
	if id := c.Query.Get("webhookId"); id != "" {
		return id, nil
	}
	return "", missing("webhookId")
}

func (d donutwork) get(_ context.Context, c *Call) (Reply, error) {
	id, err := webhookID(c)
	if err != nil {
		return Reply{}, err
	}
	view, err := d.find(c.Tenant, id)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return Reply{}, Refuse(http.StatusNotFound, "Webhook not found.")
	case err != nil:
		return Reply{}, err
	}
	return Reply{Body: shownDonutworkWebhook(view)}, nil
}

func (d donutwork) delete(ctx context.Context, c *Call) (Reply, error) {
	id, err := webhookID(c)
	if err != nil {
		return Reply{}, err
	}
	_, err = d.remove(ctx, c.Tenant, id)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return Reply{}, Refuse(http.StatusNotFound, "Webhook not found. Unable to delete unknown resource")
	case err != nil:
		return Reply{}, err
	}
	return Reply{Body: map[string]any{"id": id, "deleted": true}}, nil
}
