package demo

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/payload"
)

// What the relay sends in each format passes, and nothing else does: not another secret, not another body.
func TestVerifier(t *testing.T) {
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&pair.PublicKey)
	require.NoError(t, err)
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	fetched := 0
	publicKey := func(context.Context) (string, error) {
		if fetched++; fetched == 1 {
			return "", errors.New("not yet")
		}
		return public, nil
	}
	now := time.Now()
	data := []byte(`{"a":1.10}`)
	ev := &catalog.Event{ID: "evt_1", Type: "debt.paid", Domain: "debt", Tenant: catalog.DefaultTenant, Source: "/platform", Time: now, Raw: data, Data: data}
	d := relay.NewDelivery(ev, "wh_1", relay.Coordinates{Topic: "debt"}, 0, nil, now)

	for _, w := range Webhooks() {
		t.Run(w.ID, func(t *testing.T) {
			signing := catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{{Value: catalog.NewSecret(testSecret), Encoding: catalog.SecretWhsec}}}
			encoding, err := payload.Compile(w.Format, payload.Keys{Signing: signing, Pair: pair})
			require.NoError(t, err)
			var m payload.Message
			require.NoError(t, encoding.Compose(&m, d, now))
			header := http.Header{}
			for _, h := range m.Headers {
				header.Set(h.Name, h.Value)
			}
			if w.Format == catalog.FormatOcelot {
				header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(basicUser+":"+testSecret)))
			}
			verify, err := w.verifier(testSecret, publicKey)
			require.NoError(t, err)
			if w.Format == catalog.FormatReceeve {
				require.Error(t, verify(t.Context(), header, m.Body), "the key is not there yet")
			}
			require.NoError(t, verify(t.Context(), header, m.Body))
			require.NoError(t, verify(t.Context(), header, m.Body))

			other, err := w.verifier("whsec_"+strings.Repeat("b", 32), publicKey)
			require.NoError(t, err)
			require.Equal(t, w.Format == catalog.FormatReceeve, other(t.Context(), header, m.Body) == nil)
			require.Equal(t, w.Format == catalog.FormatReceeve, verify(t.Context(), http.Header{"Content-Type": {"application/json"}}, m.Body) == nil)
			if signsBody := w.Format != catalog.FormatOcelot && w.Format != catalog.FormatDonutwork; signsBody {
				require.Error(t, verify(t.Context(), header, []byte(strings.Replace(string(m.Body), "1.10", "9.10", 1))))
			}
		})
	}
	require.LessOrEqual(t, fetched, 3, "the key is kept")
}
