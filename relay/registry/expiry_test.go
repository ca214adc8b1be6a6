package registry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// TestRegistry_ExpiredSecretsAreDroppedAtTheNextWrite: whoever writes, of a webhook and of an integration; until then
// they are kept, expiry included, by every process.
func TestRegistry_ExpiredSecretsAreDroppedAtTheNextWrite(t *testing.T) {
	b := newBundle(t)
	one, other := b.start(), b.start()
	secret := func(name string, expires time.Time) catalog.SigningSecret {
		return catalog.SigningSecret{Value: catalog.NewSecret(name), Encoding: catalog.SecretRaw, Expires: expires}
	}
	past, future := time.Now().Add(-time.Hour).UTC().Truncate(time.Second), time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	signing := catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{secret("new", time.Time{}), secret("old", future), secret("expired", past)}}

	w := testWebhook("w")
	w.Signing = signing
	v := one.mustCreate(t, w)
	require.NoError(t, other.Confirm(b.ctx()))
	seen, ok := other.View(v.Webhook.UID)
	require.True(t, ok)
	require.Equal(t, signing, seen.Webhook.Signing)
	v, err := one.UpdateWebhook(b.ctx(), v.Webhook.Tenant, v.Webhook.UID, 0, func(w *catalog.Webhook) error { w.Description = "x"; return nil })
	require.NoError(t, err)
	require.Equal(t, signing.Secrets[:2], v.Webhook.Signing.Secrets)

	in := testIntegration("i")
	in.Signing = signing
	stored, err := one.PutIntegration(b.ctx(), in, 0)
	require.NoError(t, err)
	require.Equal(t, signing.Secrets[:2], stored.Signing.Secrets)
}
