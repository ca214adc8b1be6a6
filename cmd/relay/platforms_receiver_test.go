package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/relay/payload/receive"
)

// arrival is one request that a receiver got.
type arrival struct {
	receive.Event
	webhookID, body string
	status          int // that it was answered with
}

// inbox is one path of a receiver that knows nothing but a platform's page. It verifies every request, whatever it
// answers, and acts on an event when it sees its id for the first time: before it answers, so that what it acted upon and
// then refused comes again.
type inbox struct {
	mu       sync.Mutex // guards all
	receiver *receive.Receiver
	header   http.Header // what each request must carry besides
	answer   int
	seen     *receive.Seen
	acted    []string // ids
	arrived  []arrival
	faults   []string
}

// expect says how requests are verified from now on.
func (b *inbox) expect(t *testing.T, o receive.Options, header http.Header) {
	t.Helper()
	receiver, err := receive.New(o)
	require.NoError(t, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receiver, b.header = receiver, header
}

// answers sets the status of what comes.
func (b *inbox) answers(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = status
}

func (b *inbox) take(r *http.Request, body []byte) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.receiver == nil {
		b.faults = append(b.faults, "nobody expects anything here: "+string(body))
		return http.StatusNotFound
	}
	for name, values := range b.header {
		if !slices.Equal(values, r.Header.Values(name)) {
			b.faults = append(b.faults, fmt.Sprintf("%s is %q", name, r.Header.Values(name)))
		}
	}
	event, err := b.receiver.Accept(r.Context(), r.Header, body)
	if err != nil {
		b.faults = append(b.faults, err.Error()+": "+string(body))
	}
	if b.seen.First(event.ID) {
		b.acted = append(b.acted, event.ID)
	}
	b.arrived = append(b.arrived, arrival{event, r.Header.Get("webhook-id"), string(body), b.answer})
	return b.answer
}

// of gives the arrivals of one event.
func (b *inbox) of(id string) (arrived []arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.arrived {
		if a.ID == id {
			arrived = append(arrived, a)
		}
	}
	return arrived
}

// receivers is an HTTPS server with an inbox for each path.
type receivers struct {
	url   string
	boxes map[string]*inbox
}

// newReceivers has the relays of the fleet trust its certificate, as they would one of a public authority.
func newReceivers(t *testing.T, f *fleet, paths ...string) *receivers {
	t.Helper()
	r := &receivers{boxes: map[string]*inbox{}}
	for _, path := range paths {
		r.boxes["/"+path] = &inbox{answer: http.StatusOK, seen: receive.NewSeen(1000)}
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		status := http.StatusNotFound
		if box := r.boxes[req.URL.Path]; box != nil {
			status = box.take(req, body)
		}
		w.WriteHeader(status)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the connection that only looks at the certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	r.url = server.URL
	authority := filepath.Join(t.TempDir(), "authority.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	f.env = append(f.env, "SSL_CERT_FILE="+authority)
	return r
}

func (r *receivers) box(path string) *inbox { return r.boxes["/"+path] }

// arrivals waits until an event has arrived so often.
func (r *receivers) arrivals(t *testing.T, f *fleet, path, id string, n int) []arrival {
	t.Helper()
	var arrived []arrival
	require.Eventually(t, func() bool { arrived = r.box(path).of(id); return len(arrived) >= n }, time.Minute, 20*time.Millisecond,
		"%s at %s: %d times, want %d: %v\n%s", id, path, len(arrived), n, r.box(path), &f.logs)
	return arrived
}

// judge demands of every request that it verified, of every event that it was acted upon once, and of its repeats that they
// are the same to the byte.
func (r *receivers) judge(t *testing.T) {
	t.Helper()
	for path, b := range r.boxes {
		b.mu.Lock()
		require.Empty(t, b.faults, path)
		first := map[string]arrival{}
		for _, a := range b.arrived {
			if _, again := first[a.ID]; !again {
				first[a.ID] = a
			}
			require.Equal(t, first[a.ID].webhookID, a.webhookID, "%s: %s", path, a.body)
			require.Equal(t, first[a.ID].body, a.body, path)
		}
		require.Len(t, b.acted, len(first), path)
		b.mu.Unlock()
	}
}
