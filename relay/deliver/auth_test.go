package deliver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// clientCertificate is self-signed and carries a name that a receiver can tell apart.
func clientCertificate(t *testing.T, name string) (certificate string, key catalog.Secret) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		&x509.Certificate{Subject: pkix.Name{CommonName: name}}, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		catalog.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

// seen is what a receiver knows of who sent a request.
type seen struct{ authorization, header, certificate string }

// tlsReceiver tells what it sees by the webhook that a request is for, which is its path.
type tlsReceiver struct {
	*httptest.Server
	mu    sync.Mutex
	seen  map[string]seen
	conns map[string]map[string]bool // remote addresses by webhook: a connection each
}

func newTLSReceiver(t *testing.T) *tlsReceiver {
	r := &tlsReceiver{seen: map[string]seen{}, conns: map[string]map[string]bool{}}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		s := seen{authorization: req.Header.Get("Authorization"), header: req.Header.Get("X-Api-Key")}
		if certs := req.TLS.PeerCertificates; len(certs) > 0 {
			s.certificate = certs[0].Subject.CommonName
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen[req.URL.Path] = s
		if r.conns[req.URL.Path] == nil {
			r.conns[req.URL.Path] = map[string]bool{}
		}
		r.conns[req.URL.Path][req.RemoteAddr] = true
	}))
	r.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *tlsReceiver) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}))
}

// Each way to authenticate arrives at a receiver with real TLS, each endpoint as itself, on connections of its own.
func TestAuth_EachTypeEndToEnd(t *testing.T) {
	r, i := newTLSReceiver(t), newIssuer(t)
	mtls := func(name string) catalog.Auth {
		certificate, key := clientCertificate(t, name)
		return catalog.Auth{Type: catalog.AuthMTLS, Certificate: certificate, PrivateKey: key}
	}
	secret := catalog.NewSecret
	cases := map[string]struct {
		auth   catalog.Auth
		tenant string
		want   seen
	}{
		"none":             {auth: catalog.Auth{Type: catalog.AuthNone}},
		"basic":            {auth: catalog.Auth{Type: catalog.AuthBasic, Username: "Aladdin", Password: secret("open sesame")}, want: seen{authorization: "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}},
		"bearer":           {auth: catalog.Auth{Type: catalog.AuthBearer, Token: secret("tok")}, want: seen{authorization: "Bearer tok"}},
		"header":           {auth: catalog.Auth{Type: catalog.AuthHeader, Name: "X-Api-Key", Value: secret("k")}, want: seen{header: "k"}},
		"oauth2":           {auth: i.auth(), want: seen{authorization: "Bearer token-1"}},
		"mtls":             {auth: mtls("acme"), tenant: "acme", want: seen{certificate: "acme"}},
		"mtls of another":  {auth: mtls("globex"), tenant: "globex", want: seen{certificate: "globex"}},
		"none of a tenant": {auth: catalog.Auth{Type: catalog.AuthNone}, tenant: "acme"},
	}
	b := newBench(t, nil)
	n := 0
	uids := map[string]string{}
	for name, tc := range cases {
		uid := fmt.Sprint("wh_", len(uids))
		uids[name] = uid
		b.webhook(uid, r.URL+"/"+uid, func(w *catalog.Webhook) {
			w.Tenant, w.Auth, w.TLS = tc.tenant, tc.auth, catalog.TLS{CACert: r.ca()}
			w.Delivery.Concurrency = 1
		})
	}
	for range 3 { // in turns, so that a connection that were shared would be used by another
		for name := range cases {
			task := b.submit(uids[name], nil)
			n++
			require.Eventually(t, func() bool { return b.done.Load() == int64(n) }, waitFor, tick)
			require.Equal(t, 200, task.Delivery.LastStatus, "%s: %s", name, task.Delivery.LastError)
			r.mu.Lock()
			require.Equal(t, cases[name].want, r.seen["/"+uids[name]], name)
			r.mu.Unlock()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, pair := range [][2]string{{"mtls", "mtls of another"}, {"mtls", "none"}, {"none", "none of a tenant"}, {"mtls", "none of a tenant"}} {
		for conn := range r.conns["/"+uids[pair[0]]] {
			require.False(t, r.conns["/"+uids[pair[1]]][conn], "%s share a connection", pair)
		}
	}
}

// A CA is trusted for the endpoint that brought it and for no other, whatever was connected before.
func TestAuth_CustomCAIsItsEndpointsOnly(t *testing.T) {
	r := newTLSReceiver(t)
	b := newBench(t, nil)
	b.webhook("wh_with", r.URL+"/with", func(w *catalog.Webhook) { w.TLS.CACert = r.ca() })
	b.webhook("wh_without", r.URL+"/without", nil)
	b.webhook("wh_unverified", r.URL+"/unverified", func(w *catalog.Webhook) { w.TLS.InsecureSkipVerify = true })
	for n, tc := range []struct{ uid, want string }{{"wh_with", ""}, {"wh_without", "tls"}, {"wh_with", ""}, {"wh_without", "tls"}, {"wh_unverified", "tls"}} {
		task := b.submit(tc.uid, nil)
		require.Eventually(t, func() bool { return b.done.Load() == int64(n+1) }, waitFor, tick)
		require.Equal(t, tc.want, task.Delivery.LastError, tc.uid)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.seen, 1, "nothing is sent where the certificate does not verify")
}
