//go:build unix

package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// The benchmarks below compare this client with net/http's, at the same requests to the same receivers, for the figures
// in the package comment. cpu-ns/op is of both sides, as the receiver runs in the same process.

// poster makes one request and wants status 200.
type poster func(ctx context.Context) error

func viaClient(c *Client, e *catalog.Endpoint, body []byte) poster {
	return func(ctx context.Context) error {
		got := c.Do(ctx, &Request{Endpoint: e, Headers: benchHeaders, Body: body})
		if got.Status != http.StatusOK {
			return fmt.Errorf("status %d, %s: %w", got.Status, got.Class, got.Err)
		}
		return nil
	}
}

func viaNetHTTP(b *testing.B, e *catalog.Endpoint, conns int, protocols func(*http.Server)) func([]byte) poster {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(e.TLS.CACert))
	which := &http.Server{Protocols: new(http.Protocols)}
	protocols(which)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, Protocols: which.Protocols,
		MaxIdleConns: conns, MaxIdleConnsPerHost: conns, DisableCompression: true,
	}
	b.Cleanup(transport.CloseIdleConnections)
	return func(body []byte) poster {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, e.Timeout)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
			if err != nil {
				return err
			}
			for _, h := range benchHeaders {
				r.Header[h.Name] = []string{h.Value}
			}
			answer, err := transport.RoundTrip(r)
			if err != nil {
				return err
			}
			defer func() { _ = answer.Body.Close() }()
			_, err = io.Copy(io.Discard, answer.Body)
			return err
		}
	}
}

func BenchmarkChoice(b *testing.B) {
	const inFlight = 64
	ca := newAuthority(b)
	answers := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK)
	}
	for _, c := range []struct {
		name      string
		url       string
		protocols func(*http.Server)
	}{
		{"plain", benchReceiver(b), onlyHTTP1},
		{"tls", serveHTTP(b, ca, onlyHTTP1, answers).url, onlyHTTP1},
		{"http2", serveHTTP(b, ca, onlyHTTP2, answers).url, onlyHTTP2},
	} {
		endpoint := &catalog.Endpoint{URL: c.url, Timeout: time.Minute, TLS: catalog.TLS{CACert: ca.pem()}}
		body := make([]byte, 600)
		client := newClient(b, Options{Resolver: answer("127.0.0.1")})
		b.Run(c.name+"/client", func(b *testing.B) { postAll(b, inFlight, viaClient(client, endpoint, body)) })
		b.Run(c.name+"/nethttp", func(b *testing.B) {
			postAll(b, inFlight, viaNetHTTP(b, endpoint, inFlight, c.protocols)(body))
		})
	}
}

// postAll makes b.N requests, so many at a time.
func postAll(b *testing.B, inFlight int, post poster) {
	b.ReportAllocs()
	b.SetParallelism(max(inFlight/runtime.GOMAXPROCS(0), 1))
	before := cpuTime()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := post(b.Context()); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // fails for bad arguments only
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkConnections has as many requests under way as the process's files allow, up to 10 000, all of them answered
// when the last has arrived. An operation is one such wave; B/conn is what memory the process has more while all wait
// than before, of both sides.
func BenchmarkConnections(b *testing.B) {
	n := 10_000
	if files := openFiles(); files > 0 {
		n = min(n, int(files)*2/5) // two sockets each, and the client leaves a quarter of the files to others
	}
	for _, which := range []string{"client", "nethttp"} {
		b.Run(which, func(b *testing.B) {
			var waiting sync.WaitGroup
			var most uint64
			var release atomic.Pointer[chan struct{}] // closed when all of a wave are there
			r := receive(b, func(conn net.Conn) {
				in, out := make([]byte, 2<<10), []byte(ok200)
				for {
					if _, err := conn.Read(in); err != nil {
						return
					}
					all := *release.Load() // of this wave, which cannot end before Done
					waiting.Done()
					<-all
					if _, err := conn.Write(out); err != nil {
						return
					}
				}
			})
			endpoint := &catalog.Endpoint{URL: r.url(), Timeout: time.Minute}
			body := make([]byte, 600)
			post := viaClient(newClient(b, Options{MaxIdleConns: n}), endpoint, body)
			if which == "nethttp" {
				post = viaNetHTTP(b, endpoint, n, onlyHTTP1)(body)
			}
			before := memoryInUse()
			cpu := cpuTime()
			for b.Loop() {
				var done sync.WaitGroup
				waiting.Add(n)
				all := make(chan struct{})
				release.Store(&all)
				for range n {
					done.Go(func() {
						if err := post(b.Context()); err != nil {
							b.Error(err)
						}
					})
				}
				waiting.Wait()
				most = max(most, memoryInUse())
				close(all)
				done.Wait()
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N*n), "cpu-ns/request")
			b.ReportMetric(float64(most-before)/float64(n), "B/conn")
			b.ReportMetric(float64(n), "conns")
			require.LessOrEqual(b, r.accepted.Load(), int64(n), "every wave uses the connections of the first")
		})
	}
}

func memoryInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
