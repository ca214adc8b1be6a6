package outbound

import (
	"errors"
	"net"
	"sync"
)

// errClientClosed ends what is under way when the client is closed.
var errClientClosed = errors.New("outbound client is closed")

// sockets is the set of open sockets of a client, whatever is being done with them: in a handshake, in an attempt,
// idle in a pool or held by net/http. Its mutex guards both fields.
type sockets struct {
	mu     sync.Mutex
	open   map[*socket]struct{}
	closed bool
}

// socket is a TCP connection that leaves its set when it is closed. Closing it says no TLS farewell: that would
// write to a peer which may not be reading, and wait for it.
type socket struct {
	net.Conn
	set *sockets
}

// adopt takes conn into the set, or closes it when the set is closed.
func (s *sockets) adopt(conn net.Conn) (*socket, error) {
	sock := &socket{Conn: conn, set: s}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		if s.open == nil {
			s.open = make(map[*socket]struct{})
		}
		s.open[sock] = struct{}{}
	}
	s.mu.Unlock()
	if closed {
		_ = conn.Close()
		return nil, errClientClosed
	}
	return sock, nil
}

// Close implements net.Conn.
func (k *socket) Close() error {
	k.set.mu.Lock()
	delete(k.set.open, k)
	k.set.mu.Unlock()
	return k.Conn.Close()
}

// count of open sockets.
func (s *sockets) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// closeAll closes every socket and refuses new ones.
func (s *sockets) closeAll() {
	s.mu.Lock()
	open := s.open
	s.open, s.closed = nil, true
	s.mu.Unlock()
	for sock := range open {
		_ = sock.Conn.Close()
	}
}
