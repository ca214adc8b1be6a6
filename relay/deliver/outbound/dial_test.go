package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// public is a policy without exceptions, but for plain HTTP.
var public = catalog.Egress{AllowHTTP: true}

func TestDeniedURLsAreBlocked(t *testing.T) {
	r := receive(t, serve(ok200))
	c := newClient(t, Options{Policy: public, Resolver: answer("127.0.0.1")})
	for _, url := range []string{
		r.url(), "http://169.254.169.254/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://2130706433/",
		"ftp://example.com/", "http://user:s3cret@example.com/", "http://example.com:22/", "", "::",
	} {
		got := c.Do(t.Context(), post(url, ample))
		require.Equal(t, ClassBlocked, got.Class, url)
		require.NotContains(t, got.Err.Error(), "s3cret")
	}
	require.Zero(t, r.accepted.Load())
}

func TestNamesThatPointInsideAreBlocked(t *testing.T) {
	r := receive(t, serve(ok200))
	url := "http://receiver.test:" + port(r) + "/"
	for name, answers := range map[string][]string{
		"loopback":         {"127.0.0.1"},
		"mapped loopback":  {"::ffff:127.0.0.1"},
		"metadata":         {"169.254.169.254"},
		"public and inner": {"203.0.114.1", "127.0.0.1"},
		"inner and public": {"127.0.0.1", "203.0.114.1"},
		"A and AAAA":       {"203.0.114.1", "::1"},
		"many":             append(repeat("203.0.114.1", 999), "10.0.0.1"),
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, Options{Policy: public, Resolver: answer(answers...)})
			got := c.Do(t.Context(), post(url, ample))
			require.Equal(t, ClassBlocked, got.Class, "%v", got.Err)
			var blocked *catalog.BlockedError
			require.ErrorAs(t, got.Err, &blocked)
		})
	}
	require.Zero(t, r.accepted.Load())
}

// TestRebinding: the answer that was vetted is the one that is dialled, and the next dial vets its own.
func TestRebinding(t *testing.T) {
	r := receive(t, func(conn net.Conn) { // no keep-alive, so that every attempt dials
		serve("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")(conn)
	})
	onlyOne := catalog.Egress{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, AllowHTTP: true}
	var lookups atomic.Int64
	flip := resolverFunc(func(context.Context, string) ([]netip.Addr, error) {
		if lookups.Add(1)%2 == 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}, nil
	})
	c := newClient(t, Options{Policy: onlyOne, Resolver: flip})
	request := post("http://receiver.test:"+port(r)+"/", ample)
	require.Equal(t, 200, c.Do(t.Context(), request).Status)
	require.Equal(t, ClassBlocked, c.Do(t.Context(), request).Class)
	require.Equal(t, 200, c.Do(t.Context(), request).Status)
	require.EqualValues(t, 3, lookups.Load(), "one lookup per dial: what was vetted is what is dialled")
	require.EqualValues(t, 2, r.accepted.Load())
}

// TestControlIsTheSecondNet: an address that the first check let pass is refused at the socket.
func TestControlIsTheSecondNet(t *testing.T) {
	r := receive(t, serve(ok200))
	policy := &fickle{Egress: loopback}
	c := newClient(t, Options{Policy: policy})
	got := c.Do(t.Context(), post(r.url(), ample))
	require.Equal(t, ClassBlocked, got.Class, "%v", got.Err)
	require.EqualValues(t, 2, policy.asked.Load())
	require.Zero(t, r.accepted.Load())
}

// fickle lets an address pass once.
type fickle struct {
	catalog.Egress
	asked atomic.Int64
}

func (f *fickle) CheckAddr(a netip.Addr) error {
	if f.asked.Add(1) > 1 {
		return errors.New("refused")
	}
	return f.Egress.CheckAddr(a)
}

func TestNextAddressIsTried(t *testing.T) {
	r := receive(t, serve(ok200))
	// Nothing listens on 127.0.0.2 there; names keep the URL's host in the request.
	c := newClient(t, Options{Resolver: answer("127.0.0.2", "127.0.0.1")})
	got := c.Do(t.Context(), post("http://receiver.test:"+port(r)+"/", ample))
	require.Equal(t, 200, got.Status, "%v", got.Err)
}

func port(r *receiver) string { return strconv.Itoa(r.Addr().(*net.TCPAddr).Port) }

func repeat(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}
