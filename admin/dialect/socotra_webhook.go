package dialect

import (
	"slices"
	"strings"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// socotraWebhook is a WebhookResponse.
type socotraWebhook struct {
	Name                 string                 `json:"name"`
	DisplayName          string                 `json:"displayName,omitempty"`
	Enabled              bool                   `json:"enabled"`
	Events               []string               `json:"events"`
	FailureHandling      socotraFailureHandling `json:"failureHandling"`
	IntegrationName      string                 `json:"integrationName"`
	AlertIntegrationName string                 `json:"alertIntegrationName,omitempty"`
	RetryStrategy        string                 `json:"retryStrategy"`
	Suspended            bool                   `json:"suspended"`
	SuspendedTimestamp   string                 `json:"suspendedTimestamp,omitempty"`
}

// socotraFailureHandling is a FailureHandlingResponse.
type socotraFailureHandling struct {
	Mode             catalog.FailureMode `json:"mode"`
	ActOnStatusCodes []string            `json:"actOnStatusCodes"`
	ActOnTimeout     bool                `json:"actOnTimeout"`
}

// shownSocotraWebhook is a webhook as the platform shows it. One with an endpoint of its own, which the platform does
// not have, shows no integration.
func shownSocotraWebhook(v registry.View) socotraWebhook {
	w := v.Webhook
	shown := socotraWebhook{
		Name: w.ID, DisplayName: w.DisplayName, Enabled: w.Enabled, Events: shownEvents(catalog.PlatformSocotra, w.Events),
		FailureHandling: socotraFailureHandling{
			Mode: w.FailureHandling.Mode, ActOnTimeout: w.FailureHandling.ActOnTimeout,
			ActOnStatusCodes: append([]string{}, w.FailureHandling.ActOnStatusCodes...),
		},
		IntegrationName: w.Integration, RetryStrategy: shownRetryStrategy(w.Retry),
	}
	if w.Alert != nil {
		shown.AlertIntegrationName = w.Alert.Integration
	}
	if s := v.Suspension; s != nil && s.Active {
		shown.Suspended, shown.SuspendedTimestamp = true, socotraTimestamp(s.Since)
	}
	return shown
}

// retryStrategies are the names of the platform's schedules, which are the canonical ones.
var retryStrategies = []string{"none", "one", "three"}

// shownRetryStrategy is the strategy, or the one whose number of retries is nearest.
func shownRetryStrategy(r catalog.Retry) string {
	if slices.Contains(retryStrategies, r.Name) {
		return r.Name
	}
	switch len(r.Schedule()) {
	case 0:
		return "none"
	case 1:
		return "one"
	default:
		return "three"
	}
}

// newSocotraWebhook is a webhook of which nothing but the name was said: no events, no retries, and failures dropped.
func newSocotraWebhook(name string) *catalog.Webhook {
	return &catalog.Webhook{
		ID: name, Enabled: true, Events: []string{}, Format: catalog.FormatSocotra, Retry: catalog.Retry{Name: "none"},
		FailureHandling: catalog.FailureHandling{
			Mode: catalog.FailureNone, ActOnStatusCodes: []string{"4xx", "5xx"}, ActOnTimeout: true, Otherwise: catalog.FailureNone,
		},
	}
}

// socotraWebhookRequest is a WebhookRequest whose types are right. What was left out is nil, and keeps what is stored.
type socotraWebhookRequest struct {
	name                                                              string
	displayName, integrationName, alertIntegrationName, retryStrategy *string
	enabled                                                           *bool
	events                                                            *[]string
	mode                                                              *string
	actOnStatusCodes                                                  *[]string
	actOnTimeout                                                      *bool
	resetAlertIntegrationName                                         bool
}

func readSocotraWebhook(c *Call) (socotraWebhookRequest, error) {
	o, err := c.Object()
	if err != nil {
		return socotraWebhookRequest{}, err
	}
	var r socotraWebhookRequest
	o.Require("name")
	if name, ok := o.String("name"); ok {
		if r.name = name; name == "" {
			o.Fail("name", "it is empty")
		}
	}
	r.displayName = optional(o.String("displayName"))
	r.integrationName = optional(o.String("integrationName"))
	r.alertIntegrationName = optional(o.String("alertIntegrationName"))
	r.retryStrategy = oneOf(o, "retryStrategy", retryStrategies...)
	r.enabled = optional(o.Bool("enabled"))
	r.events = optional(o.Strings("events"))
	r.resetAlertIntegrationName, _ = o.Bool("resetAlertIntegrationName")
	if handling, ok := o.Object("failureHandling"); ok {
		r.mode = oneOf(handling, "mode", string(catalog.FailureNone), string(catalog.FailureDivert), string(catalog.FailureSuspend))
		r.actOnStatusCodes = optional(handling.Strings("actOnStatusCodes"))
		r.actOnTimeout = optional(handling.Bool("actOnTimeout"))
	}
	return r, o.Err()
}

// optional is a member that the client may have left out.
func optional[T any](value T, ok bool) *T {
	if !ok {
		return nil
	}
	return &value
}

// oneOf is a text member with few values.
func oneOf(o *Object, name string, allowed ...string) *string {
	text, ok := o.String(name)
	if !ok {
		return nil
	}
	if !slices.Contains(allowed, text) {
		o.Fail(name, "it is not one of "+strings.Join(allowed, ", "))
	}
	return &text
}

// apply merges the request into a webhook. What the client sends as it was shown changes nothing, so that a schedule or
// an endpoint that the platform cannot express stays.
func (r socotraWebhookRequest) apply(w *catalog.Webhook) error {
	shown := shownSocotraWebhook(registry.View{Webhook: w})
	assign(&w.DisplayName, r.displayName)
	assign(&w.Enabled, r.enabled)
	if r.events != nil {
		patterns, wrong := namedEvents(catalog.PlatformSocotra, "events", *r.events, w.Events)
		if len(wrong) > 0 {
			return Invalid(wrong)
		}
		w.Events = patterns
	}
	if r.retryStrategy != nil && *r.retryStrategy != shown.RetryStrategy {
		w.Retry = catalog.Retry{Name: *r.retryStrategy}
	}
	assign((*string)(&w.FailureHandling.Mode), r.mode)
	assign(&w.FailureHandling.ActOnStatusCodes, r.actOnStatusCodes)
	assign(&w.FailureHandling.ActOnTimeout, r.actOnTimeout)
	switch {
	case r.resetAlertIntegrationName: // also when the client sends the name back that it was shown
		w.Alert = nil
	case r.alertIntegrationName != nil:
		w.Alert = &catalog.Alert{Integration: *r.alertIntegrationName}
	}
	return r.applyIntegration(w, shown.IntegrationName)
}

// applyIntegration points the webhook at an integration. One that had an endpoint of its own loses it, as no webhook
// has both.
func (r socotraWebhookRequest) applyIntegration(w *catalog.Webhook, shown string) error {
	switch {
	case r.integrationName == nil, *r.integrationName == shown && w.URL != "":
		return nil
	case *r.integrationName == "":
		return Invalid([]catalog.FieldError{{Path: "integrationName", Message: "it is empty"}})
	}
	w.Integration = *r.integrationName
	if w.URL != "" {
		w.URL, w.Auth, w.Signing, w.TLS = "", catalog.Auth{}, catalog.Signing{}, catalog.TLS{}
		w.Delivery.Concurrency, w.Delivery.RateLimit = 0, 0
	}
	return nil
}

// assign sets what the client sent.
func assign[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}
