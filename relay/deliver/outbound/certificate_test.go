package outbound

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func TestCheckTLS(t *testing.T) {
	ca := newAuthority(t)
	good := leaf{names: []string{"receiver.test"}}
	for name, tc := range map[string]struct {
		server   *tls.Config
		resolver Resolver
		trusted  bool
		class    Class
	}{
		"trusted":        {server: ca.server(t, good), trusted: true},
		"only HTTP/2":    {server: with(ca.server(t, good), func(c *tls.Config) { c.NextProtos = []string{alpnHTTP2} }), trusted: true},
		"self-signed":    {server: ca.server(t, good), class: ClassTLS},
		"expired":        {server: ca.server(t, leaf{names: good.names, expired: true}), trusted: true, class: ClassTLS},
		"wrong host":     {server: ca.server(t, leaf{names: []string{"other.test"}}), trusted: true, class: ClassTLS},
		"denied address": {server: ca.server(t, good), resolver: answer("10.0.0.1"), trusted: true, class: ClassBlocked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := make(chan net.Conn, 4)
			r := receiveTLS(t, tc.server, func(conn net.Conn) {
				if n, _ := conn.Read(make([]byte, 1)); n > 0 {
					requests <- conn
				}
			})
			if tc.resolver == nil {
				tc.resolver = answer("127.0.0.1")
			}
			c := newClient(t, Options{Resolver: tc.resolver})
			material := tlsMaterial{}
			if tc.trusted {
				material.caCert = ca.pem()
			}
			err := c.checkTLS(t.Context(), "https://receiver.test:"+port(r)+"/hook", material)
			if tc.class == "" {
				require.NoError(t, err)
			} else {
				require.Equal(t, tc.class, classify(err, nil), "%v", err)
			}
			require.Zero(t, c.sockets.count(), "the connection is closed")
			require.Empty(t, requests, "nothing is sent")
			require.Zero(t, c.byUse.Len(), "nothing is remembered")
		})
	}
}

func TestCheckTLSOfURLs(t *testing.T) {
	c := newClient(t, Options{})
	require.NoError(t, c.CheckTLS(t.Context(), "http://127.0.0.1:1/hook"), "no certificate to check, no connection made")
	require.Error(t, c.CheckTLS(t.Context(), "ftp://127.0.0.1/"))
	require.Error(t, c.CheckTLS(t.Context(), "https://10.0.0.1/hook"))

	strict := newClient(t, Options{Policy: catalog.Egress{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	require.Error(t, strict.CheckTLS(t.Context(), "http://127.0.0.1:1/hook"))
}

// TestCheckTLSThatSaysNothing: what failed on this side is told apart from what the receiver did.
func TestCheckTLSThatSaysNothing(t *testing.T) {
	r := receive(t, hold)
	to := "https://receiver.test:" + port(r) + "/hook"
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	began := time.Now()
	require.ErrorIs(t, c.CheckTLS(ctx, to), ErrUnchecked, "the caller gave up")
	require.Less(t, time.Since(began), short+slack)

	broken := newClient(t, Options{Resolver: resolverFunc(func(context.Context, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	})})
	require.ErrorIs(t, broken.CheckTLS(t.Context(), to), ErrUnchecked, "no resolver")

	plain := receiveTLS(t, newAuthority(t).server(t, leaf{names: []string{"receiver.test"}}), hold)
	err := c.CheckTLS(t.Context(), "https://receiver.test:"+port(plain)+"/hook")
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrUnchecked, "the receiver's certificate is what is wrong")

	c.Close()
	require.ErrorIs(t, c.CheckTLS(t.Context(), to), ErrUnchecked)
}
