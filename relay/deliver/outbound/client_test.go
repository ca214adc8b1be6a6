package outbound

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func TestDoReturnsStatusAndBody(t *testing.T) {
	r := receive(t, serve(ok200))
	c := newClient(t, Options{})
	for range 3 {
		got := c.Do(t.Context(), post(r.url(), ample))
		require.NoError(t, got.Err)
		require.Equal(t, 200, got.Status)
		require.Equal(t, ClassStatus, got.Class)
		require.Equal(t, "ok", string(got.Body))
		require.Positive(t, got.Latency)
	}
	require.EqualValues(t, 1, r.accepted.Load(), "the connection is used again")
}

func TestDoKeepsTheFirstKibibyteOfTheBody(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 3000)
	r := receive(t, serve("HTTP/1.1 500 Oops\r\nContent-Length: 48000\r\n\r\n"+body))
	c := newClient(t, Options{})
	for range 2 {
		got := c.Do(t.Context(), post(r.url(), ample))
		require.Equal(t, 500, got.Status)
		require.Equal(t, body[:KeptBodyBytes], string(got.Body))
	}
	require.EqualValues(t, 1, r.accepted.Load(), "the rest was read, so the connection is used again")
}

func TestRequestIsWrittenVerbatim(t *testing.T) {
	wire := make(chan string, 1)
	r := receive(t, func(conn net.Conn) {
		buf := make([]byte, 4096)
		n, _ := conn.Read(buf)
		wire <- string(buf[:n])
		_, _ = io.WriteString(conn, ok200)
	})
	c := newClient(t, Options{UserAgent: "relay/9"})
	url := "http://" + r.Addr().String() + "/a%2Fb//c/../d;x?q=%20&&z"
	got := c.Do(t.Context(), &Request{
		Endpoint: &catalog.Endpoint{URL: url, Timeout: ample},
		Headers:  []Header{{"content-type", "application/json"}, {"X-ODD-case", "1"}, {"webhook-id", "msg_1"}, {"x-odd-case", "2"}},
		Body:     []byte("{}"),
	})
	require.Equal(t, 200, got.Status)
	require.Equal(t, "POST /a%2Fb//c/../d;x?q=%20&&z HTTP/1.1\r\n"+
		"User-Agent: relay/9\r\nHost: "+r.Addr().String()+"\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"+
		"X-ODD-case: 1\r\nwebhook-id: msg_1\r\nx-odd-case: 2\r\n\r\n{}", <-wire)
}

func TestEmptyBodyHasALength(t *testing.T) {
	wire := make(chan string, 1)
	r := receive(t, func(conn net.Conn) {
		buf := make([]byte, 4096)
		n, _ := conn.Read(buf)
		wire <- string(buf[:n])
		_, _ = io.WriteString(conn, ok200)
	})
	got := newClient(t, Options{}).Do(t.Context(), &Request{Endpoint: &catalog.Endpoint{URL: r.url(), Timeout: ample}})
	require.Equal(t, 200, got.Status)
	request := <-wire
	require.Contains(t, request, "\r\nContent-Length: 0\r\n")
	require.NotContains(t, request, "Content-Type")
	require.NotContains(t, request, "Accept-Encoding")
}

func TestHeadersThatMustNotBeWritten(t *testing.T) {
	c := newClient(t, Options{})
	for _, h := range []Header{
		{"Host", "internal"}, {"content-length", "3"}, {"Transfer-Encoding", "chunked"}, {"Connection", "close"},
		{"TE", "trailers"}, {"Idempotency-Key", "1"}, {"X\r\nY", "1"}, {"X Y", "1"}, {"", "1"},
		{"X-A", "1\r\nX-B: s3cret"}, {"X-A", "s3cret\x00"},
	} {
		r := post("http://127.0.0.1:9/", ample)
		r.Headers = append(r.Headers, h)
		got := c.Do(t.Context(), r)
		require.Equal(t, ClassInternal, got.Class, "%q", h)
		require.NotContains(t, got.Err.Error(), "s3cret")
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	inside := receive(t, serve(ok200))
	for _, status := range []int{301, 302, 303, 307, 308} {
		r := receive(t, serve(fmt.Sprintf("HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", status, inside.url())))
		got := newClient(t, Options{}).Do(t.Context(), post(r.url(), ample))
		require.Equal(t, status, got.Status)
		require.Equal(t, ClassStatus, got.Class)
	}
	require.Zero(t, inside.accepted.Load())
}

func TestCancelEndsAnAttemptAtOnce(t *testing.T) {
	arrived := make(chan struct{}, 1)
	r := receive(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		arrived <- struct{}{}
		hold(conn)
	})
	c := newClient(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Result)
	go func() { done <- c.Do(ctx, post(r.url(), 30*time.Second)) }()
	<-arrived
	cancel()
	got := <-done
	require.Equal(t, ClassCanceled, got.Class)
	require.Zero(t, got.Status)
	require.Less(t, got.Latency, 10*time.Second)
	require.Zero(t, c.sockets.count())

	require.Equal(t, ClassCanceled, c.Do(ctx, post(r.url(), ample)).Class, "a context that has ended starts nothing")
}

func TestCancelEndsALookup(t *testing.T) {
	asked := make(chan struct{}, 1)
	c := newClient(t, Options{Resolver: blockingResolver(asked)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Result)
	go func() { done <- c.Do(ctx, post("http://receiver.test:8080/", 30*time.Second)) }()
	<-asked
	cancel()
	require.Equal(t, ClassCanceled, (<-done).Class)
}

func TestCloseEndsAttemptsUnderWay(t *testing.T) {
	arrived := make(chan struct{}, 1)
	r := receive(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		arrived <- struct{}{}
		hold(conn)
	})
	asked := make(chan struct{}, 1)
	c := newClient(t, Options{Resolver: blockingResolver(asked)})
	done := make(chan Result, 2)
	go func() { done <- c.Do(t.Context(), post(r.url(), 30*time.Second)) }()
	go func() { done <- c.Do(t.Context(), post("http://receiver.test:8080/", 30*time.Second)) }()
	<-arrived
	<-asked
	c.Close()
	for range 2 {
		got := <-done
		require.Equal(t, ClassCanceled, got.Class, "%v", got.Err)
	}
	got := c.Do(t.Context(), post(r.url(), ample))
	require.Equal(t, ClassCanceled, got.Class)
	require.ErrorIs(t, got.Err, errClientClosed)
	require.Zero(t, c.sockets.count())
}

func TestOneDeadlineCoversEverything(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n"
	for name, handle := range map[string]func(net.Conn){
		"no response":          hold,
		"half a head":          func(conn net.Conn) { _, _ = io.WriteString(conn, head); hold(conn) },
		"a head and no body":   func(conn net.Conn) { _, _ = io.WriteString(conn, head+"\r\n"); hold(conn) },
		"a body that stalls":   func(conn net.Conn) { _, _ = io.WriteString(conn, head+"\r\n12345"); hold(conn) },
		"a chunk that stalls":  func(conn net.Conn) { _, _ = io.WriteString(conn, chunked+"a\r\n12345"); hold(conn) },
		"a body without end":   func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nabc"); hold(conn) },
		"slow bytes of a head": func(conn net.Conn) { drip(conn, head+strings.Repeat("X: y\r\n", 1000)) },
		"slow bytes of a body": func(conn net.Conn) { drip(conn, chunked+strings.Repeat("1\r\nx\r\n", 1000)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receive(t, handle)
			c := newClient(t, Options{})
			got := c.Do(t.Context(), post(r.url(), short))
			require.Equal(t, ClassTimeout, got.Class, "%v", got.Err)
			require.Zero(t, got.Status)
			require.GreaterOrEqual(t, got.Latency, short)
			require.Less(t, got.Latency, short+slack)
			require.Zero(t, c.sockets.count(), "the connection is closed")
		})
	}
}

func TestReceiverThatNeverReadsTimesOut(t *testing.T) {
	stop := make(chan struct{})
	r := receive(t, func(net.Conn) { <-stop })
	t.Cleanup(func() { close(stop) })
	request := post(r.url(), short)
	request.Body = make([]byte, 16<<20) // more than the kernel buffers
	got := newClient(t, Options{}).Do(t.Context(), request)
	require.Equal(t, ClassTimeout, got.Class, "%v", got.Err)
	require.Less(t, got.Latency, short+slack)
}

func TestLookupHasATimeoutOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Policy: loopback, Resolver: blockingResolver(make(chan struct{}, 1))})
		defer c.Close()
		c.dialer.names.answered.Store(time.Now().UnixNano())
		got := c.Do(t.Context(), post("http://receiver.test:8080/", 0))
		require.Equal(t, ClassDNS, got.Class, "%v", got.Err)
		require.Equal(t, lookupTimeout, got.Latency)
	})
}

func TestTimeoutOf(t *testing.T) {
	require.Equal(t, catalog.DefaultTimeout, timeoutOf(&catalog.Endpoint{}))
	require.Equal(t, time.Second, timeoutOf(&catalog.Endpoint{Timeout: time.Second}))
}

const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// drip writes a byte every few milliseconds until the peer has had enough.
func drip(conn net.Conn, text string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := range len(text) {
		<-tick.C
		if _, err := conn.Write([]byte{text[i]}); err != nil {
			return
		}
	}
}
