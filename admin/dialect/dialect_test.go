package dialect_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"eventrelay/admin"
	"eventrelay/admin/dialect"
	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// Every error below a dialect's base path has the dialects' form, whoever found it.
func TestErrors_HaveTheDialectsForm(t *testing.T) {
	a := newAPI(t)
	none := header{"Authorization", ""}
	for _, d := range dialect.All(dialect.Services{}) {
		base := d.BasePath()
		t.Run(string(d.Platform), func(t *testing.T) {
			for _, r := range d.Routes {
				path := base + strings.NewReplacer("{", "", "}", "").Replace(r.Path)
				answer := a.do(r.Method, path, "{}", none)
				answer.refused(http.StatusUnauthorized)
				require.Len(t, answer.header.Values("WWW-Authenticate"), 2)
				a.do(r.Method, path, "{}", header{"Authorization", "Bearer wrong"}).refused(http.StatusUnauthorized)
				require.NotEqual(t, http.StatusUnauthorized, a.do(r.Method, path, "{}", header{"Authorization", "Bearer " + testKey}).status)
				a.do(r.Method, path, "{}", header{"Relay-Tenant", "a/b"}).refused(http.StatusBadRequest)
			}
			a.do(http.MethodGet, base, "").refused(http.StatusNotFound)
			a.do(http.MethodGet, base+"/nothing", "").refused(http.StatusNotFound)
			a.do("PURGE", base+d.Routes[0].Path, "").refused(http.StatusMethodNotAllowed)
		})
	}
	problem := a.do(http.MethodGet, "/ophelosophy", "").is(http.StatusNotFound)
	require.Equal(t, "application/problem+json", problem.header.Get("Content-Type"))
}

func TestBody_IsJSONOfABoundedSize(t *testing.T) {
	a := newAPI(t)
	const path = "/ophelos/webhooks"
	for _, body := range []string{"", "[]", "null", `"text"`, `{"url":`, `{} {}`, `{"url":"https://a.example","url":"https://b.example"}`, "{\"url\":\"\xff\"}"} {
		a.do(http.MethodPost, path, body).refused(http.StatusBadRequest)
	}
	a.do(http.MethodPost, path, `{"url":"`+strings.Repeat("a", 1<<20)+`"}`).refused(http.StatusRequestEntityTooLarge)
	for _, mediaType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin1"} {
		a.do(http.MethodPost, path, `{"url":"https://example.com"}`, header{"Content-Type", mediaType}).refused(http.StatusUnsupportedMediaType)
	}
	a.do(http.MethodPost, path, `{"url":"https://example.com"}`, header{"Content-Type", "application/vnd.api+json; charset=UTF-8"}).is(http.StatusCreated)
	require.Equal(t, 1, a.hooks.Count())
}

func TestRateLimit_IsTheDialectsToo(t *testing.T) {
	a := newAPI(t, func(_ *dialect.Services, o *admin.Options) { o.Rate, o.Burst = 0.001, 1 })
	a.do(http.MethodGet, "/ocelot/webhooks", "").is(http.StatusOK)
	answer := a.do(http.MethodGet, "/ocelot/webhooks", "")
	answer.refused(http.StatusTooManyRequests)
	require.NotEmpty(t, answer.header.Get("Retry-After"))
}

func TestStoreOutage_IsA503WithRetryAfter(t *testing.T) {
	a := newAPI(t)
	a.cluster.ControlKey(int16(kmsg.InitProducerID), func(request kmsg.Request) (kmsg.Response, error, bool) {
		a.cluster.KeepControl()
		response := request.ResponseKind().(*kmsg.InitProducerIDResponse)
		response.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return response, nil, true
	})
	answer := a.do(http.MethodPost, "/ophelos/webhooks", `{"url":"https://example.com"}`)
	answer.refused(http.StatusServiceUnavailable)
	require.NotEmpty(t, answer.header.Get("Retry-After"))
	require.NotContains(t, string(answer.body), "CLUSTER_AUTHORIZATION")
	require.Zero(t, a.hooks.Count())
}

func TestTenants_DoNotSeeEachOthersWebhooks(t *testing.T) {
	a := newAPI(t)
	acme := header{"Relay-Tenant", "acme"}
	a.do(http.MethodPost, "/ocelot/webhooks", ocelotMinimal, acme).is(http.StatusOK)
	a.do(http.MethodGet, "/ocelot/webhooks/sms-1", "", acme).is(http.StatusOK)
	a.do(http.MethodGet, "/ocelot/webhooks/sms-1", "").refused(http.StatusNotFound)
	a.do(http.MethodPut, "/ocelot/webhooks/sms-1", ocelotMinimal).refused(http.StatusNotFound)
	a.do(http.MethodDelete, "/ocelot/webhooks/sms-1", "").refused(http.StatusNotFound)
	require.Equal(t, "[]", string(a.do(http.MethodGet, "/ocelot/webhooks", "").is(http.StatusOK).body))
	a.do(http.MethodPost, "/ocelot/webhooks", ocelotMinimal).is(http.StatusOK)
}

// The views are of one set of webhooks: /v1 shows what every dialect made, a dialect what was made through it, and two
// platforms may use the same id.
func TestViews_AreOneSetOfWebhooks(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, "/ocelot/webhooks", ocelotMinimal).is(http.StatusOK)
	ophelos := a.do(http.MethodPost, "/ophelos/webhooks", `{"url":"https://example.com"}`).is(http.StatusCreated).object()["id"].(string)
	v1 := a.do(http.MethodPost, "/v1/webhooks", `{"id":"sms-1","url":"https://example.com"}`).is(http.StatusCreated).object()["uid"].(string)

	platforms := map[any]int{}
	for _, item := range a.do(http.MethodGet, "/v1/webhooks", "").is(http.StatusOK).object()["items"].([]any) {
		platforms[item.(map[string]any)["platform"]]++
	}
	require.Equal(t, map[any]int{"ocelot": 1, "ophelos": 1, "v1": 1}, platforms)
	a.do(http.MethodGet, "/v1/webhooks/sms-1", "").is(http.StatusConflict)
	a.do(http.MethodGet, "/ocelot/webhooks/sms-1", "").is(http.StatusOK)
	a.do(http.MethodGet, "/ophelos/webhooks/sms-1", "").refused(http.StatusNotFound)
	a.do(http.MethodGet, "/ocelot/webhooks/"+ophelos, "").refused(http.StatusNotFound)
	a.do(http.MethodGet, "/ocelot/webhooks/"+v1, "").refused(http.StatusNotFound)
	require.EqualValues(t, 1, a.do(http.MethodGet, "/ophelos/webhooks", "").is(http.StatusOK).object()["total_count"])
	require.Equal(t, 1, bytes.Count(a.do(http.MethodGet, "/ocelot/webhooks", "").is(http.StatusOK).body, []byte(`"sms-1"`)))
}

func TestRefusal(t *testing.T) {
	d := dialect.Dialect{Fields: map[string]string{"events": "types", "enabled": "active", "overrides": "perOffice", "alert.integration": "alarm", "filter": "filters"}}
	tests := []struct{ canonical, named string }{
		{"events", "types"}, {"events[2]", "types[2]"}, {"eventsX", "eventsX"}, {"url", "url"},
		{"overrides[3].enabled", "perOffice[3].active"}, {"overrides[3].auth.password", "perOffice[3].auth.password"},
		{"alert.integration", "alarm"}, {"alert", "alert"}, {"filter.data.enabled.$gte", "filters.data.enabled.$gte"},
	}
	for _, tt := range tests {
		refusal := d.Refusal(&catalog.ValidationError{Fields: []catalog.FieldError{{Path: tt.canonical, Message: "is wrong"}}})
		require.Equal(t, &dialect.Error{Status: http.StatusUnprocessableEntity, Text: tt.named + ": is wrong"}, refusal)
	}
	require.Nil(t, d.Refusal(registry.ErrNotFound))
	require.Nil(t, d.Refusal(errors.New("anything")))
}
