package demo

import (
	"encoding/json"
	"slices"

	"eventrelay/catalog"
)

// Webhook is one that the demo registers. Its receiver's path is its name without "demo-".
type Webhook struct {
	ID          string
	Description string
	Format      catalog.Format
	Events      []string
	Domains     []string
	Filter      json.RawMessage
	Retry       *catalog.Retry // nil: the API's default
}

// flakyID is the webhook whose receiver fails and recovers.
const flakyID = "demo-flaky"

// Webhooks are the demo's: one for each payload format, together seeing all domains without flooding the screen, and
// one for failures.
func Webhooks() []Webhook { return slices.Clone(webhooks) }

var webhooks = []Webhook{
	{ID: "demo-standard", Format: catalog.FormatStandard, Events: []string{"*"}, Description: "All events"},
	{ID: "demo-cloudevents", Format: catalog.FormatCloudEvents, Events: []string{"*"}, Domains: []string{"payment", "claim"}, Description: "Two domains"},
	{ID: "demo-cloudevents-binary", Format: catalog.FormatCloudEventsBinary, Events: []string{"policy.*", "renewal.*"}, Description: "Two families of types"},
	{ID: "demo-raw", Format: catalog.FormatRaw, Events: []string{"IncomingSms.received", "OutboundSms.deliveryFailed"}, Description: "Two types"},
	{ID: flakyID, Format: catalog.FormatStandard, Events: []string{"debt.*"}, Description: "Fails and recovers",
		Filter: json.RawMessage(`{"data":{"summary":{"amount_total":{"$gte":40000}}}}`),
		// Short, so that a delivery is given up while somebody watches.
		Retry: &catalog.Retry{Custom: flakyRetries}},
	{ID: "demo-ophelos", Format: catalog.FormatOphelos, Events: []string{"debt.paid", "debt.disputed"}, Description: "As Ophelos sends them"},
	{ID: "demo-socotra", Format: catalog.FormatSocotra, Events: []string{"claim.open", "policy.issue"}, Description: "As Socotra sends them"},
	{ID: "demo-ocelot", Format: catalog.FormatOcelot, Events: []string{"IncomingSms.received", "PhoneNumber.optedOut"}, Description: "As Ocelot sends them"},
	{ID: "demo-donutwork", Format: catalog.FormatDonutwork, Events: []string{"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"}, Description: "As Donutwork sends them"},
	// Without the version: every version.
	{ID: "demo-receeve", Format: catalog.FormatReceeve, Events: []string{"event.claim.created", "event.claim.updated"}, Description: "As receeve sends them"},
}

// path is where the webhook's receiver listens.
func (w Webhook) path() string { return "/" + w.ID[len("demo-"):] }

// resource is the body that registers the webhook.
func (w Webhook) resource(url, secret string) map[string]any {
	body := map[string]any{
		"id": w.ID, "displayName": w.Description, "format": w.Format, "events": w.Events,
	}
	for name, value := range w.endpoint(url, secret) {
		body[name] = value
	}
	if len(w.Domains) > 0 {
		body["domains"] = w.Domains
	}
	if len(w.Filter) > 0 {
		body["filter"] = w.Filter
	}
	if w.Retry != nil {
		body["retry"] = w.Retry
	}
	return body
}

// endpoint is the part that must agree with the receiver of this start: everything else is the developer's to edit.
func (w Webhook) endpoint(url, secret string) map[string]any {
	switch w.Format {
	case catalog.FormatOcelot: // not signed: the credentials say who sends
		return map[string]any{
			"url": url, "signing": map[string]any{"enabled": false},
			"auth": map[string]any{"type": catalog.AuthBasic, "username": basicUser, "password": secret},
		}
	case catalog.FormatReceeve: // signed with the tenant's key pair
		return map[string]any{"url": url, "signing": map[string]any{"enabled": false}}
	}
	encoding := catalog.SecretWhsec
	switch w.Format {
	case catalog.FormatOphelos, catalog.FormatSocotra, catalog.FormatDonutwork: // whose key is the secret's characters
		encoding = catalog.SecretRaw
	}
	return map[string]any{
		"url":     url,
		"signing": map[string]any{"enabled": true, "secrets": []map[string]any{{"value": secret, "encoding": encoding}}},
	}
}
