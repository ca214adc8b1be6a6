package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// h2PingAfter and h2PingTimeout find a dead HTTP/2 connection, which would otherwise take every request of its
	// receiver with it: a third of the default timeout of an attempt each.
	h2PingAfter   = 5 * time.Second
	h2PingTimeout = 5 * time.Second
)

// http2Client serves one trust class whose receiver speaks only HTTP/2. mu guards transport, which is made when it
// is first needed: few receivers are like that.
type http2Client struct {
	dial func(ctx context.Context, p *pool) (net.Conn, error)
	pool *pool

	mu        sync.Mutex
	transport *http.Transport
}

func (h *http2Client) get(connIdle time.Duration) *http.Transport {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.transport == nil {
		h.transport = &http.Transport{
			Proxy: nil, // the environment must not reroute requests around the guard
			DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return h.dial(ctx, h.pool)
			},
			// Never used for a handshake, which dial makes; it only says what the connection is.
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			Protocols:              new(http.Protocols),
			DisableCompression:     true, // no Accept-Encoding, no inflating
			MaxResponseHeaderBytes: maxHeaderBytes,
			IdleConnTimeout:        connIdle,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: h2PingAfter, PingTimeout: h2PingTimeout},
		}
		h.transport.Protocols.SetHTTP2(true)
	}
	return h.transport
}

func (h *http2Client) closeIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.transport != nil {
		h.transport.CloseIdleConnections()
	}
}

// roundTrip makes one attempt over HTTP/2. net/http sends a request again only when the receiver said that it did
// not process it (GOAWAY, REFUSED_STREAM).
func (h *http2Client) roundTrip(ctx context.Context, t *target, r *Request, userAgent string, connIdle time.Duration) (Result, error) {
	// The transport and not a http.Client: no redirects, no cookies.
	step := "HTTP/2 with " + t.pool.key.address
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url.String(), bytes.NewReader(r.Body))
	if err != nil {
		return Result{}, fail(ClassInternal, step, errors.New("cannot build the request")) // err would name the URL
	}
	for _, header := range r.Headers {
		request.Header[header.Name] = append(request.Header[header.Name], header.Value)
	}
	request.Header["User-Agent"] = []string{userAgent}
	response, err := h.get(connIdle).RoundTrip(request)
	if err != nil {
		return Result{}, fail(http2Class(ctx, err), step, err)
	}
	defer func() { _ = response.Body.Close() }() // resets the stream when the body has not ended
	result := Result{
		Status:     response.StatusCode,
		RetryAfter: retryAfter(response.StatusCode, response.Header.Values, time.Now),
	}
	if r.KeepHeaders {
		for _, name := range slices.Sorted(maps.Keys(response.Header)) {
			for _, value := range response.Header[name] {
				result.keepHeader(name, value)
			}
		}
	}
	x := exchanges.Get().(*exchange)
	defer x.recycle()
	kept, _, err := x.readBody(response.Body)
	if err != nil {
		return Result{}, fail(http2Class(ctx, err), "read the body of the response of "+t.pool.key.address, err)
	}
	result.Body = bytes.Clone(kept)
	return result, nil
}

// http2Class decides the class of what net/http returned and no step of ours has classified.
func http2Class(ctx context.Context, err error) Class {
	switch {
	case ctx.Err() != nil || isTimeout(err):
		return ClassTimeout
	case isClosed(err) && !errors.Is(err, io.ErrUnexpectedEOF):
		return ClassConnect
	}
	return ClassProtocol
}
