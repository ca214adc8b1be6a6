package outbound

import (
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"syscall"
)

// errClientClosed ends what is under way when the client is closed.
var errClientClosed = errors.New("outbound client is closed")

// errNoSocket says that endpoints have as many sockets as they may. It is ours, not the endpoint's: the process needs the
// rest of its descriptors for Kafka, Redis and whoever asks how it is.
var errNoSocket = fmt.Errorf("all sockets for endpoints are in use: %w", syscall.EMFILE)

// sockets is the set of open sockets of a client, whatever is being done with them: in a handshake, in an attempt,
// idle in a pool or held by net/http. Its mutex guards the fields below it.
type sockets struct {
	limit int // set once; 0: none

	mu       sync.Mutex
	open     map[*socket]struct{}
	reserved int // for dials under way
	closed   bool
}

// descriptorsKept is what a process keeps of its descriptors at least, and keptShare the part of them that it keeps of
// many: for the clients of Kafka and Redis, which reconnect when they must, and for the APIs.
const descriptorsKept, keptShare = 64, 4

// socketLimit is how many sockets endpoints may have of a process that may open so many files; 0 is no limit.
func socketLimit(files uint64) int {
	if files == 0 || files > math.MaxInt32 {
		return 0
	}
	n := int(files)
	return max(n-max(n/keptShare, descriptorsKept), 1)
}

// reserve makes room for a dial: adopt turns it into a socket, cancel gives it back.
func (s *sockets) reserve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit > 0 && len(s.open)+s.reserved >= s.limit {
		return errNoSocket
	}
	s.reserved++
	return nil
}

func (s *sockets) cancel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved--
}

// socket is a TCP connection that leaves its set when it is closed. Closing it says no TLS farewell: that would
// write to a peer which may not be reading, and wait for it.
type socket struct {
	net.Conn
	set *sockets
}

// adopt takes conn into the set in the place of its reservation, or closes it when the set is closed.
func (s *sockets) adopt(conn net.Conn) (*socket, error) {
	sock := &socket{Conn: conn, set: s}
	s.mu.Lock()
	s.reserved--
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
