package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEndpointID(t *testing.T) {
	auth := &Auth{Type: AuthBearer}
	w := &Webhook{UID: "wh_1", URL: "https://example.com", Overrides: []Override{{Office: "north/2: é", Auth: auth}, {Office: "plain"}}}
	with := &Webhook{UID: "wh_2", Integration: "crm"}
	for id, c := range map[string]struct {
		webhook     *Webhook
		integration *Integration
		office      string
	}{
		"w:wh_1":            {w, nil, ""},
		"w:wh_1:north/2: é": {w, nil, "north/2: é"},
		"i:in_1":            {with, &Integration{UID: "in_1"}, ""},
	} {
		endpoint, err := c.webhook.ResolveEndpoint(c.integration, c.office)
		require.NoError(t, err)
		require.Equal(t, id, EndpointID(endpoint.Key))
		ref, ok := ParseEndpointID(id)
		require.True(t, ok)
		require.Equal(t, endpoint.Key, ref.Key())
		require.NotContains(t, BreakerRecordUID(id), "/")
	}
	require.True(t, w.HasEndpoint(""))
	require.True(t, w.HasEndpoint("north/2: é"))
	require.False(t, w.HasEndpoint("plain"), "it shares the webhook's")
	require.False(t, w.HasEndpoint("nowhere"))
	require.False(t, with.HasEndpoint(""), "it is the integration's")
	for _, bad := range []string{"", "w", "w:", "i:", "x:1", "wh_1", "w/wh_1", "i:in_1:north", "w:wh_1:", "w:a/b", "w::north"} {
		_, ok := ParseEndpointID(bad)
		require.False(t, ok, bad)
	}
}

func FuzzParseEndpointID(f *testing.F) {
	f.Add("w:wh_1:office")
	f.Add("i:in_1")
	f.Fuzz(func(t *testing.T, id string) {
		if ref, ok := ParseEndpointID(id); ok {
			require.Equal(t, id, EndpointID(ref.Key()))
		}
		require.False(t, strings.Contains(BreakerRecordUID(id), "/"))
	})
}
