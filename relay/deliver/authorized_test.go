package deliver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// issuer grants tokens token-1, token-2, … and is down while down is set.
type issuer struct {
	*httptest.Server
	issued atomic.Int64
	down   atomic.Bool
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, secret, _ := r.BasicAuth(); secret != "client-secret" || i.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprint("token-", i.issued.Add(1)), "token_type": "Bearer", "expires_in": 3600})
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) auth() catalog.Auth {
	return catalog.Auth{Type: catalog.AuthOAuth2, TokenURL: i.URL + "/token", ClientID: "client", ClientSecret: catalog.NewSecret("client-secret")}
}

func TestOAuth2_TokenIsFetchedOnceAndReplacedWhenRefused(t *testing.T) {
	i := newIssuer(t)
	var valid atomic.Value
	valid.Store("token-1")
	var requests, refusals atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); got != valid.Load() {
			refusals.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer receiver.Close()
	b := newBench(t, nil)
	b.webhook("wh_1", receiver.URL, func(w *catalog.Webhook) { w.Auth = i.auth() })
	const n = 20
	for range n {
		b.submit("wh_1", nil)
	}
	require.Eventually(t, func() bool { return b.done.Load() == n }, waitFor, tick)
	require.EqualValues(t, 1, i.issued.Load())
	require.Zero(t, refusals.Load())

	valid.Store("token-2") // the first one is revoked
	task := b.submit("wh_1", nil)
	require.Eventually(t, func() bool { return b.done.Load() == n+1 }, waitFor, tick)
	require.EqualValues(t, 2, i.issued.Load())
	require.EqualValues(t, 1, refusals.Load())
	require.Equal(t, 1, task.Delivery.Attempts, "one attempt")
	require.Equal(t, 200, task.Delivery.LastStatus)
	require.Empty(t, b.retried)

	valid.Store("none") // no token is good enough: the receiver's 401 is the result
	before := requests.Load()
	task = b.submit("wh_1", nil)
	require.Eventually(t, func() bool { return b.done.Load() == n+2 }, waitFor, tick)
	require.Equal(t, 401, task.Delivery.LastStatus)
	require.EqualValues(t, 2, requests.Load()-before, "sent once more, and not again")
	require.EqualValues(t, 3, i.issued.Load())
}

func TestOAuth2_NoTokenIsAFailedAttempt(t *testing.T) {
	i := newIssuer(t)
	i.down.Store(true)
	var requests atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer receiver.Close()
	b := newBench(t, nil)
	b.webhook("wh_1", receiver.URL, func(w *catalog.Webhook) { w.Auth = i.auth() })
	task := b.submit("wh_1", nil)
	require.Eventually(t, func() bool { return b.done.Load() == 1 }, waitFor, tick)
	require.Zero(t, requests.Load(), "nothing is sent without a token")
	b.mu.Lock()
	require.Len(t, b.retried, 1)
	b.mu.Unlock()
	require.Equal(t, 1, task.Delivery.Attempts)
	require.Equal(t, "token", task.Delivery.LastError)
}

// A token server that hangs takes no more than the attempt's time.
func TestOAuth2_TokenServerThatHangs(t *testing.T) {
	held := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-held:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(held)
	b := newBench(t, nil)
	b.webhook("wh_1", "http://127.0.0.1:1/", func(w *catalog.Webhook) {
		w.Auth = (&issuer{Server: slow}).auth()
		w.Delivery.Timeout = catalog.Duration(100 * time.Millisecond)
	})
	task := b.submit("wh_1", nil)
	require.Eventually(t, func() bool { return b.done.Load() == 1 }, waitFor, tick)
	require.Equal(t, "token", task.Delivery.LastError)
}
