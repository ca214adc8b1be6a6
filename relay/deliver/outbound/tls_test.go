package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// receiveTLS is a receiver on TLS. Handshakes that fail just end.
func receiveTLS(t testing.TB, config *tls.Config, handle func(net.Conn)) *receiver {
	return receive(t, func(conn net.Conn) {
		top := tls.Server(conn, config)
		if top.Handshake() == nil {
			handle(top)
		}
	})
}

// postTLS addresses the receiver as receiver.test and trusts ca.
func postTLS(r *receiver, ca *authority, timeout time.Duration) *Request {
	request := post("https://receiver.test:"+port(r)+"/hook", timeout)
	request.Endpoint.TLS.CACert = ca.pem()
	return request
}

func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	good := leaf{names: []string{"receiver.test"}}
	for name, tc := range map[string]struct {
		server *tls.Config
		modify func(*catalog.Endpoint)
		class  Class
	}{
		"trusted":               {server: ca.server(t, good)},
		"TLS 1.2":               {server: with(ca.server(t, good), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })},
		"server without ALPN":   {server: ca.server(t, good)},
		"server with ALPN":      {server: with(ca.server(t, good), func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} })},
		"expired":               {server: ca.server(t, leaf{names: good.names, expired: true}), class: ClassTLS},
		"wrong host":            {server: ca.server(t, leaf{names: []string{"other.test"}}), class: ClassTLS},
		"self-signed":           {server: newAuthority(t).server(t, good), class: ClassTLS},
		"another CA":            {server: other.server(t, good), class: ClassTLS},
		"TLS 1.0":               {server: with(ca.server(t, good), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS10 }), class: ClassTLS},
		"no caCert":             {server: ca.server(t, good), modify: func(e *catalog.Endpoint) { e.TLS.CACert = "" }, class: ClassTLS},
		"unusable caCert":       {server: ca.server(t, good), modify: func(e *catalog.Endpoint) { e.TLS.CACert = "junk" }, class: ClassTLS},
		"insecure":              {server: other.server(t, leaf{names: []string{"x"}, expired: true}), modify: func(e *catalog.Endpoint) { e.TLS = catalog.TLS{InsecureSkipVerify: true} }},
		"insecure, not allowed": {server: other.server(t, leaf{names: []string{"x"}}), modify: func(e *catalog.Endpoint) { e.TLS = catalog.TLS{InsecureSkipVerify: true} }, class: ClassTLS},
		"unusable client cert":  {server: ca.server(t, good), modify: func(e *catalog.Endpoint) { e.Auth = mtls("junk", "s3cret") }, class: ClassTLS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receiveTLS(t, tc.server, serve(ok200))
			c := newClient(t, Options{Resolver: answer("127.0.0.1"), AllowInsecureTLS: name != "insecure, not allowed"})
			request := postTLS(r, ca, ample)
			if tc.modify != nil {
				tc.modify(request.Endpoint)
			}
			for range 2 {
				got := c.Do(t.Context(), request)
				require.Equal(t, tc.class, got.Class, "%v", got.Err)
				if tc.class == ClassStatus {
					require.Equal(t, 200, got.Status)
					require.Equal(t, 1, c.sockets.count())
				} else {
					require.NotContains(t, got.Err.Error(), "s3cret")
					require.Zero(t, c.sockets.count())
				}
			}
		})
	}
}

func TestTLSToAPlainReceiver(t *testing.T) {
	r := receive(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 100))
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
	})
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	require.Equal(t, ClassTLS, c.Do(t.Context(), postTLS(r, newAuthority(t), ample)).Class)
	require.EqualValues(t, 1, r.accepted.Load(), "no plaintext fallback, no second try")
}

func TestStalledHandshakeTimesOut(t *testing.T) {
	r := receive(t, hold)
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	got := c.Do(t.Context(), postTLS(r, newAuthority(t), short))
	require.Equal(t, ClassTimeout, got.Class, "%v", got.Err)
	require.Less(t, got.Latency, short+slack)
	require.Zero(t, c.sockets.count())
}

func TestClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	server := with(ca.server(t, leaf{names: []string{"receiver.test"}}), func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, ca.pool()
		c.NextProtos = []string{alpnHTTP1}
	})
	names := make(chan string, 10)
	r := receive(t, func(conn net.Conn) {
		top := tls.Server(conn, server)
		if top.Handshake() != nil {
			return
		}
		names <- top.ConnectionState().PeerCertificates[0].Subject.CommonName
		serve(ok200)(top)
	})
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	for _, who := range []string{"tenant-a", "tenant-b"} {
		request := postTLS(r, ca, ample)
		request.Endpoint.Auth = mtls(ca.issue(t, leaf{common: who, client: true}))
		for range 2 {
			got := c.Do(t.Context(), request)
			require.Equal(t, 200, got.Status, "%v", got.Err)
		}
		require.Equal(t, who, <-names, "a connection is never used as somebody else")
	}
	require.Empty(t, names, "each identity has its own pool, and uses it again")

	anonymous := c.Do(t.Context(), postTLS(r, ca, ample))
	require.Zero(t, anonymous.Status, "another's connection is not used")
	// The alert may be overtaken by the reset that follows it.
	require.Contains(t, []Class{ClassTLS, ClassConnect}, anonymous.Class, "%v", anonymous.Err)
	require.Empty(t, names)
}

// TestRefusalAfterTheHandshake: an alert in place of a response is TLS's failure.
func TestRefusalAfterTheHandshake(t *testing.T) {
	ca := newAuthority(t)
	server := with(ca.server(t, leaf{names: []string{"receiver.test"}}), func(c *tls.Config) {
		c.NextProtos = []string{alpnHTTP1}
	})
	const alertLevelFatal, alertCertificateRequired = 2, 116
	r := receive(t, func(raw net.Conn) {
		top := tls.Server(raw, server)
		_, _ = top.Read(make([]byte, 4096)) // the request
		// A record that TLS cannot decrypt stands for every way in which it may fail.
		_, _ = raw.Write([]byte{21, 3, 3, 0, 2, alertLevelFatal, alertCertificateRequired})
		hold(raw)
	})
	got := newClient(t, Options{Resolver: answer("127.0.0.1")}).Do(t.Context(), postTLS(r, ca, ample))
	require.Equal(t, ClassTLS, got.Class, "%v", got.Err)
	require.EqualValues(t, 1, r.accepted.Load())
}

// TestTrustClassesShareNothing: every piece of TLS material, the tenant and the scheme separate pools.
func TestTrustClassesShareNothing(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, leaf{common: "tenant-a", client: true})
	otherCert, otherKey := ca.issue(t, leaf{common: "tenant-a", client: true})
	variants := []*catalog.Endpoint{
		{URL: "https://receiver.test/"},
		{URL: "http://receiver.test:443/"},
		{URL: "https://receiver.test:8443/"},
		{URL: "https://other.test/"},
		{URL: "https://receiver.test/", TLS: catalog.TLS{CACert: ca.pem()}},
		{URL: "https://receiver.test/", TLS: catalog.TLS{InsecureSkipVerify: true}},
		{URL: "https://receiver.test/", Auth: mtls(cert, key)},
		{URL: "https://receiver.test/", Auth: mtls(otherCert, otherKey)},
		{URL: "https://receiver.test/", Tenant: "acme"},
		{URL: "https://receiver.test/", Tenant: "acme", Auth: mtls(cert, key)},
	}
	c := newClient(t, Options{AllowInsecureTLS: true})
	seen := map[*pool]bool{}
	for _, e := range variants {
		first, err := c.target(e, time.Now())
		require.NoError(t, err)
		require.False(t, seen[first.pool], e.URL)
		seen[first.pool] = true
		e.URL += "another/path"
		second, err := c.target(e, time.Now())
		require.NoError(t, err)
		require.Same(t, first.pool, second.pool)
	}
}

func TestTLSReceiverThatClosesIdleConnections(t *testing.T) {
	ca := newAuthority(t)
	r := receiveTLS(t, ca.server(t, leaf{names: []string{"receiver.test"}}), func(conn net.Conn) {
		buf := make([]byte, 4096)
		_, _ = conn.Read(buf)
		_, _ = io.WriteString(conn, ok200)
		_ = conn.Close() // with close_notify
	})
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	for range 10 {
		got := c.Do(t.Context(), postTLS(r, ca, ample))
		require.Equal(t, 200, got.Status, "%v", got.Err)
	}
}

func with(c *tls.Config, f func(*tls.Config)) *tls.Config {
	f(c)
	return c
}

func mtls(cert, key string) catalog.Auth {
	return catalog.Auth{Type: catalog.AuthMTLS, Certificate: cert, PrivateKey: catalog.NewSecret(key)}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}
