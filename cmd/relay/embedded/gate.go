package embedded

import (
	"context"
	"errors"
	"net"
	"sync"
)

// gate is the broker's listener. Its address is bound from the start, so that it can be advertised and nobody else can
// take it, but connections wait in the system's queue until open is called. Until then only dial gets through, in
// memory: it is how the broker's topics are made before the first client is served.
type gate struct {
	tcp        net.Listener // nil for a broker that no client may ever reach
	advertised net.Addr

	private chan net.Conn // server ends of dial, until open
	opened  chan struct{}
	closed  chan struct{}

	openOnce, closeOnce sync.Once
}

var errGateOpen = errors.New("the broker is open: dial its address")

func newGate(tcp net.Listener, advertised net.Addr) *gate {
	return &gate{tcp: tcp, advertised: advertised, private: make(chan net.Conn), opened: make(chan struct{}), closed: make(chan struct{})}
}

// open lets the clients in. It is called at most once, and only on a gate that has an address.
func (g *gate) open() { g.openOnce.Do(func() { close(g.opened) }) }

// dial connects to the broker past the closed gate.
func (g *gate) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case g.private <- server:
		return client, nil
	case <-g.opened:
		return nil, errGateOpen
	case <-g.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case <-g.opened:
	default:
		select {
		case conn := <-g.private:
			return conn, nil
		case <-g.opened:
		case <-g.closed:
			return nil, net.ErrClosed
		}
	}
	return g.tcp.Accept()
}

// Close implements net.Listener. The broker closes its listener more than once.
func (g *gate) Close() error {
	var err error
	g.closeOnce.Do(func() {
		close(g.closed)
		if g.tcp != nil {
			err = g.tcp.Close()
		}
	})
	return err
}

// Addr implements net.Listener; the broker tells clients to come to this address.
func (g *gate) Addr() net.Addr { return g.advertised }

// hostPort is an address that need not be an IP address of this machine, for example a container's name.
type hostPort string

func (hostPort) Network() string  { return "tcp" }
func (a hostPort) String() string { return string(a) }

// advertise is what clients are told when the broker listens at bound: want when given, and the loopback address when
// the broker listens on every interface, because the unspecified address leads nowhere.
func advertise(want string, bound net.Addr) net.Addr {
	if want != "" {
		return hostPort(want)
	}
	if tcp, ok := bound.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}
	}
	return bound
}

// listen hands the gate to the broker in place of a listener of its own.
func (g *gate) listen(_, _ string) (net.Listener, error) { return g, nil }
