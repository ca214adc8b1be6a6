package catalog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestResolveEndpoint(t *testing.T) {
	w := testWebhook()
	w.UID = "wh_1"
	w.Headers = map[string]string{"X-A": "webhook", "X-B": "webhook"}
	disabled := false
	w.Overrides = []Override{
		{Office: "berlin", URL: "https://berlin.example.com", Headers: map[string]string{"X-B": "berlin"}},
		{Office: "paris", Auth: &Auth{Type: AuthBearer, Token: NewSecret("t")}},
		{Office: "rome", Enabled: &disabled, Headers: map[string]string{"X-C": "rome"}},
	}

	own, err := w.ResolveEndpoint(nil, "")
	require.NoError(t, err)
	require.Equal(t, Endpoint{
		Key: "w/wh_1", Tenant: "default", URL: w.URL, Headers: w.Headers, Auth: w.Auth, Signing: w.Signing,
		Timeout: DefaultTimeout, Concurrency: DefaultConcurrency, Enabled: true,
	}, own)

	berlin, err := w.ResolveEndpoint(nil, "berlin")
	require.NoError(t, err)
	require.Equal(t, "w/wh_1/berlin", berlin.Key, "another receiver has its own lane")
	require.Equal(t, "https://berlin.example.com", berlin.URL)
	require.Equal(t, map[string]string{"X-A": "webhook", "X-B": "berlin"}, berlin.Headers)

	paris, err := w.ResolveEndpoint(nil, "paris")
	require.NoError(t, err)
	require.Equal(t, "w/wh_1/paris", paris.Key)
	require.Equal(t, AuthBearer, paris.Auth.Type)

	rome, err := w.ResolveEndpoint(nil, "rome")
	require.NoError(t, err)
	require.Equal(t, "w/wh_1", rome.Key)
	require.False(t, rome.Enabled)
	require.NotContains(t, w.Headers, "X-C", "the webhook's own headers are not touched")
}

func TestResolveEndpointOfIntegration(t *testing.T) {
	w := &Webhook{UID: "wh_1", Integration: "crm", Headers: map[string]string{"X-A": "webhook"}}
	w.Normalize()
	_, err := w.ResolveEndpoint(nil, "")
	require.ErrorIs(t, err, ErrNoIntegration)

	in := &Integration{UID: "in_1", URL: "https://crm.example.com", Headers: map[string]string{"X-A": "crm", "X-B": "crm"}, RateLimit: 5}
	in.Normalize()
	e, err := w.ResolveEndpoint(in, "")
	require.NoError(t, err)
	require.Equal(t, Endpoint{
		Key: "i/in_1", Tenant: "default", URL: in.URL, Headers: map[string]string{"X-A": "webhook", "X-B": "crm"}, Auth: in.Auth,
		Timeout: 15 * time.Second, Concurrency: DefaultConcurrency, RateLimit: 5, Enabled: true,
	}, e)
}

func TestEachSecretNamesEveryPlace(t *testing.T) {
	w := storedWebhook()
	paths := map[string]string{}
	w.EachSecret(func(path string, s *Secret) {
		if s.IsSet() {
			paths[path] = s.Reveal()
		}
	})
	require.Equal(t, map[string]string{
		"auth.password": "pass", "signing.secrets[0].value": "new", "signing.secrets[1].value": "old",
		"overrides[0].auth.token": "berlin-token", "overrides[1].auth.token": "paris-token",
	}, paths)
}
