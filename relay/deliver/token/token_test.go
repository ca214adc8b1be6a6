package token

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clientSecret = "s3cret-1f0c9a77"
	patience     = 10 * time.Second
)

// issuer is a token server that counts what it is asked.
type issuer struct {
	*httptest.Server
	asked  atomic.Int64
	issued atomic.Int64
	// answer, when set, takes the place of a token.
	answer atomic.Pointer[http.HandlerFunc]
	mu     sync.Mutex
	forms  []string // parameters of the requests that were granted
	inBody bool     // it takes credentials in the body only
}

func issue(t *testing.T) *issuer {
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.asked.Add(1)
	if answer := i.answer.Load(); answer != nil {
		(*answer)(w, r)
		return
	}
	id, secret, ok := r.BasicAuth()
	if i.inBody {
		id, secret, ok = r.PostFormValue("client_id"), r.PostFormValue("client_secret"), true
	}
	if !ok || id != "client" || secret != clientSecret {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
		return
	}
	i.mu.Lock()
	_ = r.ParseForm()
	i.forms = append(i.forms, r.PostForm.Encode())
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprint("token-", i.issued.Add(1)), "token_type": "bearer", "expires_in": 600})
}

func (i *issuer) fail(f http.HandlerFunc) { i.answer.Store(&f) }

func endpoint(i *issuer) *catalog.Endpoint {
	return &catalog.Endpoint{Key: "w/wh_1", Auth: catalog.Auth{Type: catalog.AuthOAuth2, TokenURL: i.URL + "/token?key=query-5ecret", ClientID: "client",
		ClientSecret: catalog.NewSecret(clientSecret), Scopes: []string{"a", "b:c"}, Audience: "crm"}}
}

func tokens(t *testing.T) *Tokens {
	client := outbound.New(outbound.Options{Policy: catalog.Egress{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true}})
	t.Cleanup(client.Close)
	return New(client, prometheus.NewRegistry())
}

// clock is a time that the test moves.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// startClock begins now: expiries come from the library, which reads the wall clock.
func startClock() *clock {
	c := &clock{}
	c.ns.Store(time.Now().UnixNano())
	return c
}

func TestTokens_OneFetchForAll(t *testing.T) {
	i, ts := issue(t), tokens(t)
	held := make(chan struct{})
	i.fail(func(w http.ResponseWriter, r *http.Request) {
		<-held
		i.answer.Store(nil)
		i.asked.Add(-1)
		i.serve(w, r)
	})
	c := CredentialsOf(endpoint(i))
	var callers sync.WaitGroup
	got := make(chan string, 20)
	for range 20 {
		callers.Go(func() {
			access, err := ts.Get(t.Context(), c)
			if err != nil {
				got <- err.Error()
				return
			}
			got <- access.Reveal()
		})
	}
	close(held)
	callers.Wait()
	close(got)
	for text := range got {
		require.Equal(t, "token-1", text)
	}
	require.EqualValues(t, 1, i.asked.Load())
	require.Equal(t, []string{"audience=crm&grant_type=client_credentials&scope=a+b%3Ac"}, i.forms)
}

func TestTokens_AreReplacedBeforeTheyExpire(t *testing.T) {
	i, ts, now := issue(t), tokens(t), startClock()
	ts.now = now.now
	c := CredentialsOf(endpoint(i))
	get := func() string {
		access, err := ts.Get(t.Context(), c)
		require.NoError(t, err)
		return access.Reveal()
	}
	require.Equal(t, "token-1", get())
	now.advance(8 * time.Minute)
	require.Equal(t, "token-1", get())
	now.advance(time.Minute + 30*time.Second)
	i.fail(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	require.Equal(t, "token-1", get(), "still good while the server is down")
	asked := i.asked.Load()
	require.Equal(t, "token-1", get())
	require.Equal(t, asked, i.asked.Load(), "not asked again at once")
	now.advance(time.Minute)
	_, err := ts.Get(t.Context(), c)
	require.ErrorContains(t, err, "status 502")
	i.answer.Store(nil)
	require.Equal(t, "token-2", get())
}

func TestTokens_DropAndEdit(t *testing.T) {
	i, ts := issue(t), tokens(t)
	e := endpoint(i)
	c := CredentialsOf(e)
	first, err := ts.Get(t.Context(), c)
	require.NoError(t, err)
	ts.Drop(c, catalog.NewSecret("another"))
	same, err := ts.Get(t.Context(), CredentialsOf(endpoint(i)))
	require.NoError(t, err)
	require.True(t, same.Equal(first), "the same endpoint, compiled anew")
	ts.Drop(c, first)
	second, err := ts.Get(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, "token-2", second.Reveal())

	for name, edit := range map[string]func(*catalog.Endpoint){
		"key":      func(e *catalog.Endpoint) { e.Key = "w/wh_2" },
		"tenant":   func(e *catalog.Endpoint) { e.Tenant = "acme" },
		"scopes":   func(e *catalog.Endpoint) { e.Auth.Scopes = []string{"a b:c"} },
		"audience": func(e *catalog.Endpoint) { e.Auth.Audience = "" },
		"url":      func(e *catalog.Endpoint) { e.Auth.TokenURL += "2" },
	} {
		edited := endpoint(i)
		edit(edited)
		before := i.issued.Load()
		_, err := ts.Get(t.Context(), CredentialsOf(edited))
		require.NoError(t, err)
		require.Equal(t, before+1, i.issued.Load(), "%s: a token of its own", name)
	}
	wrong := endpoint(i)
	wrong.Auth.ClientSecret = catalog.NewSecret("wrong")
	_, err = ts.Get(t.Context(), CredentialsOf(wrong))
	require.ErrorContains(t, err, "status 401, invalid_client")
}

func TestTokens_CredentialsInTheBody(t *testing.T) {
	i, ts := issue(t), tokens(t)
	i.inBody = true
	c := CredentialsOf(endpoint(i))
	for range 2 {
		access, err := ts.Get(t.Context(), c)
		require.NoError(t, err)
		ts.Drop(c, access)
	}
	require.EqualValues(t, 3, i.asked.Load(), "the way that works is remembered")
}

// What a bad token server does ends in time, is the endpoint's, and quotes nothing.
func TestTokens_Failures(t *testing.T) {
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		}
	}
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			_, secret, _ := r.BasicAuth()
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"error":%q,"error_description":%q}`, secret, r.PostForm.Encode()+r.URL.String())
		}
	}
	elsewhere := issue(t)
	for name, f := range map[string]http.HandlerFunc{
		"refused, echoing everything": echo(http.StatusUnauthorized),
		"server error":                echo(http.StatusInternalServerError),
		"200 with an error":           echo(http.StatusOK),
		"not JSON":                    text("<html>" + clientSecret),
		"no token":                    text(`{"token_type":"bearer"}`),
		"another type":                text(`{"access_token":"a","token_type":"mac"}`),
		"line break in the token":     text(`{"access_token":"a\r\nHost: x","token_type":"bearer"}`),
		"endless":                     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat(" ", 1<<20)) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"closed": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			i, ts := issue(t), tokens(t)
			i.fail(f)
			_, err := ts.Get(t.Context(), CredentialsOf(endpoint(i)))
			var failed *Error
			require.ErrorAs(t, err, &failed)
			require.Equal(t, outbound.ClassToken, failed.Class, "%v", err)
			require.False(t, failed.Interrupted())
			for _, leak := range []string{clientSecret, "5ecret", "/token"} {
				require.NotContains(t, fmt.Sprintf("%v %+v %q", err, err, failed.Err), leak)
			}
		})
	}
	require.Zero(t, elsewhere.asked.Load())
}

func TestTokens_SlowServerAndWaiters(t *testing.T) {
	i, ts := issue(t), tokens(t)
	i.fail(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	c := CredentialsOf(endpoint(i))
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	errs := make(chan error, 2)
	var callers sync.WaitGroup
	for range 2 { // one fetches, one waits
		callers.Go(func() {
			_, err := ts.Get(short, c)
			errs <- err
		})
	}
	callers.Wait()
	for range 2 {
		var failed *Error
		require.ErrorAs(t, <-errs, &failed)
		require.Equal(t, outbound.ClassToken, failed.Class, "its server was too slow for the attempt")
	}

	gone, stop := context.WithCancel(t.Context())
	stop()
	_, err := ts.Get(gone, c)
	var failed *Error
	require.ErrorAs(t, err, &failed)
	require.True(t, failed.Interrupted(), "a caller that gave up says nothing of the server")
	i.answer.Store(nil)
	_, err = ts.Get(t.Context(), c)
	require.NoError(t, err, "a fetch that was given up is taken over")
}

func TestTokens_NoConnection(t *testing.T) {
	i, ts := issue(t), tokens(t)
	c := CredentialsOf(endpoint(i))
	i.Close()
	_, err := ts.Get(t.Context(), c)
	var failed *Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, outbound.ClassToken, failed.Class)
	require.Equal(t, outbound.ClassConnect, outbound.ClassOf(err), "the detail for the operator")
	require.NotContains(t, err.Error(), "/token")
}
