package admin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func secretsShown(r reply) []map[string]any {
	var list []map[string]any
	for _, s := range r.is(http.StatusOK).json()["signing"].(map[string]any)["secrets"].([]any) {
		list = append(list, s.(map[string]any))
	}
	return list
}

func TestRotateSecret(t *testing.T) {
	a := newAPI(t)
	uid := a.create(`{"id":"w","url":"https://example.com/"}`)
	old := a.registry.webhooks[uid].Signing.Secrets[0]

	answer := a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", "")
	shown := secretsShown(answer)
	require.Len(t, shown, 2)
	require.True(t, strings.HasPrefix(shown[0]["value"].(string), "whsec_"), "the new one is shown once")
	require.Equal(t, catalog.Redacted, shown[1]["value"])
	expires, err := time.Parse(time.RFC3339, shown[1]["expires"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), expires, time.Minute)
	require.Equal(t, `"2"`, answer.header.Get("ETag"))
	stored := a.registry.webhooks[uid].Signing.Secrets
	require.Equal(t, shown[0]["value"], stored[0].Value.Reveal())
	require.Equal(t, old.Value, stored[1].Value)
	again := a.do(http.MethodGet, "/v1/webhooks/w", "")
	require.Equal(t, catalog.Redacted, secretsShown(again)[0]["value"])

	// What is read may be sent back, and changes nothing.
	a.do(http.MethodPut, "/v1/webhooks/w", string(again.body)).is(http.StatusOK)
	require.Equal(t, stored, a.registry.webhooks[uid].Signing.Secrets)

	// One of the caller's own, which is not shown; then three are valid, until the overlap is given up.
	own := secretsShown(a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", `{"overlap":"1h","value":"my own secret"}`))
	require.Len(t, own, 3)
	require.Equal(t, catalog.Redacted, own[0]["value"])
	require.Equal(t, "raw", own[0]["encoding"])
	require.NotEqual(t, shown[1]["expires"], own[2]["expires"], "an overlap that ends earlier counts")
	a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", "").problem(kindManySecrets)
	require.Len(t, secretsShown(a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", `{"overlap":"0s"}`)), 1)
}

func TestRotateSecret_Refusals(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, "/v1/integrations", `{"name":"i","url":"https://example.com/"}`).is(http.StatusCreated)
	for id, more := range map[string]string{"integration": `"integration":"i"`, "ocelot": `"url":"https://example.com/","format":"ocelot"`,
		"receeve": `"url":"https://example.com/","format":"receeve"`, "unsigned": `"url":"https://example.com/","signing":{"enabled":false}`} {
		a.create(`{"id":"` + id + `",` + more + `}`)
		a.do(http.MethodPost, "/v1/webhooks/"+id+"/rotate-secret", "").problem(kindNoSecret)
	}
	a.create(`{"id":"w","url":"https://example.com/"}`)
	for _, bad := range []string{`{"overlap":"169h"}`, `{"overlap":"soon"}`, `{"value":"whsec_short"}`, `{"value":"redacted"}`, `{"encoding":"hex"}`, `{"tag":"x"}`} {
		a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", bad).problem(kindInvalid)
	}
	a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", "", header{"If-Match", `"7"`}).problem(kindRevision)
	a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", "", header{headerTenant, "other"}).problem(kindNotFound)
}

func TestRotateSecret_OncePerIdempotencyKey(t *testing.T) {
	a := newAPI(t)
	uid := a.create(`{"id":"w","url":"https://example.com/"}`)
	key := header{"Idempotency-Key", "k1"}
	first := a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", "", key)
	require.Len(t, secretsShown(first), 2)
	repeat := a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", "", key)
	require.Equal(t, "true", repeat.header.Get(headerReplayed))
	require.Equal(t, catalog.Redacted, secretsShown(repeat)[0]["value"])
	require.Len(t, a.registry.webhooks[uid].Signing.Secrets, 2)
	a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", `{"overlap":"1h"}`, key).problem(kindKeyReused)
	require.Len(t, secretsShown(a.do(http.MethodPost, "/v1/webhooks/w/rotate-secret", "", header{"Idempotency-Key", "k2"})), 3)
}
