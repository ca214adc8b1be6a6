// Package guardtest holds what must not be reachable, in every spelling that is known to have fooled somebody, for the
// tests of every path on which the relay connects to an address that a user chose. It tests nothing by itself: a path
// that does not run it is not covered.
package guardtest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

// Path is one way to make the relay connect. It tries to reach the URL under the policy, with names looked up by the
// resolver, and says how it ended: ClassBlocked when it was refused.
type Path func(t *testing.T, policy catalog.Egress, resolver outbound.Resolver, url string) outbound.Class

// DeniedURLs are refused for what they say, before any name is looked up.
var DeniedURLs = []string{
	// Loopback, in every form of IPv6 that carries it, and its names.
	"https://127.0.0.1/", "https://127.255.255.255/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
	"https://[::7f00:1]/", "https://[::ffff:0:7f00:1]/", "https://[::5efe:7f00:1]/",
	"https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://foo.localhost/",
	// Unspecified: Linux connects it to itself.
	"https://0.0.0.0/", "https://0/", "https://[::]/", "https://0.1.2.3/",
	// Numbers that some resolver takes for an address.
	"https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.1/", "https://127.0.1/", "https://017700000001/",
	// Characters that become others.
	"https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://ｅxample.com/",
	// Metadata services.
	"https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "https://[fd20:ce::254]/", "https://100.100.100.200/", "https://168.63.129.16/",
	"https://192.0.0.192/", "https://metadata.google.internal/", "https://[64:ff9b::a9fe:a9fe]/", "https://[2002:a9fe:a9fe::1]/", "https://[::ffff:169.254.169.254]/",
	// Private, unique local, link local.
	"https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.0.1/", "https://100.64.0.1/",
	"https://[fc00::1]/", "https://[fd12::1]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fec0::1]/",
	// Documentation, benchmarks, multicast, reserved, transition.
	"https://192.0.2.1/", "https://198.51.100.1/", "https://203.0.113.1/", "https://198.18.0.1/", "https://192.88.99.1/", "https://224.0.0.1/", "https://240.0.0.1/", "https://255.255.255.255/",
	"https://[2001:db8::1]/", "https://[2001::1]/", "https://[100::1]/", "https://[3fff::1]/", "https://[5f00::1]/", "https://[ff02::1]/",
	// NAT64, which is not configured.
	"https://[64:ff9b::8.8.8.8]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::]/", "https://[64:ff9b::e000:1]/", "https://[64:ff9b:0:1::1]/", "https://[64:ff9b:1::1]/",
	// User names, and what parsers take for them.
	"https://example.com@127.0.0.1/", "https://example.com:80@127.0.0.1:22/", "https://127.0.0.1%2f@x/", "https://u:p@example.com/",
	"https://127.0.0.1\\@example.com/", "https://[127.0.0.1]/", "https://h%00x/", "https://a.b\r\nHost: x/", "https://127.0.0.1#@example.com/",
	"https:127.0.0.1", "//127.0.0.1/", "https:///p", "https://example.com:99999/", "https://example.com:0/", "https://example.com:/",
	// Other schemes, and plain HTTP, which is not allowed here.
	"http://example.com/", "file:///etc/passwd", "gopher://example.com/", "ftp://example.com/", "unix:///run/docker.sock", "data:text/plain,x",
	"ldap://example.com/", "jar:https://example.com/!/", "ws://example.com/",
	// Ports of other protocols.
	"https://example.com:22/", "https://example.com:23/", "https://example.com:25/", "https://example.com:53/", "https://example.com:110/", "https://example.com:143/",
	"https://example.com:389/", "https://example.com:465/", "https://example.com:587/", "https://example.com:993/", "https://example.com:2375/", "https://example.com:2379/",
	"https://example.com:3306/", "https://example.com:5432/", "https://example.com:6379/", "https://example.com:6443/", "https://example.com:8500/", "https://example.com:9092/",
	"https://example.com:9200/", "https://example.com:11211/", "https://example.com:27017/",
}

// AllowedURLs are beside what is denied: refusing them would be a mistake too.
var AllowedURLs = []string{
	"https://9.255.255.255/", "https://11.0.0.0/", "https://100.63.255.255/", "https://100.128.0.0/", "https://172.15.255.255/", "https://172.32.0.0/",
	"https://192.88.98.255/", "https://192.88.100.1/", "https://198.17.255.255/", "https://198.20.0.0/", "https://223.255.255.255/",
	"https://[2606:4700:4700::1111]/", "https://[2001:4860:4860::8888]/", "https://[2001:200::1]/", "https://[3fff:1000::1]/",
	"https://example.com/", "https://example.com:8443/", "HTTPS://example.com/", "https://xn--bcher-kva.example/",
}

// deniedAnswers are what the name of a harmless URL resolves to. One inner address spoils an answer, wherever it stands.
var deniedAnswers = map[string][]string{
	"loopback":            {"127.0.0.1"},
	"mapped loopback":     {"::ffff:127.0.0.1"},
	"loopback of IPv6":    {"::1"},
	"compatible loopback": {"::7f00:1"},
	"unspecified":         {"0.0.0.0"},
	"metadata":            {"169.254.169.254"},
	"mapped metadata":     {"::ffff:169.254.169.254"},
	"Azure's wire server": {"168.63.129.16"},
	"private":             {"10.1.2.3"},
	"unique local":        {"fd00:ec2::254"},
	"with a zone":         {"fe80::1%1"},
	"NAT64 of loopback":   {"64:ff9b::7f00:1"},
	"NAT64":               {"64:ff9b::808:808"},
	"6to4 of metadata":    {"2002:a9fe:a9fe::1"},
	"Teredo":              {"2001::1"},
	"public, then inner":  {"203.0.114.1", "127.0.0.1"},
	"inner, then public":  {"127.0.0.1", "203.0.114.1"},
	"A and AAAA":          {"203.0.114.1", "::1"},
	"the last of many":    {"203.0.114.1", "203.0.114.2", "203.0.114.3", "203.0.114.4", "203.0.114.5", "203.0.114.6", "192.168.0.1"},
}

// URLs runs a path over everything that is refused for what the URL says.
func URLs(t *testing.T, path Path) {
	t.Helper()
	for _, url := range DeniedURLs {
		require.Equal(t, outbound.ClassBlocked, path(t, catalog.Egress{}, never{t}, url), "%q", url)
	}
	t.Run("NAT64 configured", func(t *testing.T) {
		for _, url := range []string{"https://[64:ff9b::7f00:1]/", "https://[64:ff9b::a9fe:a9fe]/", "https://[64:ff9b::10.0.0.1]/", "https://[64:ff9b:1::1]/"} {
			require.Equal(t, outbound.ClassBlocked, path(t, catalog.Egress{NAT64: true}, never{t}, url), url)
		}
	})
	t.Run("outside of what the operator allowed", func(t *testing.T) {
		allowed := catalog.Egress{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
		for _, url := range []string{"https://10.2.0.1/", "https://127.0.0.1/", "https://[::ffff:10.2.0.1]/", "https://[64:ff9b::10.1.0.1]/"} {
			require.Equal(t, outbound.ClassBlocked, path(t, allowed, never{t}, url), url)
		}
	})
}

// Names runs a path over names that point inside, and over one whose answer changes.
func Names(t *testing.T, path Path) {
	t.Helper()
	outer, inner := listen(t, "127.0.0.1:0"), (*counter)(nil)
	_, port, err := net.SplitHostPort(outer.Addr().String())
	require.NoError(t, err)
	inner = listen(t, net.JoinHostPort("127.0.0.2", port))
	url := "https://receiver.test:" + port + "/"
	for name, answers := range deniedAnswers {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, outbound.ClassBlocked, path(t, catalog.Egress{}, answer(answers), url))
		})
	}
	require.Zero(t, outer.accepted.Load(), "nothing was connected to")

	t.Run("flipping", func(t *testing.T) {
		policy := catalog.Egress{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
		flip := &flipping{}
		var blocked int
		for range 9 {
			if path(t, policy, flip, url) == outbound.ClassBlocked {
				blocked++
			}
		}
		require.NotZero(t, blocked)
		require.NotZero(t, outer.accepted.Load(), "what the operator allowed is connected to")
		require.Zero(t, inner.accepted.Load(), "what was vetted is what is connected to")
	})
}

// Redirects runs a path over a receiver that redirects it to everything that is refused, and to a listener: it is never
// followed. The receiver answers on plain HTTP, at an address that the operator allowed.
func Redirects(t *testing.T, path Path) {
	t.Helper()
	inner := listen(t, "127.0.0.2:0")
	policy := catalog.Egress{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for n, location := range append([]string{"http://" + inner.Addr().String() + "/", "file:///etc/passwd"}, DeniedURLs...) {
		var asked atomic.Int64
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Location", strings.NewReplacer("\r", "%0D", "\n", "%0A").Replace(location))
			w.WriteHeader(redirects[n%len(redirects)])
		}))
		class := path(t, policy, never{t}, receiver.URL+"/hook")
		receiver.Close()
		require.NotEqual(t, outbound.ClassBlocked, class, "%q is not looked at", location)
		require.Positive(t, asked.Load(), "%q", location)
	}
	require.Zero(t, inner.accepted.Load(), "no redirect is followed")
}

// redirects are the statuses that clients follow; the last two with the request's body.
var redirects = []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}

// never fails the test when a name is looked up.
type never struct{ t *testing.T }

// LookupNetIP implements outbound.Resolver.
func (n never) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.t.Errorf("%q was looked up", host)
	return nil, net.UnknownNetworkError("none")
}

type answer []string

// LookupNetIP implements outbound.Resolver.
func (a answer) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	addrs := make([]netip.Addr, len(a))
	for i, text := range a {
		addrs[i] = netip.MustParseAddr(text)
	}
	return addrs, nil
}

// flipping answers with the inner address at every third lookup, as a name with a time to live of zero can. Not at every
// second one: a failed handshake is tried again for HTTP/2.
type flipping struct{ lookups atomic.Int64 }

// LookupNetIP implements outbound.Resolver.
func (f *flipping) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if f.lookups.Add(1)%3 == 0 {
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// counter is a listener that counts connections and closes them.
type counter struct {
	net.Listener
	accepted atomic.Int64
}

func listen(t *testing.T, addr string) *counter {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	c, done := &counter{Listener: l}, make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.accepted.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return c
}
