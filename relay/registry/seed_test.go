package registry

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
)

// What was seeded is what a registry that starts then knows, secrets included.
func TestSeed(t *testing.T) {
	bundle := newBundle(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(bundle.seeds...))
	require.NoError(t, err)
	defer client.Close()
	w, in := typicalWebhook(1), catalog.NewIntegration()
	in.Name, in.UID, in.Tenant = "shared", "in_1", w.Tenant
	in.Normalize()
	require.NoError(t, Seed(t.Context(), client, testTopics, bundle.keys, []*catalog.Integration{in}, []*catalog.Webhook{w}))

	r := bundle.start()
	view, ok := r.View(w.UID)
	require.True(t, ok)
	require.Equal(t, w.Signing.Secrets[0].Value.Reveal(), view.Webhook.Signing.Secrets[0].Value.Reveal())
	_, ok = r.Integration(w.Tenant, "shared")
	require.True(t, ok)

	require.ErrorIs(t, Seed(t.Context(), client, testTopics, bundle.keys, nil, []*catalog.Webhook{{ID: "no uid"}}), ErrInvalid)
}
