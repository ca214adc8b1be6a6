package outbound

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"eventrelay/catalog"
)

// nameServer is a DNS server on loopback. answer fills in the response to each question; false means that none is sent.
type nameServer struct {
	net.PacketConn
	asked atomic.Int64
}

func newNameServer(t *testing.T, answer func(s *nameServer, q dnsmessage.Question, into *dnsmessage.Message) bool) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &nameServer{PacketConn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(buffer[:n]) != nil || len(query.Questions) == 0 {
				continue
			}
			s.asked.Add(1)
			reply := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true}, Questions: query.Questions[:1]}
			if !answer(s, query.Questions[0], &reply) {
				continue
			}
			if packet, err := reply.Pack(); err == nil {
				_, _ = conn.WriteTo(packet, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return s
}

// resolver is Go's own, as the relay uses it, with s as its only server. Its queries end with the test: Go's resolver
// waits 5 s for an answer even when nobody waits for it any more.
func (s *nameServer) resolver(t *testing.T) Resolver {
	var mu sync.Mutex
	over, open := false, []net.Conn(nil)
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		for _, conn := range open {
			_ = conn.Close()
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return nil, net.ErrClosed
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, s.LocalAddr().String())
		if err == nil {
			open = append(open, conn)
		}
		return conn, err
	}}
}

// a adds address records of the question's own type.
func a(into *dnsmessage.Message, ttl uint32, addrs ...string) {
	q := into.Questions[0]
	for _, text := range addrs {
		addr := netip.MustParseAddr(text)
		header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: ttl}
		switch {
		case addr.Is4() && q.Type == dnsmessage.TypeA:
			into.Answers = append(into.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case !addr.Is4() && q.Type == dnsmessage.TypeAAAA:
			into.Answers = append(into.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
}

// TestRow48_NameServers: whatever a name server answers, or does not, ends within the time of a lookup and is held
// against the name only when the name server is known to work.
func TestRow48_NameServers(t *testing.T) {
	r := receive(t, serve(ok200))
	for name, tc := range map[string]struct {
		answer  func(s *nameServer, q dnsmessage.Question, into *dnsmessage.Message) bool
		working bool // the server has just answered about another name
		class   Class
	}{
		"an address": {func(_ *nameServer, _ dnsmessage.Question, into *dnsmessage.Message) bool {
			a(into, 60, "127.0.0.1")
			return true
		}, false, ClassStatus},
		"an address, and nothing for AAAA": {func(_ *nameServer, q dnsmessage.Question, into *dnsmessage.Message) bool {
			if q.Type == dnsmessage.TypeAAAA {
				into.RCode = dnsmessage.RCodeSuccess
				return true
			}
			a(into, 0, "127.0.0.1")
			return true
		}, false, ClassStatus},
		"NXDOMAIN": {func(_ *nameServer, _ dnsmessage.Question, into *dnsmessage.Message) bool {
			into.RCode = dnsmessage.RCodeNameError
			return true
		}, false, ClassDNS},
		"no addresses": {func(*nameServer, dnsmessage.Question, *dnsmessage.Message) bool { return true }, false, ClassDNS},
		"SERVFAIL, of this name": {func(_ *nameServer, _ dnsmessage.Question, into *dnsmessage.Message) bool {
			into.RCode = dnsmessage.RCodeServerFailure
			return true
		}, true, ClassDNS},
		"SERVFAIL, of all names": {func(_ *nameServer, _ dnsmessage.Question, into *dnsmessage.Message) bool {
			into.RCode = dnsmessage.RCodeServerFailure
			return true
		}, false, ClassInternal},
		"refuses": {func(_ *nameServer, _ dnsmessage.Question, into *dnsmessage.Message) bool {
			into.RCode = dnsmessage.RCodeRefused
			return true
		}, false, ClassInternal},
		"silence": {func(*nameServer, dnsmessage.Question, *dnsmessage.Message) bool { return false }, true, ClassDNS},
		"a name for itself": {func(_ *nameServer, q dnsmessage.Question, into *dnsmessage.Message) bool {
			into.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeCNAME, Class: q.Class},
				Body: &dnsmessage.CNAMEResource{CNAME: q.Name}}}
			return true
		}, true, ClassDNS},
		"a public address and a private one": {func(_ *nameServer, q dnsmessage.Question, into *dnsmessage.Message) bool {
			a(into, 60, "203.0.114.7", "10.0.0.1")
			return true
		}, false, ClassBlocked},
		"a public A and a private AAAA": {func(_ *nameServer, q dnsmessage.Question, into *dnsmessage.Message) bool {
			a(into, 60, "203.0.114.7", "fd00::1")
			return true
		}, false, ClassBlocked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newNameServer(t, tc.answer)
			c := newClient(t, Options{Resolver: s.resolver(t)})
			if tc.working {
				c.dialer.names.answered.Store(time.Now().UnixNano())
			}
			timeout := ample
			if name == "silence" {
				timeout = short
			}
			got := c.Do(t.Context(), post("http://receiver.test:"+port(r)+"/", timeout))
			require.Equal(t, tc.class, got.Class, "%v", got.Err)
			require.Less(t, got.Latency, timeout+slack)
			require.Positive(t, s.asked.Load())
		})
	}
}

// TestRow48_AThousandAddresses: all of them are looked at, and one that may not be reached refuses the rest.
func TestRow48_AThousandAddresses(t *testing.T) {
	r := receive(t, serve(ok200))
	for last, want := range map[string]Class{"127.0.0.1": ClassStatus, "10.0.0.1": ClassBlocked} {
		c := newClient(t, Options{Resolver: answer(append(repeat("127.0.0.1", 999), last)...)})
		got := c.Do(t.Context(), post("http://receiver.test:"+port(r)+"/", ample))
		require.Equal(t, want, got.Class, "%v", got.Err)
	}
	require.EqualValues(t, 1, r.accepted.Load())
}

// TestRow49_ServerThatChangesItsMind: a name that points outside when it is looked at and inside when it is looked at
// again, with no time to live. Each attempt connects to what it has vetted, and to nothing else.
func TestRow49_ServerThatChangesItsMind(t *testing.T) {
	outside := receive(t, serve("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
	var lookups atomic.Int64
	s := newNameServer(t, func(_ *nameServer, q dnsmessage.Question, into *dnsmessage.Message) bool {
		if q.Type == dnsmessage.TypeA {
			addr := "127.0.0.1" // where the receiver is
			if lookups.Add(1)%2 == 0 {
				addr = "127.0.0.9" // what the policy protects
			}
			a(into, 0, addr)
		}
		return true
	})
	onlyOne := catalog.Egress{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, AllowHTTP: true}
	c := newClient(t, Options{Policy: onlyOne, Resolver: s.resolver(t)})
	request := post("http://receiver.test:"+port(outside)+"/", ample)
	for range 5 {
		first := c.Do(t.Context(), request)
		require.Equal(t, 200, first.Status, "%v", first.Err)
		require.Equal(t, ClassBlocked, c.Do(t.Context(), request).Class)
	}
	require.EqualValues(t, 10, lookups.Load(), "an attempt that dials looks once")
	require.EqualValues(t, 5, outside.accepted.Load())
}
