package outbound

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is an HTTP/1.1 connection. It belongs to the attempt that took or dialled it until it is put into a pool.
type conn struct {
	net.Conn         // TLS where the endpoint has it
	sock     *socket // below Conn
	// stale looks, without waiting, whether the peer closed or wrote while nobody asked. quiet is its scratch field.
	stale func() bool
	quiet bool
	// aborted: the context of an attempt ended on it; it must not be used again.
	aborted   atomic.Bool
	idleSince time.Time
}

func newConn(top net.Conn, sock *socket) *conn {
	c := &conn{Conn: top, sock: sock}
	c.stale = func() bool { return false }
	if under, ok := sock.Conn.(syscall.Conn); ok {
		if raw, err := under.SyscallConn(); err == nil {
			c.watch(raw)
		}
	}
	return c
}

// abort makes whatever waits on the connection return at once. Any goroutine may call it.
func (c *conn) abort() {
	c.aborted.Store(true)
	_ = c.sock.SetDeadline(longAgo)
}

var longAgo = time.Unix(1, 0)

// discard closes the socket, without a TLS farewell.
func (c *conn) discard() { _ = c.sock.Close() }

// protocol is what a receiver was found to speak.
type protocol int32

const (
	protocolUnknown protocol = iota
	protocolHTTP1
	protocolHTTP2
)

// poolKey is a receiver with a trust class: connections are shared between endpoints only if all of it is equal, so
// that none is ever used with another's certificates or verification.
type poolKey struct {
	scheme, address string // address is host:port
	class           trustClass
}

// pool holds what the endpoints of one trust class share: idle connections, TLS configuration, and what was learned
// about the receiver.
type pool struct {
	key    poolKey
	host   string // name or literal address, without brackets
	port   string
	tls    *tls.Config // nil for http
	speaks atomic.Int32
	budget *idleBudget
	h2     *http2Client // set for https; guards itself

	targets int // how many targets refer to it; guarded by Client.mu

	mu     sync.Mutex // guards idle and closed
	idle   []*conn    // oldest first; the newest is taken first, so that surplus connections age
	closed bool
}

func (p *pool) learn(what protocol) { p.speaks.Store(int32(what)) }
func (p *pool) known() protocol     { return protocol(p.speaks.Load()) }

// unlookedIdle is how short an idle time saves the look at the socket, a system call, on a busy lane. What was closed
// within it is noticed in use and replaced.
const unlookedIdle = time.Millisecond

// take gives the newest idle connection that is still quiet, with the deadline set, or nil.
func (p *pool) take(now, deadline time.Time) *conn {
	for {
		c := p.pop()
		if c == nil {
			return nil
		}
		// The old deadline may have passed while it was idle, which would also fail the look at the socket.
		if c.SetDeadline(deadline) == nil && (now.Sub(c.idleSince) < unlookedIdle || !c.stale()) {
			return c
		}
		c.discard()
	}
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	c := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	p.budget.give()
	return c
}

// put gives a connection back, or closes it when there are enough or the pool is gone.
func (p *pool) put(c *conn, now time.Time) {
	c.idleSince = now
	p.mu.Lock()
	kept := !p.closed && p.budget.take()
	if kept {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !kept {
		c.discard()
	}
}

// expire closes connections that have been idle since before the cutoff.
func (p *pool) expire(cutoff time.Time) {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && p.idle[n].idleSince.Before(cutoff) {
		n++
	}
	old := append([]*conn(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	clear(p.idle[len(p.idle):cap(p.idle)])
	p.mu.Unlock()
	p.drop(old)
}

// close closes the idle connections and those that are put back later.
func (p *pool) close() {
	p.mu.Lock()
	old := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	p.drop(old)
	if p.h2 != nil {
		p.h2.closeIdle()
	}
}

func (p *pool) drop(old []*conn) {
	for _, c := range old {
		p.budget.give()
		c.discard()
	}
}

// idleBudget bounds the idle connections of all pools of a client.
type idleBudget struct {
	limit int64
	used  atomic.Int64
}

func (b *idleBudget) take() bool {
	if b.used.Add(1) > b.limit {
		b.used.Add(-1)
		return false
	}
	return true
}

func (b *idleBudget) give() { b.used.Add(-1) }
