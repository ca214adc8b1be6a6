package dialect_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

const (
	socotraHooks        = "/socotra/webhooks"
	socotraIntegrations = "/socotra/integrations"
)

// newSocotra has the integrations "claims" and "pager".
func newSocotra(t *testing.T, options ...option) *api {
	a := newAPI(t, options...)
	for _, name := range []string{"claims", "pager"} {
		a.do(http.MethodPost, socotraIntegrations, `{"name":"`+name+`","url":"https://`+name+`.example.com/in"}`).is(http.StatusOK)
	}
	return a
}

// socotraMinimal is the least that makes a webhook.
const socotraMinimal = `{"name":"claims hook","integrationName":"claims"}`

// TestSocotra_Endpoints makes the calls of the page's index in its order.
func TestSocotra_Endpoints(t *testing.T) {
	a := newSocotra(t)
	const path = socotraHooks + "/claims%20hook"

	created := a.do(http.MethodPut, socotraHooks, socotraMinimal).is(http.StatusOK).body
	require.JSONEq(t, `{
		"name":"claims hook","enabled":true,"events":[],"integrationName":"claims","retryStrategy":"none","suspended":false,
		"failureHandling":{"mode":"none","actOnStatusCodes":["4xx","5xx"],"actOnTimeout":true}}`, string(created))
	require.JSONEq(t, `{"webhooks":[`+string(created)+`]}`, string(a.do(http.MethodGet, socotraHooks, "").is(http.StatusOK).body))
	require.JSONEq(t, string(created), string(a.do(http.MethodGet, path, "").is(http.StatusOK).body))

	view, err := a.hooks.FindOn(catalog.DefaultTenant, catalog.PlatformSocotra, "claims hook")
	require.NoError(t, err)
	uid := view.Webhook.UID
	require.Equal(t, catalog.FormatSocotra, view.Webhook.Format)
	require.Equal(t, catalog.FailureNone, view.Webhook.FailureHandling.Otherwise, "failures that are not named are dropped")

	suspension, err := a.hooks.Suspend(t.Context(), uid, "test", "")
	require.NoError(t, err)
	suspended := a.do(http.MethodGet, path, "").is(http.StatusOK).object()
	require.Equal(t, true, suspended["suspended"])
	require.Equal(t, strconv.FormatInt(suspension.Since.UnixMilli(), 10), suspended["suspendedTimestamp"], "milliseconds as text")
	for range 2 { // also when it is not suspended
		require.JSONEq(t, string(created), string(a.do(http.MethodPatch, path+"/unsuspend", "", header{"Content-Type", ""}).is(http.StatusOK).body))
	}
	ended, _ := a.hooks.Suspension(uid)
	require.False(t, ended.Drains(ended.Epoch), "what was diverted stays where it is")

	require.Empty(t, a.do(http.MethodDelete, path, "").is(http.StatusOK).body, "void")
	a.do(http.MethodGet, path, "").refused(http.StatusNotFound)
	require.JSONEq(t, `{"webhooks":[]}`, string(a.do(http.MethodGet, socotraHooks, "").is(http.StatusOK).body))
}

// TestSocotra_WebhookRequest sets every field of the page, in its order, reads it back, and leaves it out of an update.
func TestSocotra_WebhookRequest(t *testing.T) {
	for _, row := range []struct {
		field, sent string
		shown       string // empty: as it was sent
		canonical   string // member of /v1 and its JSON
	}{
		{"alertIntegrationName", `"pager"`, "", `alert={"integration":"pager"}`},
		{"displayName", `"Claims & co"`, "", `displayName="Claims & co"`},
		{"enabled", `false`, "", `enabled=false`},
		{"events", `["claim.open","policy.end"]`, "", `events=["claim.open","policy.end"]`},
		{"events", `["policy.end","claim.open","claim.open"]`, `["claim.open","policy.end"]`, `events=["claim.open","policy.end"]`},
		{"failureHandling", `{"mode":"divert","actOnStatusCodes":["503","4xx"],"actOnTimeout":false}`, "",
			`failureHandling={"mode":"divert","actOnStatusCodes":["503","4xx"],"actOnTimeout":false,"otherwise":"none"}`},
		{"failureHandling", `{"mode":"suspend"}`, `{"mode":"suspend","actOnStatusCodes":["4xx","5xx"],"actOnTimeout":true}`, ``},
		{"failureHandling", `{"actOnStatusCodes":[]}`, `{"mode":"none","actOnStatusCodes":[],"actOnTimeout":true}`, ``},
		{"integrationName", `"pager"`, "", `integration="pager"`},
		{"retryStrategy", `"one"`, "", `retry="one"`},
		{"retryStrategy", `"three"`, "", `retry="three"`},
	} {
		t.Run(row.field+row.sent, func(t *testing.T) {
			a := newSocotra(t)
			a.do(http.MethodPut, socotraHooks, socotraMinimal).is(http.StatusOK)
			if row.shown == "" {
				row.shown = row.sent
			}
			update := fmt.Sprintf(`{"name":"claims hook",%q:%s}`, row.field, row.sent)
			require.JSONEq(t, row.shown, a.do(http.MethodPut, socotraHooks, update).is(http.StatusOK).member(row.field))
			if name, value, ok := strings.Cut(row.canonical, "="); ok {
				require.JSONEq(t, value, a.do(http.MethodGet, "/v1/webhooks/claims%20hook", "").is(http.StatusOK).member(name))
			}
			kept := a.do(http.MethodPut, socotraHooks, `{"name":"claims hook","unknown":1,"enabled":null}`).is(http.StatusOK)
			require.JSONEq(t, row.shown, kept.member(row.field), "what is omitted is kept")
			again := a.do(http.MethodPut, socotraHooks, string(kept.body)).is(http.StatusOK)
			require.JSONEq(t, string(kept.body), string(again.body), "what a client gets it may put back")
		})
	}
}

// member is the JSON of one member of the body.
func (r reply) member(name string) string {
	r.t.Helper()
	var members map[string]json.RawMessage
	require.NoError(r.t, json.Unmarshal(r.body, &members), "%s", r.body)
	return string(members[name])
}

func TestSocotra_ResetAlertIntegrationName(t *testing.T) {
	a := newSocotra(t)
	a.do(http.MethodPut, socotraHooks, `{"name":"w","integrationName":"claims","alertIntegrationName":"pager","resetAlertIntegrationName":false}`).is(http.StatusOK)
	shown := a.do(http.MethodGet, socotraHooks+"/w", "").is(http.StatusOK).object()
	require.Equal(t, "pager", shown["alertIntegrationName"])
	shown["resetAlertIntegrationName"] = true
	body, err := json.Marshal(shown)
	require.NoError(t, err)
	require.NotContains(t, a.do(http.MethodPut, socotraHooks, string(body)).is(http.StatusOK).object(), "alertIntegrationName")
	a.do(http.MethodDelete, socotraIntegrations+"/pager", "").is(http.StatusOK)
}

// Every type of the page is accepted, "*" means all of them, and no other platform's.
func TestSocotra_Events(t *testing.T) {
	a := newSocotra(t)
	var names []string
	for _, et := range catalog.PlatformTypes(catalog.PlatformSocotra) {
		names = append(names, et.Name)
	}
	require.Len(t, names, 100)
	all, err := json.Marshal(names)
	require.NoError(t, err)
	for _, events := range []string{string(all), `["*"]`} {
		put := fmt.Sprintf(`{"name":"w","integrationName":"claims","events":%s}`, events)
		require.JSONEq(t, string(all), a.do(http.MethodPut, socotraHooks, put).is(http.StatusOK).member("events"))
		require.JSONEq(t, string(all), a.do(http.MethodGet, "/v1/webhooks/w", "").is(http.StatusOK).member("events"))
	}
}

func TestSocotra_BadWebhooks(t *testing.T) {
	a := newSocotra(t)
	a.do(http.MethodPut, socotraHooks, `{"name":"there","integrationName":"claims"}`).is(http.StatusOK)
	before := a.do(http.MethodGet, socotraHooks, "").is(http.StatusOK).body
	for _, row := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"integrationName":"claims"}`, 422, "name: "},
		{`{"name":null,"integrationName":"claims"}`, 422, "name: "},
		{`{"name":"","integrationName":"claims"}`, 422, "name: "},
		{`{"name":7,"integrationName":"claims"}`, 422, "name: "},
		{`{"name":"` + strings.Repeat("n", 257) + `","integrationName":"claims"}`, 422, "name: "},
		{`{"name":"new"}`, 422, "integrationName: "},
		{`{"name":"new","integrationName":""}`, 422, "integrationName: "},
		{`{"name":"new","integrationName":"nobody"}`, 422, "integrationName: "},
		{`{"name":"there","integrationName":"nobody"}`, 422, "integrationName: "},
		{`{"name":"there","integrationName":""}`, 422, "integrationName: "},
		{`{"name":"there","integrationName":["claims"]}`, 422, "integrationName: "},
		{`{"name":"there","alertIntegrationName":"nobody"}`, 422, "alertIntegrationName: "},
		{`{"name":"there","alertIntegrationName":""}`, 422, "alertIntegrationName: "},
		{`{"name":"there","displayName":{}}`, 422, "displayName: "},
		{`{"name":"there","enabled":"yes"}`, 422, "enabled: "},
		{`{"name":"there","events":"claim.open"}`, 422, "events: "},
		{`{"name":"there","events":["claim.open",null]}`, 422, "events[1]: "},
		{`{"name":"there","events":["claim.open","debt.paid"]}`, 422, "events[1]: "},
		{`{"name":"there","events":["claim.*"]}`, 422, "events[0]: "},
		{`{"name":"there","failureHandling":"divert"}`, 422, "failureHandling: "},
		{`{"name":"there","failureHandling":{"mode":"explode"}}`, 422, "failureHandling.mode: "},
		{`{"name":"there","failureHandling":{"actOnStatusCodes":["6xx"]}}`, 422, "failureHandling.actOnStatusCodes[0]: "},
		{`{"name":"there","failureHandling":{"actOnStatusCodes":[503]}}`, 422, "failureHandling.actOnStatusCodes: "},
		{`{"name":"there","failureHandling":{"actOnTimeout":1}}`, 422, "failureHandling.actOnTimeout: "},
		{`{"name":"there","retryStrategy":"standard"}`, 422, "retryStrategy: "},
		{`{"name":"there","retryStrategy":3}`, 422, "retryStrategy: "},
		{`{"name":"there","resetAlertIntegrationName":"true"}`, 422, "resetAlertIntegrationName: "},
		{`{"webhook":{"name":"new","url":"https://example.com","events":["RecurringPayments.charge.paid"]}}`, 422, "name: "}, // donutwork's
		{`{"id":"sms-1","matchingEvents":["IncomingSms.received"],"url":"https://example.com"}`, 422, "name: "},              // ocelot's
		{`{"url":"https://example.com","enabled_events":["*"]}`, 422, "name: "},                                              // ophelos's
		{`[]`, 400, "object"},
		{`{"name":`, 400, "JSON"},
	} {
		require.Contains(t, a.do(http.MethodPut, socotraHooks, row.body).refused(row.status), row.says, row.body)
	}
	require.JSONEq(t, string(before), string(a.do(http.MethodGet, socotraHooks, "").is(http.StatusOK).body), "nothing has changed")
	for _, call := range []struct{ method, path string }{
		{http.MethodGet, "/nobody"}, {http.MethodDelete, "/nobody"}, {http.MethodPatch, "/nobody/unsuspend"}, {http.MethodGet, "/nobody/diverted"},
		{http.MethodDelete, "/nobody/diverted/t"}, {http.MethodPost, "/nobody/diverted/t/resend"},
	} {
		require.Equal(t, `There is no webhook "nobody"`, a.do(call.method, socotraHooks+call.path, "").refused(http.StatusNotFound))
	}
}

// TestSocotra_WhatItCannotExpress reads as the nearest value and is left alone by a client that puts back what it got.
func TestSocotra_WhatItCannotExpress(t *testing.T) {
	a := newSocotra(t)
	for _, row := range []struct{ patch, shows string }{
		{`{"retry":"standard"}`, `retryStrategy="three"`},
		{`{"retry":{"schedule":["7s"]}}`, `retryStrategy="one"`},
		{`{"retry":{"schedule":[]}}`, `retryStrategy="none"`},
		{`{"events":["subClaim.*","debt.paid"]}`, `events=["subClaim.open","subClaim.update","subClaim.close","subClaim.reopen","subClaim.updateReserve","subClaim.createPayable","subClaim.reversePayable"]`},
		{`{"failureHandling":{"otherwise":"divert"}}`, `failureHandling={"mode":"none","actOnStatusCodes":["4xx","5xx"],"actOnTimeout":true}`},
		{`{"integration":null,"url":"https://example.com/own","auth":{"type":"bearer","token":"t"}}`, `integrationName=""`},
		{`{"filter":{"data":{"amount":{"$gte":100}}},"metadata":{"team":"claims"}}`, `suspended=false`},
	} {
		a.do(http.MethodPut, socotraHooks, socotraMinimal).is(http.StatusOK)
		patch := a.do(http.MethodPatch, "/v1/webhooks/claims%20hook", row.patch, header{"Content-Type", "application/merge-patch+json"}).is(http.StatusOK)
		shown := a.do(http.MethodGet, socotraHooks+"/claims%20hook", "").is(http.StatusOK)
		name, value, _ := strings.Cut(row.shows, "=")
		if name == "events" {
			require.ElementsMatch(t, names(t, value), names(t, shown.member(name)))
		} else {
			require.JSONEq(t, value, shown.member(name), row.patch)
		}
		a.do(http.MethodPut, socotraHooks, string(shown.body)).is(http.StatusOK)
		after := a.do(http.MethodGet, "/v1/webhooks/claims%20hook", "").is(http.StatusOK)
		for _, field := range []string{"retry", "events", "failureHandling", "url", "auth", "filter", "metadata", "signing"} {
			require.Equal(t, patch.member(field), after.member(field), "%s after %s", field, row.patch)
		}
		a.do(http.MethodDelete, socotraHooks+"/claims%20hook", "").is(http.StatusOK)
	}
}

func names(t *testing.T, text string) (v []string) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	return v
}

// A webhook that was given an endpoint of its own goes back to an integration when the platform's client names one.
func TestSocotra_BackToAnIntegration(t *testing.T) {
	a := newSocotra(t)
	a.do(http.MethodPut, socotraHooks, socotraMinimal).is(http.StatusOK)
	a.do(http.MethodPatch, "/v1/webhooks/claims%20hook", `{"integration":null,"url":"https://example.com/own"}`,
		header{"Content-Type", "application/merge-patch+json"}).is(http.StatusOK)
	a.do(http.MethodPut, socotraHooks, `{"name":"claims hook","integrationName":"pager"}`).is(http.StatusOK)
	v1 := a.do(http.MethodGet, "/v1/webhooks/claims%20hook", "").is(http.StatusOK).object()
	require.Equal(t, "pager", v1["integration"])
	require.NotContains(t, v1, "url")
}

// Two upserts of a new name make one webhook.
func TestSocotra_ConcurrentUpserts(t *testing.T) {
	a := newSocotra(t)
	done := make(chan int, 4)
	for i := range cap(done) {
		go func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, a.url+socotraHooks,
				strings.NewReader(fmt.Sprintf(`{"name":"w","integrationName":"claims","displayName":"%d"}`, i)))
			if err != nil {
				done <- 0
				return
			}
			r.SetBasicAuth("relay", testKey)
			r.Header.Set("Content-Type", "application/json")
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				done <- 0
				return
			}
			_ = answer.Body.Close()
			done <- answer.StatusCode
		}()
	}
	for range cap(done) {
		select {
		case status := <-done:
			require.Equal(t, http.StatusOK, status)
		case <-time.After(20 * time.Second):
			require.FailNow(t, "an upsert was not answered within 20 s")
		}
	}
	require.Equal(t, 1, a.hooks.Count())
}
