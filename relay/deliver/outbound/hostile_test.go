package outbound

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// TestHostileResponses: whatever comes back is bounded, classified, and ends the connection unless it was a proper
// response.
func TestHostileResponses(t *testing.T) {
	filler := strings.Repeat("x", 8<<10)
	for name, tc := range map[string]struct {
		response string
		forever  string // written again and again after response
		status   int
		class    Class
		reused   bool
		body     string
	}{
		"ok":                               {response: ok200, status: 200, reused: true, body: "ok"},
		"no body":                          {response: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, reused: true},
		"not modified":                     {response: "HTTP/1.1 304 Not Modified\r\n\r\n", status: 304, reused: true},
		"chunks":                           {response: chunked + "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", status: 200, reused: true, body: "abc"},
		"chunks and trailer":               {response: chunked + "1\r\nc\r\n0\r\nX-T: 1\r\n\r\n", status: 200, reused: true, body: "c"},
		"announced close":                  {response: "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
		"HTTP/1.0":                         {response: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
		"interim response":                 {response: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok200, status: 200, reused: true, body: "ok"},
		"large headers":                    {response: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 50<<10) + "\r\nContent-Length: 2\r\n\r\nok", status: 200, reused: true, body: "ok"},
		"unsolicited bytes after response": {response: ok200 + "HTTP/1.1 200 OK\r\n", status: 200, body: "ok"},
		"gzip is not inflated":             {response: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b", status: 200, reused: true, body: "\x1f\x8b"},

		"body above the limit":        {response: "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", forever: filler, status: 200, body: filler[:KeptBodyBytes]},
		"chunks without end":          {response: chunked, forever: "2000\r\n" + filler + "\r\n", status: 200, body: filler[:KeptBodyBytes]},
		"identity without end":        {response: "HTTP/1.1 200 OK\r\n\r\n", forever: filler, status: 200, body: filler[:KeptBodyBytes]},
		"interim flood":               {forever: "HTTP/1.1 100 Continue\r\n\r\n", class: ClassProtocol},
		"headers without end":         {response: "HTTP/1.1 200 OK\r\n", forever: "X: " + filler + "\r\n", class: ClassProtocol},
		"one header without end":      {response: "HTTP/1.1 200 OK\r\nX: ", forever: filler, class: ClassProtocol},
		"status line without end":     {response: "HTTP/1.1 200 ", forever: filler, class: ClassProtocol},
		"empty lines without end":     {forever: "\r\n\r\n\r\n\r\n", class: ClassProtocol},
		"chunk extension without end": {response: chunked + "1;", forever: filler, class: ClassProtocol},
		"trailers without end":        {response: chunked + "1\r\nc\r\n0\r\n", forever: "X: " + filler + "\r\n", class: ClassProtocol},
		"switching protocols":         {response: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", class: ClassProtocol},
		"bad status line":             {response: "ICY 200 OK\r\n\r\n", class: ClassProtocol},
		"status of two digits":        {response: "HTTP/1.1 20 OK\r\n\r\n", class: ClassProtocol},
		"status below 100":            {response: "HTTP/1.1 042 What\r\n\r\n", class: ClassProtocol},
		"another protocol":            {response: "SSH-2.0-OpenSSH_9.9\r\n", class: ClassProtocol},
		"HTTP/2 preface":              {response: "\x00\x00\x12\x04\x00\x00\x00\x00\x00", forever: "\x00", class: ClassProtocol},
		"negative length":             {response: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", class: ClassProtocol},
		"two lengths":                 {response: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", class: ClassProtocol},
		"length that overflows":       {response: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", class: ClassProtocol},
		"bad chunk size":              {response: chunked + "zz\r\n", class: ClassProtocol},
		"huge chunk size":             {response: chunked + "ffffffffffffffff\r\n", class: ClassProtocol},
		"unknown transfer encoding":   {response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", class: ClassProtocol},
		"control bytes in a header":   {response: "HTTP/1.1 200 OK\r\nX: \x01\x02\r\n\r\n", class: ClassProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receive(t, func(conn net.Conn) {
				in := bufio.NewReader(conn)
				for readRequest(in) != nil {
					if _, err := io.WriteString(conn, tc.response); err != nil {
						return
					}
					for tc.forever != "" {
						if _, err := io.WriteString(conn, tc.forever); err != nil {
							return
						}
					}
				}
			})
			c := newClient(t, Options{})
			got := c.Do(t.Context(), post(r.url(), ample))
			require.Equal(t, tc.class, got.Class, "%v", got.Err)
			require.Equal(t, tc.status, got.Status)
			require.Equal(t, tc.body, string(got.Body))
			if tc.class != ClassStatus {
				require.Error(t, got.Err)
				require.Less(t, len(got.Err.Error()), 500)
			} else {
				require.NoError(t, got.Err)
			}
			require.Equal(t, tc.reused, c.sockets.count() == 1)
			require.EqualValues(t, 1, r.accepted.Load(), "never sent again")
		})
	}
}

func TestTruncatedResponses(t *testing.T) {
	for name, tc := range map[string]struct {
		response string
		class    Class
	}{
		"nothing":          {"", ClassConnect},
		"one byte":         {"H", ClassProtocol},
		"half a head":      {"HTTP/1.1 200 OK\r\nContent-", ClassProtocol},
		"short body":       {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123", ClassProtocol},
		"short chunk":      {chunked + "a\r\n123", ClassProtocol},
		"no last chunk":    {chunked + "1\r\nx\r\n", ClassProtocol},
		"interim and gone": {"HTTP/1.1 100 Continue\r\n\r\n", ClassProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := make(chan struct{}, 10)
			r := receive(t, func(conn net.Conn) {
				if readRequest(bufio.NewReader(conn)) != nil {
					requests <- struct{}{}
				}
				_, _ = io.WriteString(conn, tc.response)
			})
			got := newClient(t, Options{}).Do(t.Context(), post(r.url(), ample))
			require.Equal(t, tc.class, got.Class, "%v", got.Err)
			require.Zero(t, got.Status)
			require.Len(t, requests, 1, "exactly one request was received")
		})
	}
}

func TestResetConnections(t *testing.T) {
	for name, tc := range map[string]struct {
		before string
		class  Class
	}{
		"at once":          {"", ClassConnect},
		"in the head":      {"HTTP/1.1 200 OK\r\n", ClassProtocol},
		"within the body":  {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123", ClassProtocol},
		"within the chunk": {chunked + "a\r\n12", ClassProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receive(t, func(conn net.Conn) {
				readRequest(bufio.NewReader(conn))
				_, _ = io.WriteString(conn, tc.before)
				_ = conn.(*net.TCPConn).SetLinger(0)
			})
			got := newClient(t, Options{}).Do(t.Context(), post(r.url(), ample))
			if tc.before == "" {
				require.Equal(t, tc.class, got.Class, "%v", got.Err)
			} else { // a reset may overtake what was written before it
				require.Contains(t, []Class{tc.class, ClassConnect}, got.Class, "%v", got.Err)
			}
		})
	}
}

func TestRefusedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + l.Addr().String() + "/"
	require.NoError(t, l.Close())
	got := newClient(t, Options{}).Do(t.Context(), post(url, ample))
	require.Equal(t, ClassConnect, got.Class, "%v", got.Err)
}

// TestAnswerBeforeTheBodyWasRead: a receiver that refuses a large request early, and closes, is heard.
func TestAnswerBeforeTheBodyWasRead(t *testing.T) {
	r := receive(t, func(conn net.Conn) {
		_, _ = io.ReadFull(conn, make([]byte, 100))
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		_ = conn.(*net.TCPConn).SetLinger(-1)
	})
	request := &Request{Endpoint: &catalog.Endpoint{URL: r.url(), Timeout: ample}, Body: make([]byte, 16<<20)}
	got := newClient(t, Options{}).Do(t.Context(), request)
	require.Equal(t, 413, got.Status, "%v", got.Err)
}

// TestRow45_Bombs: what would inflate to gigabytes is read as the bytes that it is, up to the limit, whether the
// receiver says that it is compressed or not.
func TestRow45_Bombs(t *testing.T) {
	const inflated = 256 << 20
	var bomb bytes.Buffer
	deflate, err := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	require.NoError(t, err)
	for zeros := make([]byte, 1<<20); bomb.Len() < inflated/1100; {
		_, err := deflate.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, deflate.Close())
	for name, encoding := range map[string]string{"announced": "Content-Encoding: gzip\r\n", "twice": "Content-Encoding: gzip, gzip\r\n", "not announced": ""} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, serve(fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", encoding, bomb.Len(), bomb.String())))
			c := newClient(t, Options{})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := c.Do(t.Context(), post(r.url(), ample))
			runtime.ReadMemStats(&after)
			require.Equal(t, 200, got.Status, "%v", got.Err)
			require.Equal(t, bomb.Bytes()[:KeptBodyBytes], got.Body)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "bytes allocated")
		})
	}
}

// TestRow46_Redirects: wherever a receiver sends the request, to itself for ever or inside, it is not sent there; and
// neither body nor signature leaves a second time.
func TestRow46_Redirects(t *testing.T) {
	inside := receive(t, serve(ok200))
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{"/hook", "//receiver.test/", inside.url(), "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "http://[::1]:22/", "\x7f"} {
			var requests atomic.Int64
			r := receive(t, func(conn net.Conn) {
				for in := bufio.NewReader(conn); readRequest(in) != nil; requests.Add(1) {
					_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", status, location)
				}
			})
			got := newClient(t, Options{}).Do(t.Context(), post(r.url(), ample))
			if location == "\x7f" && got.Class == ClassProtocol {
				continue // no header at all
			}
			require.Equal(t, status, got.Status, "%s: %v", location, got.Err)
			require.Eventually(t, func() bool { return requests.Load() == 1 }, ample, time.Millisecond)
		}
	}
	require.Zero(t, inside.accepted.Load())
}
