package outbound

import (
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// scripted is a connection whose peer has written everything it ever will.
type scripted struct {
	net.Conn
	io.Reader
}

func (s scripted) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s scripted) Write(p []byte) (int, error) { return len(p), nil }

// FuzzResponse: no response makes the client panic, keep more than it may, or report half a result.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		ok200, chunked + "2\r\nab\r\n0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n" + ok200, "HTTP/1.1 200 OK\r\n\r\nbody",
		"HTTP/1.1 429 X\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "ICY 200 OK\r\n\r\n", "", "\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n",
	} {
		f.Add(seed)
	}
	at := &target{url: &url.URL{Scheme: "http", Host: "receiver.test"}, requestURI: "/", pool: &pool{}}
	request := &Request{Endpoint: &catalog.Endpoint{}, Body: []byte("{}")}
	f.Fuzz(func(t *testing.T, response string) {
		x := exchanges.Get().(*exchange)
		defer x.recycle()
		on := &conn{Conn: scripted{Reader: strings.NewReader(response)}}
		got, reusable, err := x.roundTrip(on, at, request, DefaultUserAgent)
		require.LessOrEqual(t, len(got.Body), KeptBodyBytes)
		require.LessOrEqual(t, got.RetryAfter, MaxRetryAfter)
		if err != nil {
			require.Zero(t, got)
			require.False(t, reusable)
			require.Contains(t, []Class{ClassConnect, ClassProtocol}, classify(err, nil))
			return
		}
		require.GreaterOrEqual(t, got.Status, 200)
	})
}

// TestFragmentedHead: re-reading a head for every byte of it has an end.
func TestFragmentedHead(t *testing.T) {
	x := exchanges.Get().(*exchange)
	defer x.recycle()
	bytewise := scripted{Reader: oneByte{strings.NewReader("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 10000))}}
	at := &target{url: &url.URL{Scheme: "http", Host: "receiver.test"}, requestURI: "/", pool: &pool{}}
	start := time.Now()
	_, _, err := x.roundTrip(&conn{Conn: bytewise}, at, &Request{}, DefaultUserAgent)
	require.ErrorIs(t, err, errFragmented)
	require.Equal(t, ClassProtocol, classify(err, nil))
	require.Less(t, time.Since(start), slack)
}

type oneByte struct{ io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.Reader.Read(p[:1]) }

func TestErrorsOfParsersAreAbridged(t *testing.T) {
	err := &abridged{err: io.EOF}
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "EOF", err.Error())
	require.Len(t, (&abridged{err: &net.AddrError{Err: strings.Repeat("x", 5000)}}).Error(), maxErrorBytes)
}
