package dialect

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// Socotra is the API of the insurance platform: webhooks that are upserted by name and point at integrations, what is
// done about failures, and diverted events addressed by transaction.
//
// Where its page is silent: content that is not valid is 422 and names the fields as the page does; what is not JSON,
// and a limit or offset out of range, is 400; calls that return "void" answer 200 with an empty body.
func Socotra(s Services) Dialect {
	d := socotra{shelf{s, catalog.PlatformSocotra}}
	return Dialect{
		Platform: catalog.PlatformSocotra,
		Fields: map[string]string{
			"id": "name", "integration": "integrationName", "alert.integration": "alertIntegrationName", "retry": "retryStrategy",
			"tls.insecureSkipVerify": "securitySpec.secureSSL", "signing.secrets": "securitySpec.secret",
			"signing.secrets[0].value": "securitySpec.secret", "signing.secrets[0].tag": "securitySpec.tag",
			"auth.name": "headers." + headerAuthorization, "auth.value": "headers." + headerAuthorization,
		},
		Routes: []Route{
			{http.MethodPut, "/webhooks", WebhooksWrite, d.putWebhook},
			{http.MethodGet, "/webhooks", WebhooksRead, d.listWebhooks},
			{http.MethodGet, "/webhooks/{name}", WebhooksRead, d.getWebhook},
			{http.MethodDelete, "/webhooks/{name}", WebhooksWrite, d.deleteWebhook},
			{http.MethodPatch, "/webhooks/{name}/unsuspend", WebhooksWrite, d.unsuspendWebhook},
			{http.MethodGet, "/webhooks/{name}/diverted", DivertedRead, d.listDiverted},
			{http.MethodDelete, "/webhooks/{name}/diverted/{transactionId}", DivertedWrite, d.deleteDiverted},
			{http.MethodPost, "/webhooks/{name}/diverted/{transactionId}/resend", DivertedWrite, d.resendDiverted},
			{http.MethodGet, "/integrations", WebhooksRead, d.listIntegrations},
			{http.MethodPost, "/integrations", WebhooksWrite, d.createIntegration},
			{http.MethodPut, "/integrations/{integrationName}", WebhooksWrite, d.replaceIntegration},
			{http.MethodDelete, "/integrations/{integrationName}", WebhooksWrite, d.deleteIntegration},
		},
	}
}

type socotra struct{ shelf }

// upsertTries bounds how often an upsert that found nothing to update finds, on creating it, that there is one now.
const upsertTries = 5

func (d socotra) putWebhook(ctx context.Context, c *Call) (Reply, error) {
	sent, err := readSocotraWebhook(c)
	if err != nil {
		return Reply{}, err
	}
	for try := 1; ; try++ {
		view, err := d.edit(ctx, c.Tenant, sent.name, func(_ registry.View, w *catalog.Webhook) error { return sent.apply(w) })
		if errors.Is(err, registry.ErrNotFound) {
			view, err = d.createWebhook(ctx, c.Tenant, sent)
		}
		switch {
		case errors.Is(err, registry.ErrExists) && try < upsertTries:
			continue
		case err != nil:
			return Reply{}, err
		}
		return Reply{Body: shownSocotraWebhook(view)}, nil
	}
}

func (d socotra) createWebhook(ctx context.Context, tenant string, sent socotraWebhookRequest) (registry.View, error) {
	if sent.integrationName == nil {
		return registry.View{}, Invalid([]catalog.FieldError{{Path: "integrationName", Message: "it is required to create a webhook"}})
	}
	w := newSocotraWebhook(sent.name)
	if err := sent.apply(w); err != nil {
		return registry.View{}, err
	}
	return d.create(ctx, tenant, Request{}, w) // a PUT is safe to repeat
}

func (d socotra) listWebhooks(_ context.Context, c *Call) (Reply, error) {
	webhooks := []socotraWebhook{}
	for view := range d.all(c.Tenant) {
		webhooks = append(webhooks, shownSocotraWebhook(view))
	}
	return Reply{Body: map[string]any{"webhooks": webhooks}}, nil
}

// named finds the webhook that the path names.
func (d socotra) named(c *Call) (registry.View, error) {
	view, err := d.find(c.Tenant, c.Params["name"])
	return view, noSuchWebhook(err, c)
}

// noSuchWebhook words the error of a webhook that is not there.
func noSuchWebhook(err error, c *Call) error {
	if errors.Is(err, registry.ErrNotFound) {
		return Refuse(http.StatusNotFound, "There is no webhook %q", shorten(c.Params["name"]))
	}
	return err
}

func (d socotra) getWebhook(_ context.Context, c *Call) (Reply, error) {
	view, err := d.named(c)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Body: shownSocotraWebhook(view)}, nil
}

func (d socotra) deleteWebhook(ctx context.Context, c *Call) (Reply, error) {
	_, err := d.remove(ctx, c.Tenant, c.Params["name"])
	return Reply{}, noSuchWebhook(err, c)
}

// unsuspendWebhook leaves what was diverted where it is: the page has calls of its own for resending it.
func (d socotra) unsuspendWebhook(ctx context.Context, c *Call) (Reply, error) {
	view, err := d.named(c)
	if err != nil {
		return Reply{}, err
	}
	const resend = false
	if view, err = d.Registry.Unsuspend(ctx, c.Tenant, view.Webhook.UID, resend); err != nil {
		return Reply{}, noSuchWebhook(err, c)
	}
	return Reply{Body: shownSocotraWebhook(view)}, nil
}

// socotraTimestamp is how the platform writes a time: milliseconds since 1970, as text.
func socotraTimestamp(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
