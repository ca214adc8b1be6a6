//go:build unix

package outbound

import (
	"errors"
	"syscall"
)

// watch prepares the look at the socket that stale takes. The closure is made once per connection, so that looking
// allocates nothing.
func (c *conn) watch(raw syscall.RawConn) {
	var peeked [1]byte
	look := func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), peeked[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// Nothing to read, not even an end, is what a healthy idle connection looks like.
		c.quiet = errors.Is(err, syscall.EAGAIN)
		return true // never wait for readability
	}
	c.stale = func() bool {
		c.quiet = false
		return raw.Read(look) != nil || !c.quiet
	}
}
