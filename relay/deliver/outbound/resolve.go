package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// Resolver looks names up. network is "ip"; host ends in a dot when it has more than one label, so that no search
// domain is appended to it.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	// lookupTimeout bounds one lookup inside the attempt's deadline. net.Resolver waits 5 s for a name server
	// before it asks the next; a receiver whose name takes longer has no time left for a request anyway.
	lookupTimeout = 5 * time.Second
	// resolverTrust is how long an answer proves that the resolver works: short enough that an outage is noticed
	// within the backoff of a first retry, long enough to span the lookups of a quiet relay's retries.
	resolverTrust = 30 * time.Second
)

// names resolves names and knows whose fault a failure is: the name's, or that of our resolver. NXDOMAIN is an answer
// about the name. A timeout or SERVFAIL may be either; it is held against the name only if the resolver answered
// about some other name recently. All fields are safe for concurrent use.
type names struct {
	resolver Resolver
	answered atomic.Int64 // Unix ns of the latest answer
	unsent   atomic.Int64 // Unix ns of the latest query that our machine could not send
}

// newNames uses resolver, or Go's own when it is nil: the C library would accept numeric spellings of addresses.
func newNames(resolver Resolver) *names {
	n := &names{resolver: resolver}
	if resolver == nil {
		n.resolver = &net.Resolver{PreferGo: true, Dial: n.dialServer}
	}
	return n
}

// dialServer connects to a name server, noting when not even that is possible: net.DNSError drops the cause.
func (n *names) dialServer(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil && isLocal(err) {
		n.unsent.Store(time.Now().UnixNano())
	}
	return conn, err
}

// lookup returns every address of host, which may be a literal.
func (n *names) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, lookupTimeout, fmt.Errorf("no answer from the resolver within %v", lookupTimeout))
	defer cancel()
	addrs, err := n.resolver.LookupNetIP(ctx, "ip", absolute(host))
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	if err != nil {
		class := lookupClass(err, n.unsent.Load() >= start.UnixNano(), n.answeredWithin(start, resolverTrust))
		if class == ClassDNS && isNotFound(err) {
			n.answered.Store(time.Now().UnixNano())
		}
		return nil, fail(class, "resolve "+host, err)
	}
	n.answered.Store(time.Now().UnixNano())
	for i := range addrs {
		addrs[i] = addrs[i].Unmap() // net.Resolver returns IPv4 answers in either form
	}
	return addrs, nil
}

func (n *names) answeredWithin(now time.Time, d time.Duration) bool {
	last := n.answered.Load()
	return last != 0 && now.UnixNano()-last < int64(d)
}

// lookupClass decides whose fault a failed lookup is. unsent: our machine could not send the query. working: the
// resolver answered about some name recently.
func lookupClass(err error, unsent, working bool) Class {
	switch {
	case isNotFound(err):
		return ClassDNS
	case unsent || isLocal(err):
		return ClassInternal
	case working:
		return ClassDNS
	}
	return ClassInternal
}

func isNotFound(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// absolute keeps the search domains of resolv.conf away from names of more than one label: "example.com" must not
// become "example.com.cluster.local". A single label has no other meaning than the local one.
func absolute(host string) string {
	if strings.Contains(host, ".") && !strings.HasSuffix(host, ".") {
		return host + "."
	}
	return host
}
