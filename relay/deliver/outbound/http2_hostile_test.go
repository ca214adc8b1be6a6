package outbound

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is the receiver's end of an HTTP/2 connection, frame by frame.
type peer struct {
	*http2.Framer
	connection int64 // from 1
}

// respond answers a request with 200.
func (p *peer) respond(stream uint32) {
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndHeaders: true, EndStream: true, BlockFragment: fields(":status", "200")})
}

// fields are a header block of names and values.
func fields(pairs ...string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(pairs); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return block.Bytes()
}

// receiveFrames is an HTTP/2 receiver that reads requests and leaves all that it says after its settings to request,
// which is called with the n-th request, from 1, once its headers have come.
func receiveFrames(t *testing.T, ca *authority, settings []http2.Setting, request func(p *peer, stream uint32, n int64)) (r *receiver, requests *atomic.Int64) {
	config := ca.server(t, leaf{names: []string{"receiver.test"}})
	config.NextProtos = []string{"h2"}
	requests = new(atomic.Int64)
	var connections atomic.Int64
	return receiveTLS(t, config, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		p := &peer{http2.NewFramer(conn, conn), connections.Add(1)}
		_ = p.WriteSettings(settings...)
		for {
			frame, err := p.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if !frame.IsAck() {
					_ = p.WriteSettingsAck()
				}
			case *http2.PingFrame:
				if !frame.IsAck() {
					_ = p.WritePing(true, frame.Data)
				}
			case *http2.HeadersFrame:
				request(p, frame.StreamID, requests.Add(1))
			}
		}
	}), requests
}

// TestRow43_HTTP2Frames: a receiver that ends streams and connections as HTTP/2 lets it. A request goes out again only
// when the receiver said that it did not process it, and the deadline of the attempt holds over everything.
func TestRow43_HTTP2Frames(t *testing.T) {
	ca := newAuthority(t)
	for name, tc := range map[string]struct {
		settings []http2.Setting
		request  func(p *peer, stream uint32, n int64)
		timeout  time.Duration
		class    Class
		status   int
		requests int64 // that reached the receiver; 0: as many as time allows
	}{
		"GOAWAY before this stream": {request: func(p *peer, stream uint32, _ int64) {
			if p.connection == 1 {
				_ = p.WriteGoAway(0, http2.ErrCodeNo, nil)
				return
			}
			p.respond(stream)
		}, status: 200, requests: 2},
		"GOAWAY after this stream, and a response": {request: func(p *peer, stream uint32, _ int64) {
			_ = p.WriteGoAway(stream, http2.ErrCodeNo, nil)
			p.respond(stream)
		}, status: 200, requests: 1},
		"GOAWAY after this stream, and no response": {request: func(p *peer, stream uint32, _ int64) {
			_ = p.WriteGoAway(stream, http2.ErrCodeNo, nil)
		}, timeout: short, class: ClassTimeout, requests: 1},
		"GOAWAY with an error": {request: func(p *peer, stream uint32, _ int64) {
			_ = p.WriteGoAway(stream, http2.ErrCodeEnhanceYourCalm, []byte("calm"))
		}, timeout: short, class: ClassTimeout, requests: 1}, // it may have been processed
		"refused once": {request: func(p *peer, stream uint32, n int64) {
			if n == 1 {
				_ = p.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
				return
			}
			p.respond(stream)
		}, status: 200, requests: 2},
		"refused for ever": {request: func(p *peer, stream uint32, _ int64) {
			_ = p.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}, timeout: short, class: ClassTimeout},
		"reset": {request: func(p *peer, stream uint32, _ int64) {
			_ = p.WriteRSTStream(stream, http2.ErrCodeInternal)
		}, class: ClassProtocol, requests: 1},
		"no window": {settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}},
			request: func(*peer, uint32, int64) {}, timeout: short, class: ClassTimeout, requests: 1},
		"a window that is no number": {settings: []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 31}},
			request: func(*peer, uint32, int64) {}, timeout: short, class: ClassProtocol},
		"a promise that nobody may make": {request: func(p *peer, stream uint32, _ int64) {
			_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: stream, PromiseID: 2, EndHeaders: true, BlockFragment: fields(":method", "GET")})
		}, class: ClassProtocol, requests: 1},
		"headers without end": {request: func(p *peer, stream uint32, _ int64) {
			filler := fields("x-filler", string(bytes.Repeat([]byte("y"), 8<<10)))
			err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: fields(":status", "200")})
			for err == nil {
				err = p.WriteContinuation(stream, false, filler)
			}
		}, class: ClassProtocol, requests: 1},
		"a body beyond its window": {request: func(p *peer, stream uint32, _ int64) {
			err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndHeaders: true, BlockFragment: fields(":status", "200")})
			for err == nil {
				err = p.WriteData(stream, false, make([]byte, 16<<10))
			}
		}, status: 200, requests: 1}, // as with HTTP/1.1: what is kept of the body came before
		"interim flood": {request: func(p *peer, stream uint32, _ int64) {
			for err := error(nil); err == nil; {
				err = p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndHeaders: true, BlockFragment: fields(":status", "103", "x", "y")})
			}
		}, class: ClassProtocol, requests: 1},
		"no response, but pings": {request: func(p *peer, _ uint32, _ int64) {
			for i := range 100 {
				_ = p.WritePing(false, [8]byte{byte(i)})
			}
		}, timeout: short, class: ClassTimeout, requests: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, requests := receiveFrames(t, ca, tc.settings, tc.request)
			c := newClient(t, Options{Resolver: answer("127.0.0.1")})
			timeout := tc.timeout
			if timeout == 0 {
				timeout = ample
			}
			request := postTLS(r, ca, timeout)
			assumeHTTP2(t, c, request)
			got := c.Do(t.Context(), request)
			require.Equal(t, tc.class, got.Class, "%v", got.Err)
			require.Equal(t, tc.status, got.Status)
			require.Less(t, got.Latency, timeout+slack)
			require.LessOrEqual(t, len(got.Body), KeptBodyBytes)
			if tc.requests > 0 {
				require.Equal(t, tc.requests, requests.Load(), "requests that the receiver got")
			}
			c.Close()
			require.Zero(t, c.sockets.count(), "no connection is left")
		})
	}
}

// TestRow43_OneStreamAtATime: attempts at a receiver that takes one stream at a time do not fail for one another.
func TestRow43_OneStreamAtATime(t *testing.T) {
	const n = 8
	ca := newAuthority(t)
	one := []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 1}}
	r, requests := receiveFrames(t, ca, one, func(p *peer, stream uint32, _ int64) { p.respond(stream) })
	c := newClient(t, Options{Resolver: answer("127.0.0.1")})
	assumeHTTP2(t, c, postTLS(r, ca, ample))
	done := make(chan Result, n)
	for range n {
		go func() { done <- c.Do(t.Context(), postTLS(r, ca, ample)) }()
	}
	for range n {
		got := <-done
		require.Equal(t, 200, got.Status, "%v", got.Err)
	}
	require.EqualValues(t, n, requests.Load())
}
