package deliver

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/payload"
)

// A webhook that lacks its tenant's key pair can be sent to as soon as there is one, without an edit.
func TestDispatcher_TargetWaitsForTheKeyPair(t *testing.T) {
	var pair *rsa.PrivateKey
	d := New(Options{Registerer: prometheus.NewRegistry(), Pair: func(tenant string) *rsa.PrivateKey {
		require.Equal(t, "acme", tenant)
		return pair
	}})
	w := &catalog.Webhook{UID: "wh_1", Tenant: "acme", URL: "https://example.com/", Format: catalog.FormatReceeve}
	missing := d.target(w, nil, "")
	require.ErrorIs(t, missing.err, ErrUnsendable)
	require.ErrorIs(t, missing.err, payload.ErrSigningKey)

	var err error
	pair, err = rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	found := d.target(w, nil, "")
	require.NoError(t, found.err)
	require.Same(t, found, d.target(w, nil, ""), "what can be sent to is compiled once")
}
