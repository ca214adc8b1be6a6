package outbound

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"eventrelay/catalog"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Only BenchmarkBareFasthttp starts these; they end some seconds after their last connection.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*Client).mCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"),
	)
}

const (
	// short is the timeout of attempts that are meant to time out.
	short = 150 * time.Millisecond
	// ample is the timeout of attempts that are not, even on a loaded machine.
	ample = 5 * time.Second
	// slack is what a loaded machine may add under the race detector; what is not bounded takes much longer.
	slack = 3 * time.Second
)

// loopback is the policy of an operator who allowed 127.0.0.0/8 and plain HTTP.
var loopback = catalog.Egress{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	if o.Policy == nil {
		o.Policy = loopback
	}
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

func post(url string, timeout time.Duration) *Request {
	return &Request{
		Endpoint: &catalog.Endpoint{URL: url, Timeout: timeout},
		Headers:  []Header{{"Content-Type", "application/json"}, {"webhook-id", "msg_1"}},
		Body:     []byte(`{"type":"debt.paid"}`),
	}
}

// resolverFunc is a Resolver of one function.
type resolverFunc func(ctx context.Context, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	return f(ctx, host)
}

func answer(addrs ...string) resolverFunc {
	return func(context.Context, string) ([]netip.Addr, error) {
		out := make([]netip.Addr, len(addrs))
		for i, a := range addrs {
			out[i] = netip.MustParseAddr(a)
		}
		return out, nil
	}
}

// receiver is a TCP server on loopback whose every connection is handled by a function. Its Close ends all of them
// and waits.
type receiver struct {
	net.Listener
	accepted atomic.Int64
	handlers sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]struct{}
}

func receive(t testing.TB, handle func(net.Conn)) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &receiver{Listener: l, open: map[net.Conn]struct{}{}}
	r.handlers.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.accepted.Add(1)
			r.mu.Lock()
			r.open[conn] = struct{}{}
			r.mu.Unlock()
			r.handlers.Go(func() {
				handle(conn)
				_ = conn.Close()
				r.mu.Lock()
				delete(r.open, conn)
				r.mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for conn := range r.open {
			_ = conn.Close()
		}
		r.mu.Unlock()
		r.handlers.Wait()
	})
	return r
}

func (r *receiver) url() string { return "http://" + r.Addr().String() + "/hook" }

// serve answers every request of a connection with the given bytes.
func serve(response string) func(net.Conn) {
	return func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for readRequest(in) != nil {
			if _, err := io.WriteString(conn, response); err != nil {
				return
			}
		}
	}
}

// readRequest reads one whole request, or gives nil.
func readRequest(in *bufio.Reader) *http.Request {
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil
	}
	return r
}

const ok200 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// hold blocks until the peer or the test ends the connection.
func hold(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
