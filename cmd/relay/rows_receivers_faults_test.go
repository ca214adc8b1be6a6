//go:build faults

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// hostile is a receiver that answers as no server should. Its end closes every connection and waits.
type hostile struct {
	net.Listener
	requests atomic.Int64 // whole ones that reached it

	mu       sync.Mutex
	open     map[net.Conn]bool
	handlers sync.WaitGroup
}

// serve hands each connection to handle, which says with read that it got a whole request.
func serveHostile(t *testing.T, handle func(conn net.Conn, read func() bool)) *hostile {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &hostile{Listener: l, open: map[net.Conn]bool{}}
	h.handlers.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.open[conn] = true
			h.mu.Unlock()
			h.handlers.Go(func() {
				defer func() {
					_ = conn.Close()
					h.mu.Lock()
					delete(h.open, conn)
					h.mu.Unlock()
				}()
				in := bufio.NewReader(conn)
				handle(conn, func() bool {
					request, err := http.ReadRequest(in)
					if err != nil {
						return false
					}
					_, err = io.Copy(io.Discard, request.Body)
					h.requests.Add(1)
					return err == nil
				})
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		h.mu.Lock()
		for conn := range h.open {
			_ = conn.Close()
		}
		h.mu.Unlock()
		h.handlers.Wait()
	})
	return h
}

// saying answers each request with text, and again with more for as long as the connection takes it.
func saying(text, more string) func(net.Conn, func() bool) {
	return func(conn net.Conn, read func() bool) {
		for read() {
			_, err := io.WriteString(conn, text)
			for err == nil && more != "" {
				_, err = io.WriteString(conn, more)
			}
		}
	}
}

// dripping answers a byte at a time, for ever.
func dripping(text string) func(net.Conn, func() bool) {
	return func(conn net.Conn, read func() bool) {
		read()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		_, err := io.WriteString(conn, text)
		for err == nil {
			<-tick.C
			_, err = io.WriteString(conn, "x")
		}
	}
}

// TestRows_HostileReceivers is rows 37 to 46 at once: receivers that hang, drip, never read, reset, end early, talk without end,
// inflate and redirect stand beside healthy ones, on the same events. Each attempt is counted once and ends within
// its timeout, what fails is diverted with what happened, nothing is sent twice behind the relay's back, and the healthy
// get everything meanwhile.
func TestRows_HostileReceivers(t *testing.T) {
	const (
		shared  = 3   // events that everybody gets: fewer failures in a row than open a breaker
		healthy = 400 // events that only the healthy get, at the same time
		hooks   = 4
		timeout = time.Second
		grow    = 64 << 20
	)
	filler := strings.Repeat("y", 8<<10)
	over := make(chan struct{})
	inside := serveHostile(t, saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""))
	rows := []struct {
		name      string
		handle    func(net.Conn, func() bool)
		delivered bool
		status    int // of what is diverted; 0: none was received
		requests  int64
	}{
		{name: "37 never answers", handle: func(conn net.Conn, read func() bool) { read(); read() }, requests: shared},
		{name: "38 drips a head", handle: dripping("HTTP/1.1 200 OK\r\nX: "), requests: shared},
		{name: "38 drips a body", handle: dripping("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), requests: shared},
		{name: "39 never reads", handle: func(net.Conn, func() bool) { <-over }},
		{name: "40 resets at once", handle: func(conn net.Conn, _ func() bool) { _ = conn.(*net.TCPConn).SetLinger(0) }},
		{name: "40 resets in the body", handle: func(conn net.Conn, read func() bool) {
			read()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
			_ = conn.(*net.TCPConn).SetLinger(0)
		}, requests: shared},
		{name: "41 ends before it answers", handle: func(_ net.Conn, read func() bool) { read() }, requests: shared},
		{name: "42 closes what is kept alive", handle: func(conn net.Conn, read func() bool) {
			if read() {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}, delivered: true, requests: shared},
		{name: "44 interim responses for ever", handle: saying("", "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"), requests: shared},
		{name: "44 headers for ever", handle: saying("HTTP/1.1 200 OK\r\n", "X: "+filler+"\r\n"), requests: shared},
		{name: "44 chunks for ever", handle: saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2000\r\n"+filler+"\r\n"), delivered: true, requests: shared},
		{name: "44 no status line", handle: saying("ICY 200 OK\r\n\r\n", ""), requests: shared},
		{name: "44 less than it says", handle: func(conn net.Conn, read func() bool) {
			read()
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
		}, requests: shared},
		{name: "44 another protocol", handle: saying("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", ""), requests: shared},
		{name: "45 says that it is gzip", handle: saying("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99999999\r\n\r\n\x1f\x8b\x08", filler), delivered: true, requests: shared},
		{name: "46 redirects inside", handle: saying("HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: http://"+inside.Addr().String()+"/\r\n\r\n", ""), status: 307, requests: shared},
		{name: "46 redirects to itself", handle: saying("HTTP/1.1 308 Permanent Redirect\r\nContent-Length: 0\r\nLocation: /\r\n\r\n", ""), status: 308, requests: shared},
	}
	f := newFleet(t, time.Second)
	f.timeout = 10 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, hooks, 1)
	l.publish(0, 20)
	l.awaitDelivered(t, 20*hooks)
	idle, before := p.idleGoroutines(t), p.metrics(t)["process_resident_memory_bytes"]

	peers := make([]*hostile, len(rows))
	for i, row := range rows {
		peers[i] = serveHostile(t, row.handle)
		_, err := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": fmt.Sprintf("hostile-%d", i), "displayName": row.name,
			"url": "http://" + peers[i].Addr().String() + "/", "events": []string{"load.hostile"}, "retry": "none", "delivery": map[string]any{"timeout": timeout.String()}}, nil)
		require.NoError(t, err)
	}
	t.Cleanup(func() { close(over) }) // before the receivers wait for their handlers
	for i := range shared {
		f.client.Produce(t.Context(), &kgo.Record{Topic: f.domains[i], Value: []byte(`{"amount": 12.50}`), Headers: []kgo.RecordHeader{
			{Key: "ce_id", Value: fmt.Appendf(nil, "hostile-%d", i)}, {Key: "ce_source", Value: []byte("/t")}, {Key: "ce_type", Value: []byte("load.hostile")}}}, nil)
	}
	begun := time.Now()
	l.publish(20, 20+healthy)
	l.awaitDelivered(t, hooks*(20+healthy))
	took := time.Since(begun)

	type diverted struct {
		EventID    string `json:"eventId"`
		Reason     string `json:"reason"`
		Attempts   int    `json:"attempts"`
		LastStatus int    `json:"lastStatus"`
	}
	for i, row := range rows {
		var page struct{ Items []diverted }
		want := shared
		if row.delivered {
			want = 0
		}
		require.Eventually(t, func() bool {
			page.Items = nil
			_, err := p.api.call(t.Context(), http.MethodGet, fmt.Sprintf("/v1/webhooks/hostile-%d/diverted", i), nil, &page)
			return err == nil && len(page.Items) == want && (row.requests == 0 || peers[i].requests.Load() >= row.requests)
		}, 30*time.Second, 50*time.Millisecond, "%s: %d diverted, %d requests:\n%s", row.name, len(page.Items), peers[i].requests.Load(), &f.logs)
		for _, d := range page.Items {
			require.Equal(t, diverted{EventID: d.EventID, Reason: "exhausted", Attempts: 1, LastStatus: row.status}, d, row.name)
		}
	}
	v := l.settle(t, 20+healthy)
	require.Zero(t, v.duplicates)
	for i, row := range rows {
		require.Equal(t, row.requests, peers[i].requests.Load(), "%s: requests received", row.name)
	}
	require.Zero(t, inside.requests.Load())
	l.recovered(t, 20+healthy, 30+healthy, idle, p)
	grown := p.metrics(t)["process_resident_memory_bytes"] - before
	require.Less(t, grown, float64(grow))
	t.Logf("%d hostile receivers: %d deliveries to the healthy took %s, memory %+.1f MiB", len(rows), hooks*healthy, took.Round(time.Millisecond), grown/(1<<20))
}

// TestRow77_HeaderInjection: neither a webhook's headers nor what an event calls itself can write a line of its own into
// a request.
func TestRow77_HeaderInjection(t *testing.T) {
	f := newFleet(t, time.Second)
	got := make(chan http.Header, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	defer receiver.Close()
	p := f.start(t, "one")
	p.awaitReady(t, f)
	for i, headers := range []map[string]string{{"X-A": "1\r\nX-Evil: 1"}, {"X-A\r\nX-Evil": "1"}, {"X-A": "1\nX-Evil: 1"}, {"X A": "1"}, {"X-A": "\x00"}} {
		status, err := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": fmt.Sprint("evil", i), "url": receiver.URL, "events": []string{"*"}, "headers": headers}, nil)
		require.Error(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, status, "%q", headers)
	}
	_, err := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "w", "url": receiver.URL, "events": []string{"*"}, "format": "cloudevents-binary"}, nil)
	require.NoError(t, err)
	evil := "x\r\nX-Evil: 1\r\n\r\nGET / HTTP/1.1\r\n"
	f.client.Produce(t.Context(), &kgo.Record{Topic: f.domains[0], Value: []byte(`{}`), Headers: []kgo.RecordHeader{
		{Key: "ce_id", Value: []byte("1" + evil)}, {Key: "ce_source", Value: []byte("/s" + evil)}, {Key: "ce_type", Value: []byte("load." + evil)},
		{Key: "ce_subject", Value: []byte(evil)}, {Key: "ce_username", Value: []byte(evil)}, {Key: "traceparent", Value: []byte(evil)}}}, nil)
	f.client.Produce(t.Context(), &kgo.Record{Topic: f.domains[0], Value: []byte(`{}`), Headers: []kgo.RecordHeader{
		{Key: "ce_id", Value: []byte("2")}, {Key: "ce_source", Value: []byte("/s")}, {Key: "ce_type", Value: []byte("load.honest")}}}, nil)
	seen := 0
	for honest := false; !honest; seen++ {
		select {
		case h := <-got:
			require.NotContains(t, h, "X-Evil")
			for name, values := range h {
				require.False(t, strings.ContainsAny(strings.Join(values, ""), "\r\n"), name)
			}
			honest = h.Get("Webhook-Event-Id") == "2"
		case <-time.After(30 * time.Second):
			t.Fatalf("nothing arrived:\n%s", &f.logs)
		}
	}
	require.Eventually(t, func() bool { // it was delivered, or an operator can see why not
		var page struct{ Items []struct{} }
		_, err := p.api.call(t.Context(), http.MethodGet, "/v1/rejected", nil, &page)
		return err == nil && len(page.Items)+seen+len(got) == 2
	}, 30*time.Second, 50*time.Millisecond, "%s", &f.logs)
	for len(got) > 0 {
		seen++
		require.NotContains(t, <-got, "X-Evil")
	}
	t.Logf("%d deliveries", seen)
}
