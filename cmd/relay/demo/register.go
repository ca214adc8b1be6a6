package demo

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"eventrelay/catalog"
)

// adopt makes a webhook that is there, of an earlier start, agree with the receiver of this one. One that its developer
// has pointed at an integration of theirs is left alone.
func (w Webhook) adopt(ctx context.Context, api *API, there Registered, to, secret string) error {
	switch there.Integration {
	case "":
		return api.PatchWebhook(ctx, there.UID, w.endpoint(to, secret))
	case w.ID:
		return w.pointIntegration(ctx, api, to, secret)
	default:
		return nil
	}
}

// create makes a webhook: through the API of its platform, if that has one, so that it is listed there, else through
// /v1. What a platform's API has no word for is added through /v1, as anybody can.
func (w Webhook) create(ctx context.Context, api *API, to, secret string) error {
	switch w.Format {
	case catalog.FormatOphelos:
		// Disabled until it has the secret that the receiver knows.
		return w.createNamed(ctx, api, "/ophelos/webhooks", map[string]any{"url": to, "enabled_events": w.Events, "enabled": false}, to, secret)
	case catalog.FormatDonutwork:
		return w.createNamed(ctx, api, "/donutwork/2026-02-01/webhooks.json",
			map[string]any{"webhook": map[string]any{"name": w.Description, "url": to, "events": w.Events}}, to, secret)
	case catalog.FormatOcelot:
		body := map[string]any{"id": w.ID, "matchingEvents": w.Events, "url": to, "active": true, "perOfficeOverrides": []any{},
			"auth": map[string]any{"type": "Basic", "username": basicUser, "password": secret}}
		if err := api.do(ctx, http.MethodPost, "/ocelot/webhooks", body, nil); err != nil {
			return err
		}
		return api.PatchWebhook(ctx, w.ID, map[string]any{"displayName": w.Description})
	case catalog.FormatSocotra:
		return w.createIntegrated(ctx, api, to, secret)
	}
	return api.CreateWebhook(ctx, w.resource(to, secret))
}

// createNamed makes a webhook through an API that gives it an id, then calls it as the demo does. A crash in between is
// made good by the next start, which gets the same webhook for the same Idempotency-Key.
func (w Webhook) createNamed(ctx context.Context, api *API, path string, body map[string]any, to, secret string) error {
	var made struct {
		ID string `json:"id"`
	}
	if err := api.do(ctx, http.MethodPost, path, body, &made, "Idempotency-Key", w.ID+"@"+to); err != nil {
		return err
	}
	if made.ID == "" {
		return fmt.Errorf("POST %s: the answer names no id", path)
	}
	patch := w.endpoint(to, secret)
	maps.Copy(patch, map[string]any{"id": w.ID, "displayName": w.Description, "enabled": true})
	return api.PatchWebhook(ctx, made.ID, patch)
}

// createIntegrated makes a webhook of a platform whose webhooks have no URL: an integration of the same name has it.
func (w Webhook) createIntegrated(ctx context.Context, api *API, to, secret string) error {
	err := api.do(ctx, http.MethodPost, "/socotra/integrations", map[string]any{"name": w.ID, "url": to}, nil)
	if err != nil && !hasStatus(err, http.StatusConflict) { // of an earlier start
		return err
	}
	if err := w.pointIntegration(ctx, api, to, secret); err != nil {
		return err
	}
	return api.do(ctx, http.MethodPut, "/socotra/webhooks", map[string]any{
		"name": w.ID, "displayName": w.Description, "integrationName": w.ID, "events": w.Events, "retryStrategy": "three",
		"failureHandling": map[string]any{"mode": catalog.FailureDivert, "actOnStatusCodes": []string{"4xx", "5xx"}, "actOnTimeout": true},
	}, nil)
}

// pointIntegration gives the webhook's integration this receiver's address and secret, and leaves the rest of it.
func (w Webhook) pointIntegration(ctx context.Context, api *API, to, secret string) error {
	path := "/v1/integrations/" + url.PathEscape(w.ID)
	var integration map[string]any
	if err := api.do(ctx, http.MethodGet, path, nil, &integration); err != nil {
		return err
	}
	maps.Copy(integration, w.endpoint(to, secret))
	return api.do(ctx, http.MethodPut, path, integration, nil)
}
