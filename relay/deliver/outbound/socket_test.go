package outbound

import (
	"bufio"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRow78_SocketsAreBounded: endpoints never take all files of the process. What one endpoint keeps for later is given
// to one that needs it now; where nothing is left, it is not the endpoint's fault.
func TestRow78_SocketsAreBounded(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 2)
	slow := receive(t, func(conn net.Conn) {
		for in := bufio.NewReader(conn); readRequest(in) != nil; {
			arrived <- struct{}{}
			<-release
			_, _ = io.WriteString(conn, ok200)
		}
	})
	quick := receive(t, func(conn net.Conn) {
		for in := bufio.NewReader(conn); readRequest(in) != nil; {
			_, _ = io.WriteString(conn, ok200)
		}
	})
	c := newClient(t, Options{})
	c.sockets.limit = 2
	require.Equal(t, 200, c.Do(t.Context(), post(quick.url(), ample)).Status) // one is idle now
	done := make(chan Result, 2)
	for range 2 {
		go func() { done <- c.Do(t.Context(), post(slow.url(), ample)) }()
	}
	<-arrived
	<-arrived // both: the idle one made room
	require.Equal(t, 2, c.sockets.count())

	refused := c.Do(t.Context(), post(quick.url(), ample))
	require.Equal(t, ClassInternal, refused.Class)
	require.ErrorIs(t, refused.Err, syscall.EMFILE)
	close(release)
	for range 2 {
		require.Equal(t, 200, (<-done).Status)
	}
	require.Eventually(t, func() bool { return c.Do(t.Context(), post(quick.url(), ample)).Status == 200 }, ample, relieveEvery)
	require.Zero(t, c.sockets.reserved)
}

func TestSocketLimit(t *testing.T) {
	for files, want := range map[uint64]int{0: 0, 32: 1, 64: 1, 128: 64, 256: 192, 1024: 768, 1 << 20: 3 << 18, 1<<64 - 1: 0} {
		require.Equal(t, want, socketLimit(files), "%d", files)
	}
}
