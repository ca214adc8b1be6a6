package outbound

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// closing answers one request and closes at once, without having said so.
func closing(received *atomic.Int64) func(net.Conn) {
	return func(conn net.Conn) {
		if readRequest(bufio.NewReader(conn)) != nil {
			received.Add(1)
			_, _ = io.WriteString(conn, ok200)
		}
	}
}

// TestReceiverThatClosesIdleConnections: not one attempt fails for it, and none is received twice.
func TestReceiverThatClosesIdleConnections(t *testing.T) {
	const n = 50
	var received atomic.Int64
	r := receive(t, closing(&received))
	c := newClient(t, Options{})
	for range n {
		got := c.Do(t.Context(), post(r.url(), ample))
		require.Equal(t, 200, got.Status, "%v", got.Err)
	}
	require.EqualValues(t, n, received.Load())
}

// TestClosedBeforeTheFirstByteOfAPooledConnection: the close comes with the second request, when no look at the
// socket could have told.
func TestClosedBeforeTheFirstByteOfAPooledConnection(t *testing.T) {
	var received atomic.Int64
	r := receive(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		readRequest(in)
		received.Add(1)
		_, _ = io.WriteString(conn, ok200)
		_, _ = in.Peek(1) // the next request begins
	})
	c := newClient(t, Options{})
	const n = 10
	for range n {
		got := c.Do(t.Context(), post(r.url(), ample))
		require.Equal(t, 200, got.Status, "%v", got.Err)
	}
	require.EqualValues(t, n, received.Load())
	require.EqualValues(t, n, r.accepted.Load())
	var replaced dto.Metric
	require.NoError(t, c.metrics.replaced.Write(&replaced))
	require.EqualValues(t, n-1, replaced.GetCounter().GetValue())
}

// TestReplacedOnlyOnce: a pooled connection is replaced by a fresh one, whose failure is the result.
func TestReplacedOnlyOnce(t *testing.T) {
	var received atomic.Int64
	r := receive(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for readRequest(in) != nil {
			if received.Add(1) > 1 {
				return
			}
			_, _ = io.WriteString(conn, ok200)
		}
	})
	c := newClient(t, Options{})
	require.Equal(t, 200, c.Do(t.Context(), post(r.url(), ample)).Status)
	require.Equal(t, ClassConnect, c.Do(t.Context(), post(r.url(), ample)).Class)
	require.EqualValues(t, 3, received.Load())
	require.EqualValues(t, 2, r.accepted.Load())
}

// TestNotReplacedAfterTheFirstByte: on a pooled connection as well.
func TestNotReplacedAfterTheFirstByte(t *testing.T) {
	var received atomic.Int64
	r := receive(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		readRequest(in)
		received.Add(1)
		_, _ = io.WriteString(conn, ok200)
		readRequest(in)
		received.Add(1)
		_, _ = io.WriteString(conn, "H")
	})
	c := newClient(t, Options{})
	require.Equal(t, 200, c.Do(t.Context(), post(r.url(), ample)).Status)
	require.Equal(t, ClassProtocol, c.Do(t.Context(), post(r.url(), ample)).Class)
	require.EqualValues(t, 2, received.Load())
}

func TestTimeoutOnAPooledConnectionIsNotRepeated(t *testing.T) {
	r := receive(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		readRequest(in)
		_, _ = io.WriteString(conn, ok200)
		hold(conn)
	})
	c := newClient(t, Options{})
	require.Equal(t, 200, c.Do(t.Context(), post(r.url(), ample)).Status)
	require.Equal(t, ClassTimeout, c.Do(t.Context(), post(r.url(), short)).Class)
	require.EqualValues(t, 1, r.accepted.Load())
}

// TestStale: anything to read on an idle connection, its end included, makes it unusable.
func TestStale(t *testing.T) {
	for name, do := range map[string]func(net.Conn){
		"closed": func(conn net.Conn) { _ = conn.Close() },
		"reset": func(conn net.Conn) {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		},
		"unsolicited": func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			act := make(chan struct{})
			r := receive(t, func(conn net.Conn) {
				<-act
				do(conn)
				hold(conn)
			})
			raw, err := net.Dial("tcp", r.Addr().String())
			require.NoError(t, err)
			var set sockets
			sock, err := set.adopt(raw)
			require.NoError(t, err)
			c := newConn(sock, sock)
			defer c.discard()
			require.False(t, c.stale())
			close(act)
			require.Eventually(t, c.stale, ample, time.Millisecond)
		})
	}
}

func TestIdleConnectionsAreBounded(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 3)
	r := receive(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for readRequest(in) != nil {
			arrived <- struct{}{}
			<-release
			_, _ = io.WriteString(conn, ok200)
		}
	})
	c := newClient(t, Options{MaxIdleConns: 2})
	done := make(chan Result)
	for range 3 {
		go func() { done <- c.Do(t.Context(), post(r.url(), ample)) }()
	}
	for range 3 {
		<-arrived
	}
	close(release)
	for range 3 {
		require.Equal(t, 200, (<-done).Status)
	}
	require.Equal(t, 2, c.sockets.count())
	require.EqualValues(t, 2, c.budget.used.Load())
}

func TestSweepClosesIdleConnectionsAndForgetsTargets(t *testing.T) {
	r := receive(t, serve(ok200))
	c := newClient(t, Options{})
	require.Equal(t, 200, c.Do(t.Context(), post(r.url(), ample)).Status)
	c.sweep(time.Now().Add(DefaultConnIdle - time.Second))
	require.Equal(t, 1, c.sockets.count())
	c.sweep(time.Now().Add(DefaultConnIdle + time.Second))
	require.Zero(t, c.sockets.count())
	require.Zero(t, c.budget.used.Load())
	require.Len(t, c.targets, 1)
	c.sweep(time.Now().Add(targetIdle + time.Second))
	require.Empty(t, c.targets)
	require.Empty(t, c.pools)
}

func TestSweeperRuns(t *testing.T) {
	r := receive(t, serve(ok200))
	c := newClient(t, Options{MaxConnsIdle: 30 * time.Millisecond})
	require.Equal(t, 200, c.Do(t.Context(), post(r.url(), ample)).Status)
	require.Eventually(t, func() bool { return c.sockets.count() == 0 }, ample, 5*time.Millisecond)
}

func TestTargetsAreBounded(t *testing.T) {
	r := receive(t, serve(ok200))
	c := newClient(t, Options{MaxTargets: 2})
	for _, path := range []string{"/a", "/b", "/c", "/a", "/d"} {
		got := c.Do(t.Context(), post("http://"+r.Addr().String()+path, ample))
		require.Equal(t, 200, got.Status)
	}
	require.Len(t, c.targets, 2)
	require.Len(t, c.pools, 1)
	require.EqualValues(t, 1, r.accepted.Load(), "one trust class shares its connections")
}

func TestConnectionOfAForgottenPoolIsClosed(t *testing.T) {
	slow := receive(t, func(conn net.Conn) { hold(conn) })
	r := receive(t, serve(ok200))
	c := newClient(t, Options{MaxTargets: 1})
	require.Equal(t, 200, c.Do(t.Context(), post(r.url(), ample)).Status)
	require.Equal(t, ClassTimeout, c.Do(t.Context(), post(slow.url(), short)).Class)
	require.Zero(t, c.sockets.count(), "the first pool went with its only target")
}

// TestManyAttemptsAtOnce: what is taken is put back or closed, whatever becomes of the attempts.
func TestManyAttemptsAtOnce(t *testing.T) {
	var served atomic.Int64
	r := receive(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for readRequest(in) != nil {
			switch served.Add(1) % 7 {
			case 0:
				return
			case 1:
				hold(conn)
				return
			}
			_, _ = io.WriteString(conn, ok200)
		}
	})
	c := newClient(t, Options{})
	var lanes sync.WaitGroup
	for range 8 {
		lanes.Go(func() {
			for i := range 10 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%5 == 0 {
					go cancel()
				}
				got := c.Do(ctx, post(r.url(), short))
				if (got.Status == 0) != (got.Err != nil) || (got.Status == 0) == (got.Class == ClassStatus) {
					t.Errorf("half a result: %+v", got)
				}
				cancel()
			}
		})
	}
	lanes.Wait()
	require.EqualValues(t, c.sockets.count(), c.budget.used.Load(), "every open connection is idle")
	c.Close()
	require.Zero(t, c.sockets.count())
	require.Zero(t, c.budget.used.Load())
}
