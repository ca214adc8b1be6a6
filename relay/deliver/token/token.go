package token

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eventrelay/catalog"
)

const (
	// maxGrants bounds what is kept, about 1 KiB each; it is emptied when it is full, which costs fetches only.
	maxGrants = 10_000
	// earlyMost and earlyShare: a token is replaced a minute before it expires, or a fifth of its lifetime where that is
	// less, so that no request arrives with one that expired on the way and short-lived ones are not fetched all the time.
	earlyMost  = time.Minute
	earlyShare = 5
	// unknownLifetime is for servers that do not say. One that ends sooner is noticed by the receiver's 401.
	unknownLifetime = 10 * time.Minute
	// refreshRetry spaces attempts to replace a token that is still good.
	refreshRetry = 5 * time.Second
)

// Doer sends requests to what an endpoint names besides its receiver, vetted; outbound.Client is one.
type Doer interface {
	HTTPClient(e *catalog.Endpoint) *http.Client
	// CheckURL refuses a URL as it was registered.
	CheckURL(raw string) error
}

// Credentials are what an endpoint's tokens are asked for with. They are immutable.
type Credentials struct {
	endpoint *catalog.Endpoint
	id       [sha256.Size]byte // of everything that makes another token: an edited endpoint does not use the old one
}

// CredentialsOf an endpoint whose auth is oauth2. The endpoint must not change afterwards.
func CredentialsOf(e *catalog.Endpoint) *Credentials {
	a := &e.Auth
	text, err := json.Marshal([]any{e.Key, e.Tenant, a.TokenURL, a.ClientID, a.ClientSecret.Reveal(), a.Scopes, a.Audience, e.TLS})
	if err != nil {
		panic("token: " + err.Error()) // strings and booleans only
	}
	return &Credentials{endpoint: e, id: sha256.Sum256(text)}
}

// Tokens keeps the tokens of all endpoints. Its methods may be called from any goroutine.
type Tokens struct {
	doer    Doer
	now     func() time.Time
	fetches *prometheus.CounterVec // by result: fetched, failed, interrupted

	mu     sync.Mutex // guards grants
	grants map[[sha256.Size]byte]*grant
}

// New keeps tokens that are fetched through doer. registerer may be nil.
func New(doer Doer, registerer prometheus.Registerer) *Tokens {
	t := &Tokens{doer: doer, now: time.Now, grants: map[[sha256.Size]byte]*grant{},
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_token_fetches_total", Help: "Access tokens asked for, for endpoints with OAuth2."}, []string{"result"})}
	for _, result := range []string{resultFetched, resultFailed, resultInterrupted} {
		t.fetches.WithLabelValues(result)
	}
	if registerer != nil {
		registerer.MustRegister(t.fetches)
	}
	return t
}

// grant is what is known of the tokens of one endpoint.
type grant struct {
	fetch *fetcher
	turn  chan struct{} // holds one token; who has taken it may fetch

	mu       sync.Mutex // guards what follows
	token    catalog.Secret
	refresh  time.Time // when to replace it
	expires  time.Time
	failure  error // of the latest fetch; nil when it succeeded
	failedAt time.Time
}

func (t *Tokens) grant(c *Credentials) *grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, ok := t.grants[c.id]
	if !ok {
		if len(t.grants) >= maxGrants {
			clear(t.grants)
		}
		g = &grant{fetch: newFetcher(t.doer, c.endpoint), turn: make(chan struct{}, 1)}
		g.turn <- struct{}{}
		t.grants[c.id] = g
	}
	return g
}

// Get gives a token that is good now, fetching one when there is none. Errors are *Error.
func (t *Tokens) Get(ctx context.Context, c *Credentials) (catalog.Secret, error) {
	g, began := t.grant(c), t.now()
	at, good, fresh := g.at(began)
	if fresh {
		return at, nil
	}
	select {
	case <-g.turn:
	default:
		if good {
			return at, nil // somebody is replacing it
		}
		select {
		case <-g.turn:
		case <-ctx.Done():
			return catalog.Secret{}, interrupted(ctx)
		}
	}
	defer func() { g.turn <- struct{}{} }()
	// Whoever had the turn before may have fetched it, or failed to, while this one waited.
	if at, _, fresh := g.at(t.now()); fresh {
		return at, nil
	}
	if err := g.failedSince(began); err != nil {
		return catalog.Secret{}, err
	}
	return t.renew(ctx, g)
}

// renew fetches a token. While the one at hand is good, a failure is put off until it is not. The caller has the turn.
func (t *Tokens) renew(ctx context.Context, g *grant) (catalog.Secret, error) {
	fetched, err := g.fetch.do(ctx)
	now := t.now()
	t.fetches.WithLabelValues(resultOf(err)).Inc()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		if g.token.IsSet() && now.Before(g.expires) {
			g.refresh = now.Add(refreshRetry)
			return g.token, nil
		}
		if !err.Interrupted() {
			g.failure, g.failedAt = err, now
		}
		return catalog.Secret{}, err
	}
	lifetime := fetched.lifetime(now)
	g.token, g.failure = fetched.value, nil
	g.expires, g.refresh = now.Add(lifetime), now.Add(lifetime-min(earlyMost, lifetime/earlyShare))
	return g.token, nil
}

// Drop forgets a token that the receiver refused, unless another one has taken its place.
func (t *Tokens) Drop(c *Credentials, refused catalog.Secret) {
	g := t.grant(c)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.token.Equal(refused) {
		g.token, g.expires, g.refresh = catalog.Secret{}, time.Time{}, time.Time{}
	}
}

// at is the token at hand. good: it has not expired. fresh: it need not be replaced yet.
func (g *grant) at(now time.Time) (token catalog.Secret, good, fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	good = g.token.IsSet() && now.Before(g.expires)
	return g.token, good, good && now.Before(g.refresh)
}

// failedSince is the failure of a fetch that ended after began, or nil.
func (g *grant) failedSince(began time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failure == nil || !g.failedAt.After(began) {
		return nil
	}
	return g.failure
}
