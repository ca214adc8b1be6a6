package admin

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func TestIntegrations(t *testing.T) {
	a := newAPI(t)
	created := a.do(http.MethodPost, "/v1/integrations", `{"name": "ops/eu", "url": "https://ops.example.com/", "auth": {"type": "bearer", "token": "t1"}}`).is(http.StatusCreated)
	require.Equal(t, "/v1/integrations/ops%2Feu", created.header.Get("Location"))
	secret := created.json()["signing"].(map[string]any)["secrets"].([]any)[0].(map[string]any)["value"].(string)
	require.Contains(t, secret, "whsec_")

	read := a.do(http.MethodGet, "/v1/integrations/ops%2Feu", "").is(http.StatusOK)
	require.NotContains(t, string(read.body), secret)
	require.Equal(t, `"1"`, read.header.Get("ETag"))
	a.do(http.MethodPut, "/v1/integrations/ops%2Feu", string(read.body), header{"If-Match", `"1"`}).is(http.StatusOK)
	stored := a.registry.integrations["default/ops/eu"]
	require.Equal(t, "t1", stored.Auth.Token.Reveal())
	require.Equal(t, secret, stored.Signing.Secrets[0].Value.Reveal())

	// Omitted: auth becomes none, signing stays.
	got := a.do(http.MethodPut, "/v1/integrations/ops%2Feu", `{"url": "https://ops.example.com/2", "concurrency": 2}`).is(http.StatusOK).json()
	require.Equal(t, map[string]any{"type": "none"}, got["auth"])
	require.EqualValues(t, 3, got["revision"])
	require.Equal(t, secret, a.registry.integrations["default/ops/eu"].Signing.Secrets[0].Value.Reveal())

	require.Len(t, a.do(http.MethodGet, "/v1/integrations", "").is(http.StatusOK).json()["items"], 1)
	a.do(http.MethodDelete, "/v1/integrations/ops%2Feu", "", header{"If-Match", `"1"`}).problem(kindRevision)
	a.do(http.MethodDelete, "/v1/integrations/ops%2Feu", "").is(http.StatusNoContent)
	a.do(http.MethodDelete, "/v1/integrations/ops%2Feu", "").problem(kindNotFound)
}

func TestIntegrations_Refuses(t *testing.T) {
	a := newAPI(t)
	const ops = `{"name": "ops", "url": "https://ops.example.com/"}`
	a.do(http.MethodPost, "/v1/integrations", ops).is(http.StatusCreated)
	a.do(http.MethodPost, "/v1/integrations", ops).problem(kindExists)
	a.do(http.MethodPost, "/v1/integrations", `{"url": "https://ops.example.com/"}`).problem(kindInvalid)
	require.Equal(t, []string{"url"}, a.do(http.MethodPost, "/v1/integrations", `{"name": "x"}`).problem(kindInvalid).fields())
	require.Equal(t, []string{"url"}, a.do(http.MethodPost, "/v1/integrations", `{"name": "x", "url": "https://10.0.0.1/"}`).problem(kindInvalid).fields())
	require.Equal(t, []string{"name"}, a.do(http.MethodPut, "/v1/integrations/ops", `{"name": "dev", "url": "https://ops.example.com/"}`).problem(kindInvalid).fields())
	a.do(http.MethodPut, "/v1/integrations/nobody", ops).problem(kindNotFound)
	a.do(http.MethodPut, "/v1/integrations/ops", ops, header{"If-Match", `"9"`}).problem(kindRevision)
	other := header{"Relay-Tenant", "other"}
	a.do(http.MethodGet, "/v1/integrations/ops", "", other).problem(kindNotFound)
	a.do(http.MethodPut, "/v1/integrations/ops", ops, other).problem(kindNotFound)
	a.do(http.MethodDelete, "/v1/integrations/ops", "", other).problem(kindNotFound)
	a.do(http.MethodPost, "/v1/webhooks", `{"integration": "ops"}`, other).problem(kindInvalid)

	a.create(`{"id": "uses", "integration": "ops"}`)
	require.Equal(t, []string{"uses"}, a.do(http.MethodDelete, "/v1/integrations/ops", "").problem(kindInUse).Webhooks)
}

func TestReplaceIntegration_IsDoneAgainOnTheLatest(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, "/v1/integrations", `{"name": "ops", "url": "https://ops.example.com/", "auth": {"type": "bearer", "token": "old"}}`).is(http.StatusCreated)
	// Somebody else changes the secret between the read and the write.
	a.registry.beforeWrite = func() {
		a.registry.beforeWrite = nil
		changed := *a.registry.integrations["default/ops"]
		changed.Auth.Token, changed.Revision = catalog.NewSecret("new"), 2
		a.registry.integrations["default/ops"] = &changed
	}
	a.do(http.MethodPut, "/v1/integrations/ops", `{"url": "https://ops.example.com/2", "auth": {"type": "bearer", "token": "redacted"}}`).is(http.StatusOK)
	require.Equal(t, "new", a.registry.integrations["default/ops"].Auth.Token.Reveal())
	require.EqualValues(t, 3, a.registry.integrations["default/ops"].Revision)
}

// Of an edit and a deletion that saw the same revision one wins, whichever comes first.
func TestDeleteIntegration_ComesAfterAnEdit(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, "/v1/integrations", `{"name": "ops", "url": "https://ops.example.com/"}`).is(http.StatusCreated)
	// Somebody else edits it between the read and the write.
	a.registry.beforeWrite = func() {
		a.registry.beforeWrite = nil
		changed := *a.registry.integrations["default/ops"]
		changed.Revision = 2
		a.registry.integrations["default/ops"] = &changed
	}
	a.do(http.MethodDelete, "/v1/integrations/ops", "", header{"If-Match", `"1"`}).problem(kindRevision)
	a.do(http.MethodDelete, "/v1/integrations/ops", "", header{"If-Match", `"2"`}).is(http.StatusNoContent)
}
