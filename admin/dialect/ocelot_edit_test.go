package dialect_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// otherPlatformsBodies are creations as the other platforms' pages have them.
var otherPlatformsBodies = []string{
	`{"url":"https://example.com","enabled_events":["*"],"version":"2025-04-01"}`,
	`{"name":"claims","integrationName":"receiver","events":["claim.open"]}`,
	`{"webhook":{"name":"Billing Events","url":"https://example.com","events":["RecurringPayments.charge.paid"]}}`,
}

// PUT keeps what is omitted, and passwords that are sent back as they are read.
func TestOcelot_PutKeepsWhatIsOmitted(t *testing.T) {
	a := newAPI(t)
	a.kept = []string{"s3cret", "s4cret"}
	a.do(http.MethodPost, ocelotWebhooks, ocelotFull).is(http.StatusOK)
	stored := func() (passwords []string) {
		v, err := a.hooks.FindOn("default", "ocelot", "my-incoming-sms-webhook")
		require.NoError(t, err)
		v.Webhook.EachSecret(func(_ string, s *catalog.Secret) {
			if s.IsSet() {
				passwords = append(passwords, s.Reveal())
			}
		})
		return passwords
	}
	require.Equal(t, []string{"s3cret", "s4cret"}, stored())
	edits := []struct {
		body, member, value string
		passwords           []string
	}{
		{`{}`, "active", `true`, []string{"s3cret", "s4cret"}},
		{`{"active":false}`, "active", `false`, []string{"s3cret", "s4cret"}},
		{`{"active":null}`, "active", `false`, []string{"s3cret", "s4cret"}},
		{`{"matchingEvents":["PhoneNumber.optedIn"]}`, "matchingEvents", `["PhoneNumber.optedIn"]`, []string{"s3cret", "s4cret"}},
		{`{"matchingEvents":["*"]}`, "matchingEvents", `["IncomingSms.received","OutboundSms.delivered","OutboundSms.deliveryFailed","PhoneNumber.optedOut","PhoneNumber.optedIn"]`, []string{"s3cret", "s4cret"}},
		{`{"auth":{"type":"Basic","username":"other","password":"redacted"}}`, "auth", `{"type":"Basic","username":"other","password":"redacted"}`, []string{"s3cret", "s4cret"}},
		{`{"auth":{"type":"Basic","username":"other","password":"new"}}`, "auth", `{"type":"Basic","username":"other","password":"redacted"}`, []string{"new", "s4cret"}},
		{`{"auth":null}`, "auth", `{"type":"None"}`, []string{"s4cret"}},
		{`{"perOfficeOverrides":[{"office":"new"},{"office":"south","auth":{"type":"Basic","username":"south","password":"redacted"}}]}`, "perOfficeOverrides",
			`[{"office":"new"},{"office":"south","auth":{"type":"Basic","username":"south","password":"redacted"}}]`, []string{"s4cret"}},
		{`{"perOfficeOverrides":null}`, "perOfficeOverrides", `[]`, nil},
	}
	for _, e := range edits {
		requireMember(t, e.value, a.do(http.MethodPut, ocelotPath, e.body).is(http.StatusOK).object(), e.member)
		require.Equal(t, e.passwords, stored(), e.body)
	}
}

// What the page has no word for reads as the nearest value, and is left alone by a client that sends back what it got.
func TestOcelot_LeavesAloneWhatItCannotExpress(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, ocelotWebhooks, ocelotMinimal).is(http.StatusOK)
	a.do(http.MethodPatch, "/v1/webhooks/sms-1", `{
		"displayName": "SMS", "events": ["*"], "filter": {"data": {"to": "+1"}}, "retry": "one", "headers": {"X-A": "b"},
		"auth": {"type": "bearer", "token": "t0ken"},
		"overrides": [{"office": "n", "auth": {"type": "header", "name": "X-Key", "value": "k3y"}, "headers": {"X-Office": "n"}}]
	}`).is(http.StatusOK)
	before := a.canonical("sms-1")
	read := a.do(http.MethodGet, ocelotWebhooks+"/sms-1", "").is(http.StatusOK)
	requireMember(t, `["IncomingSms.received","OutboundSms.delivered","OutboundSms.deliveryFailed","PhoneNumber.optedOut","PhoneNumber.optedIn"]`, read.object(), "matchingEvents")
	requireMember(t, `{"type":"None"}`, read.object(), "auth")
	requireMember(t, `[{"office":"n","auth":{"type":"None"}}]`, read.object(), "perOfficeOverrides")

	a.do(http.MethodPut, ocelotWebhooks+"/sms-1", string(read.body)).is(http.StatusOK)
	after := a.canonical("sms-1")
	require.EqualValues(t, before["revision"].(float64)+1, after["revision"])
	for _, name := range []string{"revision", "updated"} {
		delete(before, name)
		delete(after, name)
	}
	require.Equal(t, before, after)
}

// A webhook that /v1 pointed at an integration shows where that goes; the dialect cannot change it, and says so.
func TestOcelot_ShowsTheIntegrationOfAWebhook(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, ocelotWebhooks, ocelotMinimal).is(http.StatusOK)
	a.do(http.MethodPost, "/v1/integrations", `{"name":"crm","url":"https://crm.example.com","auth":{"type":"basic","username":"u","password":"p"}}`).is(http.StatusCreated)
	a.do(http.MethodPatch, "/v1/webhooks/sms-1", `{"url":null,"auth":null,"signing":null,"integration":"crm"}`).is(http.StatusOK)

	read := a.do(http.MethodGet, ocelotWebhooks+"/sms-1", "").is(http.StatusOK)
	requireMember(t, `"https://crm.example.com"`, read.object(), "url")
	requireMember(t, `{"type":"Basic","username":"u","password":"redacted"}`, read.object(), "auth")
	a.do(http.MethodPut, ocelotWebhooks+"/sms-1", string(read.body)).is(http.StatusOK)
	require.Equal(t, "crm", a.canonical("sms-1")["integration"])
	require.Contains(t, a.do(http.MethodPut, ocelotWebhooks+"/sms-1", `{"url":"https://example.com"}`).refused(http.StatusUnprocessableEntity), "url:")
	require.Contains(t, a.do(http.MethodPut, ocelotWebhooks+"/sms-1", `{"auth":{"type":"Basic","username":"x","password":"y"}}`).refused(http.StatusUnprocessableEntity), "auth:")
}
