package outbound

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// maxHeaderBytes is the largest status line and headers that are read; the common limit of servers' own.
	maxHeaderBytes = 64 << 10
	// maxBodyBytes of a response are read so that the connection can be used again. More than that ends the
	// connection instead; the status counts.
	maxBodyBytes = 64 << 10
	// maxResponseBytes bounds everything that one response may send: headers, and a body in chunks of one byte,
	// six bytes on the wire each, is 448 KiB. What goes beyond is interim responses or chunk extensions.
	maxResponseBytes = 512 << 10
	// maxHeadReads bounds how often the head is parsed anew because another piece of it came: 64 KiB arrive in 46
	// segments of 1 460 bytes. Without it a receiver that drips bytes quickly costs a core.
	maxHeadReads = 1024
	// maxInterim responses (1xx) before the final one. Nobody has a reason to send more than one or two.
	maxInterim = 8
	// bufferBytes holds most requests and almost all responses in one write and one read. A larger head gets a
	// larger buffer for that one response.
	bufferBytes = 4 << 10
)

var (
	// errNoResponse: closed before the first byte of a response. On a pooled connection the receiver closed it
	// while idle; on a fresh one nobody knows what it did with the request.
	errNoResponse   = errors.New("connection closed before a response")
	errTooLarge     = fmt.Errorf("response exceeds %d bytes", maxResponseBytes)
	errFragmented   = fmt.Errorf("response headers came in more than %d pieces", maxHeadReads)
	errInterimFlood = fmt.Errorf("more than %d interim responses", maxInterim)
	errUpgrade      = errors.New("receiver switched protocols unasked")
)

// exchange is the scratch space of one HTTP/1.1 request and its response. It belongs to one attempt at a time.
type exchange struct {
	request  fasthttp.Request
	response fasthttp.Response
	out      *bufio.Writer
	in       *bufio.Reader
	wire     meter
	grown    bool // its buffers became large
	kept     [KeptBodyBytes]byte
	surplus  [2 << 10]byte // where the rest of a body goes
}

var exchanges = sync.Pool{New: func() any {
	x := &exchange{}
	x.in = bufio.NewReaderSize(&x.wire, bufferBytes)
	x.out = bufio.NewWriterSize(io.Discard, bufferBytes)
	return x
}}

// meter counts and bounds what a response sends, and keeps the connection's own error, which parsers blur.
type meter struct {
	from  io.Reader
	bytes int   // received
	reads int   // still allowed; negative: any number
	err   error // first error of from
}

func (m *meter) Read(p []byte) (int, error) {
	switch {
	case m.reads == 0:
		return 0, errFragmented
	case m.bytes >= maxResponseBytes:
		return 0, errTooLarge
	}
	m.reads--
	n, err := m.from.Read(p)
	m.bytes += n
	if err != nil && m.err == nil {
		m.err = err
	}
	return n, err
}

// roundTrip writes the request to c and reads the response. The deadline is c's. reusable says that the connection
// is in the state in which the next request finds it.
func (x *exchange) roundTrip(c *conn, t *target, r *Request, userAgent string) (result Result, reusable bool, err error) {
	x.wire = meter{from: c, reads: maxHeadReads}
	x.in.Reset(&x.wire)
	x.out.Reset(c)

	to := t.pool.key.address
	sendErr := x.send(t, r, userAgent)
	if sendErr != nil && !isClosed(sendErr) {
		return Result{}, false, fail(connectClass(sendErr), "send the request to "+to, sendErr)
	}
	// Closed while we were writing: a receiver that refuses a large request early has answered before it closed.
	in, err := x.readHead()
	if err != nil {
		return Result{}, false, x.explain("read the response of "+to, err)
	}
	status := x.response.StatusCode()
	kept, ended, err := x.readResponseBody(in, status)
	if err != nil {
		return Result{}, false, x.explain("read the body of the response of "+to, err)
	}
	result = Result{
		Status:     status,
		RetryAfter: retryAfter(status, x.response.Header.PeekAll, time.Now),
		Body:       bytes.Clone(kept),
	}
	if r.KeepHeaders {
		for name, value := range x.response.Header.All() {
			result.keepHeader(string(name), string(value))
		}
	}
	reusable = sendErr == nil && ended && !x.closes() && in.Buffered() == 0 && x.in.Buffered() == 0
	return result, reusable, nil
}

// recycle lets go of the connection and the caller's body, and makes x available again unless a response made it
// grow: one hostile receiver must not leave its mark on every scratch space.
func (x *exchange) recycle() {
	if x.grown {
		return
	}
	x.request.Reset()
	x.response.Reset()
	x.wire = meter{}
	x.in.Reset(&x.wire)
	x.out.Reset(io.Discard)
	exchanges.Put(x)
}

func (x *exchange) send(t *target, r *Request, userAgent string) error {
	h := &x.request.Header
	h.DisableNormalizing()
	h.SetNoDefaultContentType(true)
	h.SetMethod(http.MethodPost)
	// Host and request URI are set apart, and no URI is ever parsed, so that the path leaves as it was written.
	h.SetRequestURI(t.requestURI)
	h.SetHost(t.url.Host)
	for _, header := range r.Headers {
		h.Add(header.Name, header.Value)
	}
	h.SetUserAgent(userAgent)
	x.request.SetBodyRaw(r.Body)
	if err := x.request.Write(x.out); err != nil {
		return err
	}
	return x.out.Flush()
}

// readHead reads the final status line and headers. The reader that it returns holds what followed them.
func (x *exchange) readHead() (*bufio.Reader, error) {
	in := x.in
	for interim := 0; ; interim++ {
		err := x.response.Header.Read(in)
		if err != nil && isSmallBuffer(err) && in.Size() < maxHeaderBytes {
			// Nothing has been consumed: the larger reader starts with what the small one holds.
			in, x.grown = bufio.NewReaderSize(in, maxHeaderBytes), true
			err = x.response.Header.Read(in)
		}
		if err != nil {
			return nil, err
		}
		switch status := x.response.StatusCode(); {
		case status == http.StatusSwitchingProtocols:
			return nil, errUpgrade
		case status < 100 || status > 999:
			return nil, fmt.Errorf("status %d", status)
		case status >= 200:
			return in, nil
		case interim >= maxInterim:
			return nil, errInterimFlood
		}
	}
}

func isSmallBuffer(err error) bool {
	var small *fasthttp.ErrSmallBuffer
	return errors.As(err, &small)
}

// readResponseBody reads the body as the headers frame it; these statuses have none whatever the headers say.
func (x *exchange) readResponseBody(in *bufio.Reader, status int) (kept []byte, ended bool, err error) {
	if status == http.StatusNoContent || status == http.StatusNotModified {
		return nil, true, nil
	}
	x.wire.reads = -1
	x.response.StreamBody = true
	if err := x.response.ReadBody(in, maxBodyBytes); err != nil {
		return nil, false, err
	}
	kept, ended, err = x.readBody(x.response.BodyStream())
	if ended && x.response.Header.ContentLength() == chunkedLength && x.wire.err != nil {
		// The parser takes the end of the connection for the end of the chunks.
		return nil, false, io.ErrUnexpectedEOF
	}
	return kept, ended, err
}

// chunkedLength is fasthttp's content length of a chunked body.
const chunkedLength = -1

// readBody keeps the first KeptBodyBytes of a body and reads on, up to maxBodyBytes, to its end. kept is x's own.
func (x *exchange) readBody(body io.Reader) (kept []byte, ended bool, err error) {
	filled, total := 0, 0
	for total <= maxBodyBytes {
		space := x.kept[filled:]
		if len(space) == 0 {
			space = x.surplus[:]
		}
		n, err := body.Read(space)
		total += n
		if filled < len(x.kept) {
			filled += n
		}
		if err == io.EOF {
			return x.kept[:filled], true, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	return x.kept[:filled], false, nil
}

// explain classifies an error of reading the response, by what the connection said rather than by what the parser
// made of it.
func (x *exchange) explain(step string, err error) error {
	switch wire := x.wire.err; {
	case wire == nil:
		return fail(ClassProtocol, step, &abridged{err})
	case isTimeout(wire):
		return fail(ClassTimeout, step, wire)
	case x.wire.bytes > 0:
		return fail(ClassProtocol, step, fmt.Errorf("connection ended within the response: %w", wire))
	case isClosed(wire):
		return fail(ClassConnect, step, fmt.Errorf("%w: %w", errNoResponse, wire))
	case isTLS(x.wire.from, wire):
		return fail(ClassTLS, step, wire)
	default:
		return fail(ClassConnect, step, wire)
	}
}

// isTLS: an error that is TLS's and not the socket's. In TLS 1.3 a server refuses a client certificate only after
// the client has finished its handshake.
func isTLS(from io.Reader, err error) bool {
	c, ok := from.(*conn)
	if !ok {
		return false
	}
	_, ok = c.Conn.(*tls.Conn)
	return ok && !errors.As(err, new(syscall.Errno)) && !errors.Is(err, net.ErrClosed)
}

// closes: the receiver announced that the connection ends. fasthttp knows only the lower-case spelling.
func (x *exchange) closes() bool {
	if x.response.ConnectionClose() {
		return true
	}
	option := x.response.Header.Peek("Connection")
	return len(option) > 0 && strings.Contains(strings.ToLower(string(option)), "close")
}

// abridged shortens a parser's message, which may quote the whole response.
type abridged struct{ err error }

// maxErrorBytes of a parser's message are enough to recognise what was sent.
const maxErrorBytes = 200

func (a *abridged) Error() string {
	text := a.err.Error()
	return text[:min(len(text), maxErrorBytes)]
}

func (a *abridged) Unwrap() error { return a.err }
