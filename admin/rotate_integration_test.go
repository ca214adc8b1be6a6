package admin

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func TestRotateIntegrationSecret(t *testing.T) {
	a := newAPI(t)
	const path = "/v1/integrations/crm/rotate-secret"
	a.do(http.MethodPost, path, "").problem(kindNotFound)
	a.do(http.MethodPost, "/v1/integrations", `{"name": "crm", "url": "https://example.com/", "auth": {"type": "bearer", "token": "kept"}}`).is(http.StatusCreated)
	stored := func() *catalog.Integration { return a.registry.integrations["default/crm"] }
	old := stored().Signing.Secrets[0].Value

	first := a.do(http.MethodPost, path, "", header{"If-Match", `"1"`}, header{"Idempotency-Key", "k1"})
	shown := secretsShown(first)
	require.Len(t, shown, 2)
	require.Equal(t, stored().Signing.Secrets[0].Value.Reveal(), shown[0]["value"], "the new one is shown once")
	require.Equal(t, catalog.Redacted, shown[1]["value"])
	require.NotEmpty(t, shown[1]["expires"])
	require.Equal(t, `"2"`, first.header.Get("ETag"))
	require.Equal(t, old, stored().Signing.Secrets[1].Value)
	require.Equal(t, "kept", stored().Auth.Token.Reveal())

	// Repeated, it rotates no more and shows nothing; with another body the key is refused.
	repeat := a.do(http.MethodPost, path, "", header{"If-Match", `"1"`}, header{"Idempotency-Key", "k1"})
	require.Equal(t, catalog.Redacted, secretsShown(repeat)[0]["value"])
	require.Equal(t, "true", repeat.header.Get(headerReplayed))
	require.EqualValues(t, 2, stored().Revision)
	a.do(http.MethodPost, path, `{"overlap": "1h"}`, header{"Idempotency-Key", "k1"}).problem(kindKeyReused)
	a.do(http.MethodPost, path, "", header{"If-Match", `"1"`}).problem(kindRevision)

	// One of the caller's own; then three are valid, until the overlap is given up.
	own := secretsShown(a.do(http.MethodPost, path, `{"value": "my own secret"}`))
	require.Len(t, own, 3)
	require.Equal(t, catalog.Redacted, own[0]["value"])
	a.do(http.MethodPost, path, "").problem(kindManySecrets)
	require.Equal(t, []string{"overlap"}, a.do(http.MethodPost, path, `{"overlap": "200h"}`).problem(kindInvalid).fields())
	require.Len(t, secretsShown(a.do(http.MethodPost, path, `{"overlap": "0s"}`)), 1)

	a.do(http.MethodPut, "/v1/integrations/crm", `{"url": "https://example.com/", "signing": {"enabled": false}}`).is(http.StatusOK)
	a.do(http.MethodPost, path, "").problem(kindNoSecret)
}

// Somebody else edits the integration between the read and the write: both the edit and the rotation stay.
func TestRotateIntegrationSecret_IsDoneAgainOnTheLatest(t *testing.T) {
	a := newAPI(t)
	a.do(http.MethodPost, "/v1/integrations", `{"name": "crm", "url": "https://example.com/"}`).is(http.StatusCreated)
	a.registry.beforeWrite = func() {
		a.registry.beforeWrite = nil
		edited := *a.registry.integrations["default/crm"]
		edited.URL, edited.Revision = "https://example.com/moved", 2
		a.registry.integrations["default/crm"] = &edited
	}
	require.Len(t, secretsShown(a.do(http.MethodPost, "/v1/integrations/crm/rotate-secret", "")), 2)
	require.Equal(t, "https://example.com/moved", a.registry.integrations["default/crm"].URL)
	require.EqualValues(t, 3, a.registry.integrations["default/crm"].Revision)
}
