package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// Policy says where requests may go; catalog.Egress is one. It must not change while a Client uses it.
type Policy interface {
	// CheckAddr refuses an address.
	CheckAddr(addr netip.Addr) error
	// CheckURL refuses a URL, or returns it parsed.
	CheckURL(raw string) (*url.URL, error)
}

// Protocols as ALPN names them.
const (
	alpnHTTP1 = "http/1.1"
	alpnHTTP2 = "h2"
)

const (
	// maxDialled addresses of an answer are tried, all being vetted: with the least time below, more would not fit
	// in an attempt.
	maxDialled = 4
	// minDialTime is the least that one address gets while others wait, as the time left is divided among them.
	minDialTime = 2 * time.Second
)

// dialer connects to hosts as the policy allows. It holds no state of its own.
type dialer struct {
	policy  Policy
	names   *names
	sockets *sockets
	relieve func() // closes idle connections
	net     net.Dialer
}

func newDialer(policy Policy, resolver Resolver, sockets *sockets, relieve func()) *dialer {
	d := &dialer{policy: policy, names: newNames(resolver), sockets: sockets, relieve: relieve}
	d.net.ControlContext = d.control
	return d
}

// control is the second net: it sees the concrete address just before the connect, whatever led there.
func (d *dialer) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fail(ClassBlocked, "vet "+address, err)
	}
	if err := d.policy.CheckAddr(to.Addr().Unmap()); err != nil {
		return fail(ClassBlocked, "vet "+address, err)
	}
	return nil
}

// connect resolves, vets and connects. Every address of the answer must pass: a name that also points inside is not
// to be trusted with the order of its answers.
func (d *dialer) connect(ctx context.Context, host, port string) (*socket, error) {
	addrs, err := d.names.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if err := d.policy.CheckAddr(addr); err != nil {
			return nil, fail(ClassBlocked, "vet the addresses of "+host, err)
		}
	}
	var first error
	for i, n := 0, min(len(addrs), maxDialled); i < n; i++ {
		sock, err := d.connectTo(ctx, net.JoinHostPort(addrs[i].String(), port), n-i)
		if err == nil {
			return sock, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// connectTo connects to one vetted address, with a fair share of the time while others are left to try.
func (d *dialer) connectTo(ctx context.Context, address string, left int) (*socket, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		share := max(time.Until(deadline)/time.Duration(left), minDialTime)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	err := d.sockets.reserve()
	if err != nil {
		d.relieve() // what others keep for later is needed now
		err = d.sockets.reserve()
	}
	if err != nil {
		return nil, fail(ClassInternal, "connect to "+address, err)
	}
	raw, err := d.net.DialContext(ctx, "tcp", address)
	if err != nil {
		d.sockets.cancel()
		return nil, fail(connectClass(err), "connect to "+address, err)
	}
	sock, err := d.sockets.adopt(raw)
	if err != nil {
		return nil, fail(ClassCanceled, "connect to "+address, err)
	}
	return sock, nil
}

// handshake dials p's receiver and makes the TLS handshake offering one protocol.
func (d *dialer) handshake(ctx context.Context, p *pool, offer string) (*tls.Conn, *socket, error) {
	sock, err := d.connect(ctx, p.host, p.port)
	if err != nil {
		return nil, nil, err
	}
	config := p.tls
	if offer != alpnHTTP1 {
		config = config.Clone()
		config.NextProtos = []string{offer}
	}
	top := tls.Client(sock, config)
	if err := top.HandshakeContext(ctx); err != nil {
		_ = sock.Close()
		class := ClassTLS
		if isTimeout(err) {
			class = ClassTimeout
		}
		return nil, nil, fail(class, "TLS handshake with "+p.key.address, err)
	}
	return top, sock, nil
}

// errOnlyHTTP2 says that the receiver turned out to speak nothing but HTTP/2.
var errOnlyHTTP2 = errors.New("receiver speaks only HTTP/2")

// dialHTTP1 gives a fresh connection to p's receiver, or errOnlyHTTP2.
//
// Only HTTP/1.1 is offered, as most servers would pick HTTP/2 from an offer of both. A server that speaks nothing
// else refuses, or goes on without a choice and fails later, when the request has been sent. So where the first
// handshake leaves it open, a second one offers HTTP/2 alone before anything is sent.
func (d *dialer) dialHTTP1(ctx context.Context, p *pool) (*conn, error) {
	if p.tls == nil {
		sock, err := d.connect(ctx, p.host, p.port)
		if err != nil {
			return nil, err
		}
		return newConn(sock, sock), nil
	}
	top, sock, err := d.handshake(ctx, p, alpnHTTP1)
	negotiated := ""
	if err == nil {
		negotiated = top.ConnectionState().NegotiatedProtocol
	}
	if needsProbe(negotiated, err, p.known()) && d.takesHTTP2(ctx, p) {
		if sock != nil {
			_ = sock.Close()
		}
		return nil, errOnlyHTTP2
	}
	if err != nil {
		return nil, err
	}
	p.learn(protocolHTTP1)
	return newConn(top, sock), nil
}

// needsProbe decides whether a handshake that offered HTTP/1.1 leaves open that only HTTP/2 is spoken: nothing was
// chosen, or the peer ended the handshake (crypto/tls does not export its alerts, so any that came from the peer
// counts). A receiver that is known to speak HTTP/1.1 is not asked again.
func needsProbe(negotiated string, err error, known protocol) bool {
	if known == protocolHTTP1 || negotiated == alpnHTTP1 {
		return false
	}
	if err == nil {
		return true
	}
	if f := (*failure)(nil); !errors.As(err, &f) || f.class != ClassTLS {
		return false
	}
	var alert *net.OpError
	return isClosed(err) || errors.As(err, &alert)
}

// takesHTTP2 asks the receiver by a handshake that offers nothing else.
func (d *dialer) takesHTTP2(ctx context.Context, p *pool) bool {
	top, sock, err := d.handshake(ctx, p, alpnHTTP2)
	if err != nil {
		return false
	}
	_ = sock.Close()
	return top.ConnectionState().NegotiatedProtocol == alpnHTTP2
}

// dialHTTP2 gives a fresh HTTP/2 connection to p's receiver.
func (d *dialer) dialHTTP2(ctx context.Context, p *pool) (net.Conn, error) {
	top, sock, err := d.handshake(ctx, p, alpnHTTP2)
	if err != nil {
		if classify(err, nil) == ClassTLS {
			p.learn(protocolUnknown)
		}
		return nil, err
	}
	if got := top.ConnectionState().NegotiatedProtocol; got != alpnHTTP2 {
		p.learn(protocolUnknown)
		_ = sock.Close()
		return nil, fail(ClassTLS, "TLS handshake with "+p.key.address, fmt.Errorf("receiver no longer accepts HTTP/2 (chose %q)", got))
	}
	return top, nil
}
