package dialect_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// view is a webhook as its dialect shows it.
type view struct{ platform, path string }

// newViews makes a webhook in each dialect, all with the same id where the client chooses it.
func newViews(a *api) []view {
	a.do(http.MethodPost, socotraIntegrations, `{"name":"claims","url":"https://claims.example.com/in"}`).is(http.StatusOK)
	a.do(http.MethodPost, ocelotWebhooks, `{"id":"same","matchingEvents":["IncomingSms.received"],"url":"https://example.com/sms"}`).is(http.StatusOK)
	a.do(http.MethodPut, socotraHooks, `{"name":"same","integrationName":"claims","events":["claim.open"]}`).is(http.StatusOK)
	ophelos := a.createOphelos(`{"url":"https://example.com/debts"}`)
	donut := a.do(http.MethodPost, donutwork+"/webhooks.json", donutworkExample).is(http.StatusOK).object()["id"].(string)
	return []view{
		{"ophelos", ophelosWebhooks + "/" + ophelos}, {"socotra", socotraHooks + "/same"},
		{"ocelot", ocelotWebhooks + "/same"}, {"donutwork", donutwork + "/webhooks/" + donut + ".json"},
	}
}

// uidOf finds the webhook of a platform among all.
func (a *api) uidOf(platform string) string {
	a.t.Helper()
	for _, item := range a.do(http.MethodGet, "/v1/webhooks", "").is(http.StatusOK).object()["items"].([]any) {
		if w := item.(map[string]any); w["platform"] == platform {
			return w["uid"].(string)
		}
	}
	require.FailNow(a.t, "no webhook of "+platform)
	return ""
}

// Two platforms may use one id: each dialect has its own, and /v1 asks for the uid.
func TestViews_TwoPlatformsMayUseOneID(t *testing.T) {
	a := newAPI(t)
	newViews(a)
	problem := string(a.do(http.MethodGet, "/v1/webhooks/same", "").is(http.StatusConflict).body)
	for _, platform := range []string{"socotra", "ocelot"} {
		require.Contains(t, problem, a.uidOf(platform))
		require.Equal(t, "same", a.canonical(a.uidOf(platform))["id"])
	}
	a.do(http.MethodPut, ocelotWebhooks+"/same", `{"active":false}`).is(http.StatusOK)
	requireMember(t, `true`, a.do(http.MethodGet, socotraHooks+"/same", "").is(http.StatusOK).object(), "enabled")
	a.do(http.MethodDelete, socotraHooks+"/same", "").is(http.StatusOK)
	a.do(http.MethodGet, ocelotWebhooks+"/same", "").is(http.StatusOK)
	require.Equal(t, "ocelot", a.canonical("same")["platform"], "the id is clear again")
}

// What /v1 changes, suspends, renames and deletes, the dialect that made the webhook shows; and nothing that /v1 has and the
// dialect has no word for is lost when its client edits.
func TestViews_EditedByV1(t *testing.T) {
	a := newAPI(t)
	const beyond = `{"enabled":false,"displayName":"D","description":"d","metadata":{"team":"x"},"filter":{"data":{"n":{"$gte":1}}},"domains":["debt","claim","sms","payment"],
		"retry":{"schedule":["7s","9s"]},"delivery":{"timeout":"3s"},"headers":{"X-A":"b"},"failureHandling":{"mode":"divert","actOnStatusCodes":["503"],"actOnTimeout":false,"otherwise":"none"}}`
	for _, v := range newViews(a) {
		t.Run(v.platform, func(t *testing.T) {
			a.t = t
			uid := a.uidOf(v.platform)
			a.do(http.MethodPatch, "/v1/webhooks/"+uid, beyond, header{"Content-Type", "application/merge-patch+json"}).is(http.StatusOK)
			shown := a.do(http.MethodGet, v.path, "").is(http.StatusOK)
			for member, value := range map[string]map[string]string{
				"ophelos":   {"enabled": `false`, "metadata": `{"team":"x"}`, "filters": `{"data":{"n":{"$gte":1}}}`},
				"socotra":   {"enabled": `false`, "displayName": `"D"`, "retryStrategy": `"three"`, "failureHandling": `{"mode":"divert","actOnStatusCodes":["503"],"actOnTimeout":false}`},
				"ocelot":    {"active": `false`},
				"donutwork": {"name": `"D"`, "description": `"d"`},
			}[v.platform] {
				requireMember(t, value, shown.object(), member)
			}
			before := a.canonical(uid)
			switch v.platform {
			case "ophelos", "ocelot":
				a.do(http.MethodPut, v.path, string(shown.body)).is(http.StatusOK)
			case "socotra":
				a.do(http.MethodPut, socotraHooks, string(shown.body)).is(http.StatusOK)
			}
			after := a.canonical(uid)
			for _, name := range []string{"revision", "updated"} {
				delete(before, name)
				delete(after, name)
			}
			require.Equal(t, before, after)

			// A suspension is nobody's edit, and is not ended by one.
			a.do(http.MethodPost, "/v1/webhooks/"+uid+"/suspend", `{"reason":"test"}`).is(http.StatusOK)
			a.do(http.MethodGet, v.path, "").is(http.StatusOK)
			require.NotNil(t, a.canonical(uid)["suspension"])
			a.do(http.MethodDelete, "/v1/webhooks/"+uid, "").is(http.StatusNoContent)
			a.do(http.MethodGet, v.path, "").refused(http.StatusNotFound)
		})
	}
	a.t = t
	require.Zero(t, a.hooks.Count())
}

// What /v1 made is not the dialects' to see, whatever its format.
func TestViews_V1IsNotListedByDialects(t *testing.T) {
	a := newAPI(t)
	for _, format := range []string{"ophelos", "socotra", "ocelot", "donutwork", "receeve"} {
		a.do(http.MethodPost, "/v1/webhooks", `{"id":"`+format+`","url":"https://example.com","format":"`+format+`"}`).is(http.StatusCreated)
	}
	require.JSONEq(t, `{"data":[],"has_more":false,"total_count":0}`, string(a.do(http.MethodGet, ophelosWebhooks, "").is(http.StatusOK).body))
	require.JSONEq(t, `{"webhooks":[]}`, string(a.do(http.MethodGet, socotraHooks, "").is(http.StatusOK).body))
	require.JSONEq(t, `[]`, string(a.do(http.MethodGet, ocelotWebhooks, "").is(http.StatusOK).body))
	require.EqualValues(t, 0, a.do(http.MethodGet, donutwork+"/webhooks.json", "").is(http.StatusOK).object()["count"])
}

// The page of the SMS platform: all registered webhooks, active or not.
func TestOcelot_ListsInactiveOnes(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, ocelotWebhooks, ocelotMinimal).is(http.StatusOK)
	a.do(http.MethodPost, ocelotWebhooks, `{"id":"off","matchingEvents":[],"url":"https://example.com","active":false}`).is(http.StatusOK)
	body := string(a.do(http.MethodGet, ocelotWebhooks, "").is(http.StatusOK).body)
	require.Contains(t, body, `"active":true`)
	require.Contains(t, body, `"active":false`)
}
