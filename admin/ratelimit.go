package admin

import (
	"container/list"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"
)

// maxBuckets bounds the limiter's memory: some 200 B each, 2 MB in all. A client that makes others' buckets be
// forgotten gives them a full bucket again, which harms nobody.
const maxBuckets = 10_000

// limiter holds a token bucket for each key and each address, the least recently used forgotten first.
type limiter struct {
	rate  rate.Limit
	burst int

	mu      sync.Mutex // guards what follows
	buckets map[string]*list.Element
	recent  *list.List // of *bucket, the latest used in front
}

type bucket struct {
	name   string
	tokens *rate.Limiter
}

func newLimiter(perSecond float64, burst int) *limiter {
	l := &limiter{rate: rate.Limit(perSecond), burst: burst, buckets: make(map[string]*list.Element), recent: list.New()}
	if perSecond < 0 {
		l.rate = rate.Inf
	}
	return l
}

// allow takes a token of the bucket of that name, or says when there will be one.
func (l *limiter) allow(name string) error {
	now := time.Now()
	tokens := l.bucket(name)
	if tokens.AllowN(now, 1) {
		return nil
	}
	missing := math.Max(0, 1-tokens.TokensAt(now))
	wait := time.Duration(missing / float64(l.rate) * float64(time.Second))
	return &problem{kind: kindRateLimited, detail: "wait as long as Retry-After says", retryAfter: max(wait, time.Millisecond)}
}

func (l *limiter) bucket(name string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.buckets[name]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket).tokens
	}
	if l.recent.Len() >= maxBuckets {
		oldest := l.recent.Back()
		delete(l.buckets, l.recent.Remove(oldest).(*bucket).name)
	}
	b := &bucket{name: name, tokens: rate.NewLimiter(l.rate, l.burst)}
	l.buckets[name] = l.recent.PushFront(b)
	return b.tokens
}

// addressOf finds a client's address: that of the connection, or behind trusted proxies the last one in
// X-Forwarded-For that is not a trusted proxy itself.
func addressOf(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	// echo trusts private networks unless it is told not to.
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		p = p.Masked()
		trust = append(trust, echo.TrustIPRange(&net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// limitAddress bounds what one address may ask for, with or without a key.
func (s *Server) limitAddress(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.limits.allow("address:" + network(c.RealIP())); err != nil {
			return err
		}
		return next(c)
	}
}

// network is the address, or the /64 of an IPv6 address: whoever has one has the whole.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Unmap().Is4() {
		return address
	}
	prefix, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
