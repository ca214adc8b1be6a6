package outbound

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http/httpguts"

	"eventrelay/catalog"
)

const (
	// DefaultConnIdle is how long an unused connection is kept: shorter than the idle timeouts of common servers
	// and load balancers (60 s and more), longer than the gaps of a webhook that is in use.
	DefaultConnIdle = 30 * time.Second
	// DefaultMaxIdleConns bounds idle connections of all receivers together; 4 096 descriptors and their kernel
	// buffers are affordable on any machine that a relay runs on.
	DefaultMaxIdleConns = 4096
	// DefaultMaxTargets bounds remembered endpoints: about 3 KiB each with its TLS configuration, 24 MiB in all.
	DefaultMaxTargets = 8192
	// DefaultUserAgent identifies the relay to receivers.
	DefaultUserAgent = "relay/1"

	// targetIdle is how long an endpoint without attempts is remembered; forgetting costs parsing it again.
	targetIdle = 10 * time.Minute
	// sweepsPerIdle: a connection outlives its idle time by a sixth at most.
	sweepsPerIdle = 6
)

// Options configure a Client. Policy is required; every other field has a default.
type Options struct {
	Policy Policy
	// AllowInsecureTLS lets endpoints ask that certificates are not verified. Without it they are, whatever was stored.
	AllowInsecureTLS bool
	// Resolver is Go's own when nil.
	Resolver  Resolver
	UserAgent string
	// MaxConnsIdle is how long an idle connection is kept.
	MaxConnsIdle time.Duration
	// MaxIdleConns bounds the idle connections, MaxTargets the endpoints that are remembered.
	MaxIdleConns int
	MaxTargets   int
	// Log defaults to discarding, Registerer to none.
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Client sends requests to endpoints. Its methods may be called from any goroutine.
type Client struct {
	policy      Policy
	insecureTLS bool
	userAgent   string
	connIdle    time.Duration
	maxTargets  int
	log         *slog.Logger
	metrics     metrics

	dialer  *dialer
	sockets sockets
	budget  idleBudget

	life    context.Context // ends with Close
	end     context.CancelCauseFunc
	sweeper sync.WaitGroup
	relief  atomic.Int64 // Unix ns of the latest relieve

	mu      sync.Mutex // guards what follows, and target.used and pool.targets
	targets map[targetKey]*list.Element
	byUse   list.List // of *target, latest used first
	pools   map[poolKey]*pool
}

// New starts a client. Close it.
func New(o Options) *Client {
	if o.Policy == nil {
		panic("outbound: New without a Policy would be an unguarded client")
	}
	c := &Client{
		policy: o.Policy, insecureTLS: o.AllowInsecureTLS, userAgent: o.UserAgent, connIdle: o.MaxConnsIdle, maxTargets: o.MaxTargets, log: o.Log,
		targets: make(map[targetKey]*list.Element), pools: make(map[poolKey]*pool),
	}
	if c.userAgent == "" {
		c.userAgent = DefaultUserAgent
	}
	if c.connIdle <= 0 {
		c.connIdle = DefaultConnIdle
	}
	if c.maxTargets <= 0 {
		c.maxTargets = DefaultMaxTargets
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.budget.limit = int64(o.MaxIdleConns)
	if c.budget.limit <= 0 {
		c.budget.limit = DefaultMaxIdleConns
	}
	// The client outlives every attempt's context; this one ends what has none of its own when the client closes.
	c.life, c.end = context.WithCancelCause(context.Background())
	c.sockets.limit = socketLimit(openFiles())
	c.dialer = newDialer(o.Policy, o.Resolver, &c.sockets, c.relieve)
	c.metrics = newMetrics(o.Registerer, c)
	c.sweeper.Go(c.sweepUntilClosed)
	return c
}

// Header is one request header.
type Header struct{ Name, Value string }

// Request is one attempt to make. Nothing of it is kept after Do.
type Request struct {
	// Endpoint gives URL, TLS, the timeout, and the client certificate where Auth.Type is mtls. Other credentials
	// are the caller's to put into Headers.
	Endpoint *catalog.Endpoint
	// Headers are written verbatim: order and spelling of names are kept, after Host, User-Agent, Content-Type and
	// Content-Length, which come first. What frames the request is refused here; User-Agent is the client's.
	Headers []Header
	Body    []byte
	// KeepHeaders asks for the response's headers in the Result: for tests of an endpoint.
	KeepHeaders bool
}

// Do makes one attempt: a POST of Body. It returns at the endpoint's timeout at the latest, and promptly when ctx
// ends or the client is closed.
func (c *Client) Do(ctx context.Context, r *Request) Result {
	start := time.Now()
	result, err := c.attempt(ctx, r, start)
	if err != nil {
		ended := ctx.Err()
		if ended == nil {
			ended = c.life.Err()
		}
		result = Result{Class: classify(err, ended), Err: err}
	}
	result.Latency = time.Since(start)
	c.metrics.attempt(result.Class)
	return result
}

func (c *Client) attempt(ctx context.Context, r *Request, start time.Time) (Result, error) {
	if ctx.Err() != nil || c.life.Err() != nil {
		return Result{}, fail(ClassCanceled, "start the attempt", errors.Join(context.Cause(ctx), context.Cause(c.life)))
	}
	if err := checkHeaders(r.Headers); err != nil {
		return Result{}, fail(ClassInternal, "check the request", err)
	}
	t, err := c.target(r.Endpoint, start)
	if err != nil {
		return Result{}, err
	}
	deadline := start.Add(timeoutOf(r.Endpoint))
	if t.pool.known() == protocolHTTP2 {
		return c.attemptHTTP2(ctx, t, r, deadline)
	}
	return c.attemptHTTP1(ctx, t, r, start, deadline)
}

func timeoutOf(e *catalog.Endpoint) time.Duration {
	if e.Timeout <= 0 {
		return catalog.DefaultTimeout
	}
	return e.Timeout
}

// attemptHTTP1 uses an idle connection if there is one. Only if the receiver turns out to have closed that one
// before the first byte of a response does the request go out again, on a fresh connection, where whatever happens
// is the result.
func (c *Client) attemptHTTP1(ctx context.Context, t *target, r *Request, start, deadline time.Time) (Result, error) {
	if idle := t.pool.take(start, deadline); idle != nil {
		result, err := c.use(ctx, idle, t, r)
		if !errors.Is(err, errNoResponse) || ctx.Err() != nil || c.life.Err() != nil {
			return result, err
		}
		c.metrics.replaced.Inc()
	}
	fresh, err := c.dialHTTP1(ctx, t.pool, deadline)
	if errors.Is(err, errOnlyHTTP2) {
		t.pool.learn(protocolHTTP2)
		c.log.Info("receiver_speaks_only_http2", "receiver", t.pool.key.address)
		return c.attemptHTTP2(ctx, t, r, deadline)
	}
	if err != nil {
		return Result{}, err
	}
	result, err := c.use(ctx, fresh, t, r)
	if errors.Is(err, errNoResponse) && t.pool.tls != nil {
		t.pool.learn(protocolUnknown) // the next dial asks again what it speaks
	}
	return result, err
}

// use makes the exchange on a connection whose deadline is set, and puts it back or closes it.
func (c *Client) use(ctx context.Context, on *conn, t *target, r *Request) (Result, error) {
	x := exchanges.Get().(*exchange)
	defer x.recycle()
	// Registered after the deadline was set, which would undo an abort.
	release := context.AfterFunc(ctx, on.abort)
	result, reusable, err := x.roundTrip(on, t, r, c.userAgent)
	if !release() || on.aborted.Load() || !reusable {
		on.discard()
	} else {
		t.pool.put(on, time.Now())
	}
	return result, err
}

func (c *Client) dialHTTP1(ctx context.Context, p *pool, deadline time.Time) (*conn, error) {
	ctx, cancel := c.bound(ctx, deadline)
	defer cancel()
	fresh, err := c.dialer.dialHTTP1(ctx, p)
	c.metrics.dial(err)
	if err != nil {
		return nil, err
	}
	if err := fresh.SetDeadline(deadline); err != nil {
		fresh.discard()
		return nil, fail(ClassCanceled, "connect to "+p.key.address, err) // only a closed socket refuses a deadline
	}
	return fresh, nil
}

// dialHTTP2 is called by net/http, on a goroutine and with a context of its own, which ends when no request waits
// for the connection any more.
func (c *Client) dialHTTP2(ctx context.Context, p *pool) (net.Conn, error) {
	ctx, cancel := c.bound(ctx, time.Now().Add(catalog.MaxTimeout))
	defer cancel()
	fresh, err := c.dialer.dialHTTP2(ctx, p)
	c.metrics.dial(err)
	return fresh, err
}

func (c *Client) attemptHTTP2(ctx context.Context, t *target, r *Request, deadline time.Time) (Result, error) {
	ctx, cancel := c.bound(ctx, deadline)
	defer cancel()
	return t.pool.h2.roundTrip(ctx, t, r, c.userAgent, c.connIdle)
}

// bound is ctx with a deadline, ended by Close as well.
func (c *Client) bound(ctx context.Context, deadline time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	release := context.AfterFunc(c.life, cancel)
	return ctx, func() {
		release()
		cancel()
	}
}

// Close ends attempts under way with ClassCanceled, closes every connection and waits for the client's goroutine.
func (c *Client) Close() {
	c.end(errClientClosed)
	c.sockets.closeAll()
	var gone []*pool
	c.mu.Lock()
	for c.byUse.Len() > 0 {
		gone = c.forget(c.byUse.Back(), gone)
	}
	c.mu.Unlock()
	closePools(gone)
	c.sweeper.Wait()
}

func (c *Client) sweepUntilClosed() {
	tick := time.NewTicker(max(c.connIdle/sweepsPerIdle, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			c.sweep(now)
		case <-c.life.Done():
			return
		}
	}
}

// relieveEvery bounds how often all pools are gone through for want of sockets.
const relieveEvery = 100 * time.Millisecond

// relieve closes the idle connections of all pools, so that an endpoint without one can be reached.
func (c *Client) relieve() {
	now := time.Now()
	last := c.relief.Load()
	if now.UnixNano()-last < int64(relieveEvery) || !c.relief.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	c.mu.Lock()
	pools := slices.Collect(maps.Values(c.pools))
	c.mu.Unlock()
	for _, p := range pools {
		p.expire(now)
	}
}

// reserved headers are not the caller's: most frame the request, so that a receiver could be made to see two in one;
// the last two have effects in the libraries below.
var reserved = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Trailer", "TE",
	"Expect", "Keep-Alive", "Proxy-Connection", "Idempotency-Key", "Cookie"}

// checkHeaders refuses what must not be written, naming the header and never its value.
func checkHeaders(headers []Header) error {
	for _, h := range headers {
		if !httpguts.ValidHeaderFieldName(h.Name) {
			return fmt.Errorf("header name %q is not a token", h.Name)
		}
		if !httpguts.ValidHeaderFieldValue(h.Value) {
			return fmt.Errorf("value of header %s holds a control character", h.Name)
		}
		for _, name := range reserved {
			if len(name) == len(h.Name) && strings.EqualFold(name, h.Name) {
				return fmt.Errorf("header %s is not the caller's to set", name)
			}
		}
	}
	return nil
}
