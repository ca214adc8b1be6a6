package dialect_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// An update keeps what is omitted; null clears what may be absent.
func TestOphelos_UpdateKeepsWhatIsOmitted(t *testing.T) {
	for _, method := range []string{http.MethodPut, http.MethodPatch} {
		t.Run(method, func(t *testing.T) {
			a := newAPI(t)
			id := a.createOphelos(ophelosFull)
			password := func() string {
				v, err := a.hooks.FindOn(catalog.DefaultTenant, catalog.PlatformOphelos, id)
				require.NoError(t, err)
				require.Len(t, v.Webhook.Signing.Secrets, 1, "the signing key stays")
				return v.Webhook.Auth.Password.Reveal()
			}
			edits := []struct{ body, member, value, password string }{
				{`{}`, "url", `"https://example.com/hooks"`, "s3cret"},
				{`{"id":"other","object":"x","created_at":"x","signing_key":"mine"}`, "object", `"webhook"`, "s3cret"},
				{`{"url":"https://example.com/new"}`, "url", `"https://example.com/new"`, "s3cret"},
				{`{"enabled":false}`, "enabled", `false`, "s3cret"},
				{`{"enabled_events":["debt.paid"]}`, "enabled_events", `["debt.paid"]`, "s3cret"},
				{`{"enabled_events":null,"enabled":null}`, "enabled_events", `["debt.paid"]`, "s3cret"},
				{`{"version":"2025-04-01"}`, "version", `"2025-04-01"`, "s3cret"},
				{`{"credentials":{"type":"basic","username":"u","password":"redacted"}}`, "credentials", `{"type":"basic","username":"u","password":"redacted"}`, "s3cret"},
				{`{"filters":{"data":{"n":1}}}`, "filters", `{"data":{"n":1}}`, "s3cret"},
				{`{"filters":null}`, "filters", `null`, "s3cret"},
				{`{"metadata":{"a":1}}`, "metadata", `{"a":1}`, "s3cret"},
				{`{"metadata":null}`, "metadata", `{}`, "s3cret"},
				{`{"credentials":null}`, "credentials", `null`, ""},
			}
			for _, e := range edits {
				shown := a.do(method, ophelosWebhooks+"/"+id, e.body).is(http.StatusOK).object()
				require.Equal(t, id, shown["id"])
				require.NotContains(t, shown, "signing_key")
				requireMember(t, e.value, shown, e.member)
				require.Equal(t, e.password, password(), e.body)
			}
		})
	}
}

// What the platform has no word for reads as the nearest value, and is left alone by a client that sends back what it
// got.
func TestOphelos_LeavesAloneWhatItCannotExpress(t *testing.T) {
	a := newAPI(t)
	id := a.createOphelos(`{"url":"https://example.com"}`)
	tests := []struct{ edit, member, value string }{
		{`{"events":["*"],"displayName":"D","retry":"one"}`, "enabled_events", `["*"]`},
		{`{"events":["payment_plan.*","claim.open"]}`, "enabled_events", `["payment_plan.created","payment_plan.updated","payment_plan.deleted","payment_plan.activated","payment_plan.suggested","payment_plan.finished","payment_plan.canceled"]`},
		{`{"events":["claim.*"]}`, "enabled_events", `[]`},
		{`{"auth":{"type":"oauth2","tokenUrl":"https://example.com/token","clientId":"c","clientSecret":"s"}}`, "credentials", `null`},
		{`{"format":"standard","version":null}`, "version", `"2025-04-01"`},
	}
	for _, tt := range tests {
		a.do(http.MethodPatch, "/v1/webhooks/"+id, tt.edit).is(http.StatusOK)
		before := a.canonical(id)
		read := a.do(http.MethodGet, ophelosWebhooks+"/"+id, "").is(http.StatusOK)
		requireMember(t, tt.value, read.object(), tt.member)
		a.do(http.MethodPut, ophelosWebhooks+"/"+id, string(read.body)).is(http.StatusOK)
		after := a.canonical(id)
		for _, name := range []string{"revision", "updated"} {
			delete(before, name)
			delete(after, name)
		}
		require.Equal(t, before, after, tt.edit)
	}
}

// Suspension is not the owner's switch: a suspended webhook still reads as enabled, and an update does not end it.
func TestOphelos_SuspendedWebhook(t *testing.T) {
	a := newAPI(t)
	id := a.createOphelos(`{"url":"https://example.com"}`)
	a.do(http.MethodPost, "/v1/webhooks/"+id+"/suspend", `{"reason":"gone"}`).is(http.StatusOK)
	read := a.do(http.MethodGet, ophelosWebhooks+"/"+id, "").is(http.StatusOK)
	requireMember(t, `true`, read.object(), "enabled")
	a.do(http.MethodPut, ophelosWebhooks+"/"+id, string(read.body)).is(http.StatusOK)
	require.NotNil(t, a.canonical(id)["suspension"])
}
