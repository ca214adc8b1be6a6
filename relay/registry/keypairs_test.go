package registry

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func receeveWebhook(id string) *catalog.Webhook {
	w := testWebhook(id)
	w.Format = catalog.FormatReceeve
	return w
}

func TestRegistry_KeyPairIsMadeWithTheFirstWebhookThatNeedsIt(t *testing.T) {
	b := newBundle(t)
	// Whoever sees the webhook has the pair.
	paired := true
	r := b.start(func(r *Registry) {
		r.OnChange(func(c Change) {
			paired = paired && (c.Webhook == nil || !needsKeyPair(c.Webhook) || r.PrivateKey(c.Tenant) != nil)
		})
	})
	ctx := b.ctx()
	uid := r.mustCreate(t, testWebhook("plain")).Webhook.UID
	require.Nil(t, r.PrivateKey("default"))
	_, ok := r.PublicKey("default")
	require.False(t, ok)

	// An edit makes it as well as a creation.
	_, err := r.UpdateWebhook(ctx, "default", uid, 0, func(w *catalog.Webhook) error {
		w.Format = catalog.FormatReceeve
		return nil
	})
	require.NoError(t, err)
	private := r.PrivateKey("default")
	require.NotNil(t, private)
	require.Equal(t, keyPairBits, private.N.BitLen())
	public, ok := r.PublicKey("default")
	require.True(t, ok)
	block, rest := pem.Decode([]byte(public))
	require.Empty(t, rest)
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	require.NoError(t, err)
	require.True(t, private.PublicKey.Equal(parsed))

	// It is kept: by further webhooks, when they go, and by processes that start later or from Redis alone.
	second := r.mustCreate(t, receeveWebhook("second")).Webhook.UID
	require.NoError(t, r.DeleteWebhook(ctx, "default", uid, 0))
	require.NoError(t, r.DeleteWebhook(ctx, "default", second, 0))
	r.mustCreate(t, receeveWebhook("third"))
	require.Same(t, private, r.PrivateKey("default"))
	b.cached(r)
	require.True(t, private.Equal(b.start().PrivateKey("default")))

	other := receeveWebhook("first")
	other.Tenant = "other"
	r.mustCreate(t, other)
	require.False(t, private.Equal(r.PrivateKey("other")), "tenants share none")
	require.Equal(t, 1, b.recordsByKey(r.Registry)["keypair/default/signing"])
	require.True(t, paired)
}

func TestRegistry_KeyPairIsOneHoweverManyAsk(t *testing.T) {
	b := newBundle(t)
	registries := []*instance{b.start(), b.start()}
	ctx := b.ctx()
	var group sync.WaitGroup
	for i, r := range registries {
		group.Go(func() {
			_, err := r.CreateWebhook(ctx, receeveWebhook(string(rune('a'+i))))
			require.NoError(t, err)
		})
	}
	group.Wait()
	require.Equal(t, 1, b.recordsByKey(registries[0].Registry)["keypair/default/signing"])
	for _, r := range registries {
		require.NoError(t, r.Confirm(ctx))
	}
	require.True(t, registries[0].PrivateKey("default").Equal(registries[1].PrivateKey("default")))
}

func TestRegistry_KeyPairOfAnotherMasterKeyIsNotReplaced(t *testing.T) {
	b := newBundle(t)
	b.start().mustCreate(t, receeveWebhook("first"))
	r := b.make(func(r *Registry) { r.opts.Keys = testKeyring(t) })
	pair, err := newKeyPair("default")
	require.NoError(t, err)
	value, err := encodeRecord(b.keys, keyPairKey(pair), pair)
	require.NoError(t, err)
	_, err = decodeRecord(r.opts.Keys, keyPairKey(pair).String(), string(value))
	var missing *MissingKeyError
	require.ErrorAs(t, err, &missing)
	r.snapshot.hold(keyPairKey(pair).String(), quarantine{err: err, missingKey: missing.KeyID})
	_, err = r.withKeyPair(receeveWebhook("second"), pairMaker("default"))
	require.ErrorAs(t, err, &missing)
}

func TestRecord_KeyPair(t *testing.T) {
	ring := testKeyring(t)
	pair, err := newKeyPair("acme")
	require.NoError(t, err)
	value, err := encodeRecord(ring, keyPairKey(pair), pair)
	require.NoError(t, err)
	require.NotContains(t, string(value), pemPrivate, "the private key is sealed")
	require.Contains(t, string(value), pemPublic, "the public key can be read")

	res, err := decodeRecord(ring, keyPairKey(pair).String(), string(value))
	require.NoError(t, err)
	require.True(t, pair.private.Equal(res.keyPair.private))

	another, err := newKeyPair("acme")
	require.NoError(t, err)
	for name, damage := range map[string]func(*KeyPair){
		"another's public key": func(p *KeyPair) { p.PublicKey = another.PublicKey },
		"no public key":        func(p *KeyPair) { p.PublicKey = "" },
		"no PEM":               func(p *KeyPair) { p.PrivateKey = catalog.NewSecret("canary") },
		"no key": func(p *KeyPair) {
			p.PrivateKey = catalog.NewSecret(strings.ReplaceAll(p.PublicKey, pemPublic, pemPrivate))
		},
		"no private key": func(p *KeyPair) { p.PrivateKey = catalog.Secret{} },
	} {
		damaged := *pair
		damage(&damaged)
		value, err := encodeRecord(ring, keyPairKey(&damaged), &damaged)
		require.NoError(t, err)
		_, err = decodeRecord(ring, keyPairKey(&damaged).String(), string(value))
		require.ErrorIs(t, err, ErrBadRecord, name)
		require.NotContains(t, err.Error(), "canary")
	}
}
