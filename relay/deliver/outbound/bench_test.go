package outbound

import (
	"context"
	"net"
	"testing"

	"github.com/valyala/fasthttp"

	"eventrelay/catalog"
)

// BenchmarkDo posts to a loopback server, as a lane does: with a context that can be cancelled.
// BenchmarkBareFasthttp is the same request without this package, for comparison.
func BenchmarkDo(b *testing.B) {
	url := benchReceiver(b)
	c := newClient(b, Options{})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	endpoint := &catalog.Endpoint{URL: url, Timeout: ample}
	body := make([]byte, 600)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		request := &Request{Endpoint: endpoint, Headers: benchHeaders, Body: body}
		for pb.Next() {
			if got := c.Do(ctx, request); got.Status != 200 {
				b.Errorf("%+v", got)
				return
			}
		}
	})
}

func BenchmarkBareFasthttp(b *testing.B) {
	url := benchReceiver(b)
	c := &fasthttp.Client{}
	defer c.CloseIdleConnections()
	body := make([]byte, 600)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			request.Header.SetMethod("POST")
			request.SetRequestURI(url)
			for _, h := range benchHeaders {
				request.Header.Add(h.Name, h.Value)
			}
			request.SetBodyRaw(body)
			err := c.DoTimeout(request, response, ample)
			fasthttp.ReleaseRequest(request)
			fasthttp.ReleaseResponse(response)
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

var benchHeaders = []Header{
	{"Content-Type", "application/json"}, {"webhook-id", "msg_0123456789abcdef0123456789abcdef"},
	{"webhook-timestamp", "1763712000"}, {"webhook-attempt", "1"}, {"webhook-event-id", "evt_1"},
	{"webhook-event-type", "debt.paid"}, {"webhook-signature", "v1,0123456789abcdef0123456789abcdef0123456789a="},
}

// benchReceiver answers without parsing: each request arrives in one piece, and costs the receiver little.
func benchReceiver(b *testing.B) string {
	b.Helper()
	r := receive(b, func(conn net.Conn) {
		in, out := make([]byte, 8<<10), []byte(ok200)
		for {
			if _, err := conn.Read(in); err != nil {
				return
			}
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	})
	return r.url()
}
