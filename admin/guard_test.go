package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/relay/deliver/outbound/guardtest"
)

// Every request by which somebody can have the relay remember an address, over every address that is refused: on /v1
// and in every dialect, at creation and at an edit. Nothing that is refused is stored.
func TestGuard_AtRegistration(t *testing.T) {
	a := newFullAPI(t)
	const fine = "https://example.com/"
	a.create(`{"id": "w", "url": "` + fine + `"}`)
	a.do(http.MethodPost, "/v1/integrations", `{"name": "in", "url": "`+fine+`"}`).is(http.StatusCreated)
	a.do(http.MethodPost, "/ocelot/webhooks", `{"id": "o", "matchingEvents": ["IncomingSms.received"], "url": "`+fine+`", "auth": {"type": "None"}, "active": true, "perOfficeOverrides": []}`)
	made := a.do(http.MethodPost, "/ophelos/webhooks", `{"url": "`+fine+`"}`).is(http.StatusCreated).json()
	a.do(http.MethodPost, "/socotra/integrations", `{"name": "s", "url": "`+fine+`"}`)
	const oauth2 = `"auth": {"type": "oauth2", "tokenUrl": %s, "clientId": "c", "clientSecret": "s"}`
	registrations := []struct{ method, path, body string }{
		{http.MethodPost, "/v1/webhooks", `{"url": %s}`},
		{http.MethodPost, "/v1/webhooks", `{"url": "` + fine + `", ` + oauth2 + `}`},
		{http.MethodPost, "/v1/webhooks", `{"url": "` + fine + `", "overrides": [{"office": "north", "url": %s}]}`},
		{http.MethodPost, "/v1/webhooks", `{"url": "` + fine + `", "overrides": [{"office": "north", ` + oauth2 + `}]}`},
		{http.MethodPut, "/v1/webhooks/w", `{"url": %s}`},
		{http.MethodPut, "/v1/webhooks/w", `{"url": "` + fine + `", ` + oauth2 + `}`},
		{http.MethodPatch, "/v1/webhooks/w", `{"url": %s}`},
		{http.MethodPatch, "/v1/webhooks/w", `{` + oauth2 + `}`},
		{http.MethodPatch, "/v1/webhooks/w", `{"overrides": [{"office": "north", "url": %s}]}`},
		{http.MethodPost, "/v1/integrations", `{"name": "other", "url": %s}`},
		{http.MethodPost, "/v1/integrations", `{"name": "other", "url": "` + fine + `", ` + oauth2 + `}`},
		{http.MethodPut, "/v1/integrations/in", `{"url": %s}`},
		{http.MethodPut, "/v1/integrations/in", `{"url": "` + fine + `", ` + oauth2 + `}`},
		{http.MethodPost, "/ophelos/webhooks", `{"url": %s}`},
		{http.MethodPut, fmt.Sprintf("/ophelos/webhooks/%s", made["id"]), `{"url": %s}`},
		{http.MethodPost, "/ocelot/webhooks", `{"id": "p", "matchingEvents": ["IncomingSms.received"], "url": %s, "auth": {"type": "None"}, "active": true, "perOfficeOverrides": []}`},
		{http.MethodPut, "/ocelot/webhooks/o", `{"id": "o", "matchingEvents": ["IncomingSms.received"], "url": %s, "auth": {"type": "None"}, "active": true, "perOfficeOverrides": []}`},
		{http.MethodPost, "/ocelot/webhooks", `{"id": "p", "matchingEvents": ["IncomingSms.received"], "url": "` + fine + `", "auth": {"type": "None"}, "active": true, "perOfficeOverrides": [{"office": "north", "url": %s}]}`},
		{http.MethodPost, "/donutwork/2026-02-01/webhooks.json", `{"webhook": {"name": "n", "url": %s, "events": "RecurringPayments.charge.paid"}}`},
		{http.MethodPost, "/socotra/integrations", `{"name": "t", "url": %s}`},
		{http.MethodPut, "/socotra/integrations/s", `{"url": %s}`},
	}
	stored := func() int { return len(a.registry.webhooks) + len(a.registry.integrations) }
	before, tried := stored(), 0
	for _, r := range registrations {
		// With an address that is allowed it is no mistake: what is refused below is the address.
		if r.method != http.MethodPost {
			quoted := fmt.Sprintf(r.body, `"`+fine+`"`)
			require.Equal(t, http.StatusOK, a.do(r.method, r.path, quoted).status, "%s %s %s", r.method, r.path, quoted)
		}
		for _, url := range guardtest.DeniedURLs {
			tried++
			quoted, err := json.Marshal(url)
			require.NoError(t, err)
			answer := a.do(r.method, r.path, fmt.Sprintf(r.body, quoted))
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, answer.status, "%s %s with %q: %s", r.method, r.path, url, answer.body)
			require.Contains(t, strings.ToLower(string(answer.body)), "url", "the answer names the field")
		}
	}
	require.Equal(t, before, stored(), "nothing was made")
	for _, w := range a.registry.webhooks {
		require.Equal(t, fine, w.URL)
		for _, o := range w.Overrides {
			require.NotContains(t, guardtest.DeniedURLs, o.URL)
		}
	}
	for _, in := range a.registry.integrations {
		require.Equal(t, fine, in.URL)
		require.False(t, slices.Contains(guardtest.DeniedURLs, in.Auth.TokenURL))
	}
	t.Logf("%d addresses at %d registrations: %d requests refused", len(guardtest.DeniedURLs), len(registrations), tried)
}
