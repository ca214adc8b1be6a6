package outbound

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// blockingResolver answers when the lookup's context ends, which is never an answer.
func blockingResolver(asked chan<- struct{}) Resolver {
	return resolverFunc(func(ctx context.Context, host string) ([]netip.Addr, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, &net.DNSError{Err: "timeout", Name: host, IsTimeout: true}
	})
}

func TestLookupFailures(t *testing.T) {
	notFound := &net.DNSError{Err: "no such host", IsNotFound: true}
	servfail := &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	timeout := &net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}
	for name, tc := range map[string]struct {
		err     error
		unsent  bool
		working bool
		want    Class
	}{
		"NXDOMAIN":                           {err: notFound, want: ClassDNS},
		"NXDOMAIN while unsent elsewhere":    {err: notFound, unsent: true, want: ClassDNS},
		"SERVFAIL of everything":             {err: servfail, want: ClassInternal},
		"SERVFAIL of this name":              {err: servfail, working: true, want: ClassDNS},
		"timeout of everything":              {err: timeout, want: ClassInternal},
		"timeout of this name":               {err: timeout, working: true, want: ClassDNS},
		"no descriptors to ask with":         {err: servfail, unsent: true, working: true, want: ClassInternal},
		"no descriptors, seen in the error":  {err: syscall.EMFILE, working: true, want: ClassInternal},
		"resolver refuses, has never worked": {err: syscall.ECONNREFUSED, want: ClassInternal},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, lookupClass(tc.err, tc.unsent, tc.working))
		})
	}
}

// TestOneAnswerProvesTheResolver: a failure is held against a name only while other names resolve.
func TestOneAnswerProvesTheResolver(t *testing.T) {
	c := newClient(t, Options{Resolver: resolverFunc(func(_ context.Context, host string) ([]netip.Addr, error) {
		if host == "gone.test." {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return nil, &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}
	})})
	require.Equal(t, ClassInternal, c.Do(t.Context(), post("http://lame.test/", ample)).Class)
	require.Equal(t, ClassDNS, c.Do(t.Context(), post("http://gone.test/", ample)).Class)
	require.Equal(t, ClassDNS, c.Do(t.Context(), post("http://lame.test/", ample)).Class)
	c.dialer.names.answered.Store(time.Now().Add(-resolverTrust).UnixNano())
	require.Equal(t, ClassInternal, c.Do(t.Context(), post("http://lame.test/", ample)).Class)
}

func TestEmptyAnswerIsTheNamesFault(t *testing.T) {
	c := newClient(t, Options{Resolver: answer()})
	require.Equal(t, ClassDNS, c.Do(t.Context(), post("http://empty.test/", ample)).Class)
}

func TestAbsoluteNames(t *testing.T) {
	for host, want := range map[string]string{
		"example.com": "example.com.", "example.com.": "example.com.", "receiver": "receiver", "localhost": "localhost",
	} {
		require.Equal(t, want, absolute(host))
	}
}

// TestDefaultResolver: Go's own, which knows localhost from the hosts file.
func TestDefaultResolver(t *testing.T) {
	r := receive(t, serve(ok200))
	policy := catalog.Egress{AllowHTTP: true, AllowNetworks: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	}}
	got := newClient(t, Options{Policy: policy}).Do(t.Context(), post("http://localhost:"+port(r)+"/", ample))
	require.Equal(t, 200, got.Status, "%v", got.Err)
}
