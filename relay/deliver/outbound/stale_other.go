//go:build !unix

package outbound

import "syscall"

// watch cannot look at a socket without reading from it here; a connection that was closed while idle is noticed
// when it is used, and replaced then.
func (c *conn) watch(syscall.RawConn) { c.stale = func() bool { return false } }
