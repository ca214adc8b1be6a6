//go:build faults

package main

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire is a listener whose connections fail as a network does: they stand still, or lose the answer to a produce
// request that was carried out.
type wire struct {
	net.Listener

	mu      sync.Mutex
	still   chan struct{} // while set, nothing passes until it is closed
	lose    int           // how many answers to produce requests still get lost
	lost    int
	stopped chan struct{}
}

func newWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{Listener: l, stopped: make(chan struct{})}
	t.Cleanup(func() { close(w.stopped) })
	return w
}

// listen hands the wire to a broker in place of a listener of its own.
func (w *wire) listen(_, _ string) (net.Listener, error) { return w, nil }

// Accept implements net.Listener.
func (w *wire) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &wireConn{Conn: conn, w: w}, nil
}

// standStill keeps everything back until the returned function is called.
func (w *wire) standStill() (release func()) {
	still := make(chan struct{})
	w.mu.Lock()
	w.still = still
	w.mu.Unlock()
	return sync.OnceFunc(func() {
		w.mu.Lock()
		w.still = nil
		w.mu.Unlock()
		close(still)
	})
}

// loseAnswers makes the answers to the next n produce requests get lost, with their connections.
func (w *wire) loseAnswers(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = n
}

func (w *wire) answersLost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

func (w *wire) pass() {
	w.mu.Lock()
	still := w.still
	w.mu.Unlock()
	if still != nil {
		select {
		case <-still:
		case <-w.stopped:
		}
	}
}

// proxy leads to target through a wire until the end of the test, and gives the address to connect to.
func proxy(t *testing.T, target string) (*wire, string) {
	t.Helper()
	w := newWire(t)
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	keep := func(c net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		open[c] = true
	}
	running.Go(func() {
		for {
			in, err := w.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			keep(in)
			keep(out)
			pipe := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_, _ = to.Close(), from.Close()
			}
			running.Go(func() { pipe(out, in) })
			running.Go(func() { pipe(in, out) })
		}
	})
	t.Cleanup(func() {
		_ = w.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return w, w.Addr().String()
}

// wireConn is the server's end of a connection. Read and Write have one goroutine each.
type wireConn struct {
	net.Conn
	w *wire

	head [6]byte // length and API key of the request that is being read
	have int     // bytes of head
	skip int     // bytes left of that request

	mu       sync.Mutex
	produces bool // the latest request was a produce
}

// Read implements net.Conn and follows the requests.
func (c *wireConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.w.pass()
	for read := b[:n]; len(read) > 0; {
		if c.skip > 0 {
			step := min(c.skip, len(read))
			c.skip -= step
			read = read[step:]
			continue
		}
		step := copy(c.head[c.have:], read)
		c.have += step
		read = read[step:]
		if c.have == len(c.head) {
			c.have, c.skip = 0, int(binary.BigEndian.Uint32(c.head[:]))-2
			c.mu.Lock()
			c.produces = binary.BigEndian.Uint16(c.head[4:]) == uint16(kmsg.Produce)
			c.mu.Unlock()
		}
	}
	return n, err
}

// Write implements net.Conn.
func (c *wireConn) Write(b []byte) (int, error) {
	c.w.pass()
	c.mu.Lock()
	produces := c.produces
	c.mu.Unlock()
	c.w.mu.Lock()
	lose := produces && c.w.lose > 0
	if lose {
		c.w.lose--
		c.w.lost++
	}
	c.w.mu.Unlock()
	if lose {
		_ = c.Close()
		return len(b), nil
	}
	return c.Conn.Write(b)
}
