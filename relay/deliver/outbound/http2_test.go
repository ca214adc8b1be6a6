package outbound

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// receiveHTTP is a net/http receiver on TLS, adjusted before it starts.
type receiveHTTP struct {
	*http.Server
	url   string
	conns atomic.Int64
}

func serveHTTP(t testing.TB, ca *authority, adjust func(*http.Server), handle http.HandlerFunc) *receiveHTTP {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &receiveHTTP{Server: &http.Server{
		Handler: handle, Protocols: new(http.Protocols), TLSConfig: ca.server(t, leaf{names: []string{"receiver.test"}}),
		ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: ample,
	}}
	s.TLSConfig.MinVersion = tls.VersionTLS12
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	adjust(s.Server)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	s.url = "https://receiver.test:" + port + "/a%2Fb//c?q=1"
	done := make(chan struct{})
	go func() { _ = s.ServeTLS(l, "", ""); close(done) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return s
}

func onlyHTTP1(s *http.Server) { s.Protocols.SetHTTP1(true) }
func onlyHTTP2(s *http.Server) { s.Protocols.SetHTTP2(true) }
func both(s *http.Server)      { onlyHTTP1(s); onlyHTTP2(s) }

// strictHTTP2 refuses an offer of HTTP/1.1 by an alert, where crypto/tls goes on without a protocol.
func strictHTTP2(s *http.Server) {
	onlyHTTP2(s)
	refusing := s.TLSConfig.Clone()
	refusing.NextProtos = []string{"neither"}
	s.TLSConfig.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, alpnHTTP1) {
			return refusing, nil
		}
		return nil, nil
	}
}

func (s *receiveHTTP) post(ca *authority, timeout time.Duration) *Request {
	request := post(s.url, timeout)
	request.Endpoint.TLS.CACert = ca.pem()
	return request
}

// assumeHTTP2 is a client that has found out what the receiver speaks.
func assumeHTTP2(t testing.TB, c *Client, r *Request) {
	t.Helper()
	target, err := c.target(r.Endpoint, time.Now())
	require.NoError(t, err)
	target.pool.learn(protocolHTTP2)
}

func TestHTTP2OnlyReceiver(t *testing.T) {
	ca := newAuthority(t)
	type seen struct {
		proto, uri, id, agent, encoding, body string
		length                                int64
	}
	requests := make(chan seen, 10)
	s := serveHTTP(t, ca, onlyHTTP2, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r.Proto, r.RequestURI, r.Header.Get("webhook-id"), r.UserAgent(), r.Header.Get("Accept-Encoding"), string(body), r.ContentLength}
		w.Header().Set("Retry-After", "9")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "slow down")
	})
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	for range 3 {
		got := c.Do(t.Context(), s.post(ca, ample))
		require.Equal(t, 429, got.Status, "%v", got.Err)
		require.Equal(t, 9*time.Second, got.RetryAfter)
		require.Equal(t, "slow down", string(got.Body))
		require.Equal(t, seen{"HTTP/2.0", "/a%2Fb//c?q=1", "msg_1", DefaultUserAgent, "", `{"type":"debt.paid"}`, 20}, <-requests)
	}
	require.EqualValues(t, 3, s.conns.Load(), "two to find out, one to use")
	require.Empty(t, requests, "nothing was sent twice")
}

// TestHTTP1IsPreferred: a receiver that speaks both is served by HTTP/1.1, at the cost of one handshake.
func TestHTTP1IsPreferred(t *testing.T) {
	ca := newAuthority(t)
	proto := make(chan string, 1)
	s := serveHTTP(t, ca, both, func(_ http.ResponseWriter, r *http.Request) { proto <- r.Proto })
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	got := c.Do(t.Context(), s.post(ca, ample))
	require.Equal(t, 200, got.Status, "%v", got.Err)
	require.Equal(t, "HTTP/1.1", <-proto)
	require.EqualValues(t, 1, s.conns.Load())
}

// TestHTTP2RefusedByAlert: a server that answers an offer of HTTP/1.1 with no_application_protocol.
func TestHTTP2RefusedByAlert(t *testing.T) {
	ca := newAuthority(t)
	s := serveHTTP(t, ca, strictHTTP2, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	got := c.Do(t.Context(), s.post(ca, ample))
	require.Equal(t, 200, got.Status, "%v", got.Err)
}

func TestNeedsProbe(t *testing.T) {
	alert := fail(ClassTLS, "handshake", &net.OpError{Op: "remote error", Err: tls.AlertError(120)})
	for name, tc := range map[string]struct {
		negotiated string
		err        error
		known      protocol
		want       bool
	}{
		"chose HTTP/1.1":              {negotiated: alpnHTTP1},
		"chose nothing":               {want: true},
		"chose nothing, known":        {known: protocolHTTP1},
		"alert":                       {err: alert, want: true},
		"alert, known":                {err: alert, known: protocolHTTP1},
		"closed":                      {err: fail(ClassTLS, "handshake", io.EOF), want: true},
		"untrusted certificate":       {err: fail(ClassTLS, "handshake", &tls.CertificateVerificationError{Err: io.ErrNoProgress})},
		"not TLS at all":              {err: fail(ClassTLS, "handshake", tls.RecordHeaderError{})},
		"no connection":               {err: fail(ClassConnect, "connect", &net.OpError{Op: "dial", Err: io.EOF})},
		"timeout":                     {err: fail(ClassTimeout, "handshake", context.DeadlineExceeded)},
		"blocked, which is not asked": {err: fail(ClassBlocked, "vet", io.ErrNoProgress)},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, needsProbe(tc.negotiated, tc.err, tc.known))
		})
	}
}

func TestHTTP2Bounds(t *testing.T) {
	ca := newAuthority(t)
	release := make(chan struct{})
	inside := receive(t, serve(ok200))
	for name, tc := range map[string]struct {
		handle  http.HandlerFunc
		timeout time.Duration
		status  int
		class   Class
	}{
		"redirect is not followed": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inside.url(), http.StatusTemporaryRedirect)
		}, ample, 307, ClassStatus},
		"endless body": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 16<<10))
			}
		}, ample, 200, ClassStatus},
		"no response": {func(http.ResponseWriter, *http.Request) { <-release }, short, 0, ClassTimeout},
		"stalled body": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			<-release
		}, short, 0, ClassTimeout},
		"reset stream": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ample, 0, ClassProtocol},
		"large headers": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Add("X-"+strings.Repeat("a", i), strings.Repeat("y", 2000))
			}
		}, ample, 0, ClassProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveHTTP(t, ca, onlyHTTP2, tc.handle)
			c := newClient(t, Options{Resolver: answer("127.0.0.1")})
			request := s.post(ca, tc.timeout)
			assumeHTTP2(t, c, request) // finding out takes much of a short timeout
			got := c.Do(t.Context(), request)
			require.Equal(t, tc.class, got.Class, "%v", got.Err)
			require.Equal(t, tc.status, got.Status)
			require.Less(t, got.Latency, tc.timeout+slack)
			require.LessOrEqual(t, len(got.Body), KeptBodyBytes)
		})
	}
	close(release)
	require.Zero(t, inside.accepted.Load())
}

func TestHTTP2Cancel(t *testing.T) {
	ca := newAuthority(t)
	arrived, release := make(chan struct{}, 1), make(chan struct{})
	s := serveHTTP(t, ca, onlyHTTP2, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	defer close(release)
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	for _, end := range []func(context.CancelFunc){func(cancel context.CancelFunc) { cancel() }, func(context.CancelFunc) { c.Close() }} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan Result)
		go func() { done <- c.Do(ctx, s.post(ca, 30*time.Second)) }()
		<-arrived
		end(cancel)
		require.Equal(t, ClassCanceled, (<-done).Class)
		cancel()
	}
	require.Zero(t, c.sockets.count())
}

// TestReceiverThatGivesUpHTTP2: what was learned is unlearned.
func TestReceiverThatGivesUpHTTP2(t *testing.T) {
	ca := newAuthority(t)
	s := serveHTTP(t, ca, onlyHTTP1, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	request := s.post(ca, ample)
	assumeHTTP2(t, c, request)
	require.Equal(t, ClassTLS, c.Do(t.Context(), request).Class)
	require.Equal(t, 200, c.Do(t.Context(), request).Status)
}

func TestHTTP2IsVettedToo(t *testing.T) {
	ca := newAuthority(t)
	s := serveHTTP(t, ca, onlyHTTP2, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t, Options{Policy: catalog.Egress{}, Resolver: answer("127.0.0.1")})
	request := s.post(ca, ample)
	assumeHTTP2(t, c, request)
	got := c.Do(t.Context(), request)
	require.Equal(t, ClassBlocked, got.Class, "%v", got.Err)
	require.NotContains(t, got.Err.Error(), "q=1", "an error names no path or query")
}
