package outbound

import (
	"container/list"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"eventrelay/catalog"
)

// tlsMaterial is everything of an endpoint that decides whom a TLS connection trusts and as whom it appears.
type tlsMaterial struct {
	caCert      string
	insecure    bool
	certificate string
	privateKey  catalog.Secret
}

// trustClass tells TLS material apart: connections of one class are never used for another. The tenant is part of it,
// so that no response that a receiver frames badly reaches another tenant's request on a connection that they share.
// The private key stands in it as its digest.
type trustClass struct {
	tenant      string
	caCert      string
	insecure    bool
	certificate string
	privateKey  [sha256.Size]byte
}

func (m tlsMaterial) class(tenant string) trustClass {
	c := trustClass{tenant: tenant, caCert: m.caCert, insecure: m.insecure, certificate: m.certificate}
	if m.privateKey.IsSet() { // hashing costs a microsecond: only where there is a key
		c.privateKey = sha256.Sum256([]byte(m.privateKey.Reveal()))
	}
	return c
}

// material of an endpoint. One that was stored while the operator allowed unverified certificates is verified when
// they are not allowed any more.
func (c *Client) material(e *catalog.Endpoint) tlsMaterial {
	m := tlsMaterial{caCert: e.TLS.CACert, insecure: e.TLS.InsecureSkipVerify && c.insecureTLS}
	if e.Auth.Type == catalog.AuthMTLS {
		m.certificate, m.privateKey = e.Auth.Certificate, e.Auth.PrivateKey
	}
	return m
}

// config is the client configuration for a host. HTTP/1.1 is what it offers; see dial.go for HTTP/2.
func (m tlsMaterial) config(host string) (*tls.Config, error) {
	c := &tls.Config{
		ServerName:         host,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{alpnHTTP1},
		InsecureSkipVerify: m.insecure, //nolint:gosec
		// Belongs to this trust class alone, as a resumed session brings its authentication with it.
		ClientSessionCache: tls.NewLRUClientSessionCache(sessionsPerPool),
	}
	if m.caCert != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool() // a system without certificates: only the endpoint's own counts
		}
		if !roots.AppendCertsFromPEM([]byte(m.caCert)) {
			return nil, errors.New("tls.caCert holds no usable PEM certificate")
		}
		c.RootCAs = roots
	}
	if m.certificate != "" || m.privateKey.IsSet() {
		pair, err := tls.X509KeyPair([]byte(m.certificate), []byte(m.privateKey.Reveal()))
		if err != nil {
			return nil, fmt.Errorf("auth.certificate and auth.privateKey: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// sessionsPerPool: one receiver, which may issue a ticket or two per connection.
const sessionsPerPool = 4

// targetKey holds all of an endpoint that a target depends on, so that an edited endpoint is another target.
type targetKey struct {
	url   string
	class trustClass
}

// target is a URL that passed the policy, in the form that a request needs, with the pool of its trust class.
type target struct {
	key        targetKey
	url        *url.URL
	requestURI string // path and query, as written
	pool       *pool
	used       time.Time // guarded by Client.mu
}

// target finds or makes the target of an endpoint. The policy is asked once for each: it does not change while the
// process runs, and what a name resolves to is vetted at every dial.
func (c *Client) target(e *catalog.Endpoint, now time.Time) (*target, error) {
	material := c.material(e)
	key := targetKey{url: e.URL, class: material.class(e.Tenant)}
	c.mu.Lock()
	if element, ok := c.targets[key]; ok {
		t := element.Value.(*target)
		t.used = now
		c.byUse.MoveToFront(element)
		c.mu.Unlock()
		return t, nil
	}
	c.mu.Unlock()

	u, err := c.policy.CheckURL(key.url)
	if err != nil {
		return nil, fail(ClassBlocked, "check the URL", err)
	}
	pool, err := c.newPool(u, material, e.Tenant)
	if err != nil {
		return nil, err
	}
	return c.remember(&target{key: key, url: u, requestURI: u.RequestURI(), pool: pool, used: now}), nil
}

func (c *Client) newPool(u *url.URL, material tlsMaterial, tenant string) (*pool, error) {
	p := &pool{host: u.Hostname(), port: u.Port(), budget: &c.budget}
	switch u.Scheme {
	case "http":
		material = tlsMaterial{} // nothing of it applies
	case "https":
		config, err := material.config(strings.TrimSuffix(p.host, "."))
		if err != nil {
			return nil, fail(ClassTLS, "prepare TLS for "+p.host, err)
		}
		p.tls = config
		p.h2 = &http2Client{dial: c.dialHTTP2, pool: p}
	default:
		return nil, fail(ClassBlocked, "check the URL", fmt.Errorf("scheme %q is neither https nor http", u.Scheme))
	}
	if p.port == "" {
		p.port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	p.key = poolKey{scheme: u.Scheme, address: net.JoinHostPort(p.host, p.port), class: material.class(tenant)}
	return p, nil
}

// remember adds a target that was just made, unless another attempt was faster, and forgets the one that was not
// used for longest when there are too many.
func (c *Client) remember(t *target) *target {
	var gone []*pool
	defer func() { closePools(gone) }()
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.targets[t.key]; ok {
		return element.Value.(*target)
	}
	if shared, ok := c.pools[t.pool.key]; ok {
		t.pool = shared
	} else {
		c.pools[t.pool.key] = t.pool
	}
	t.pool.targets++
	c.targets[t.key] = c.byUse.PushFront(t)
	for c.byUse.Len() > c.maxTargets {
		gone = c.forget(c.byUse.Back(), gone)
	}
	return t
}

// forget drops a target, and its pool with the last of the pool's targets, which is then among those that it
// returns, to be closed without mu. Attempts that hold the target end normally; their connections are closed instead
// of put back. Called with mu held.
func (c *Client) forget(element *list.Element, gone []*pool) []*pool {
	t := c.byUse.Remove(element).(*target)
	delete(c.targets, t.key)
	t.pool.targets--
	if t.pool.targets > 0 {
		return gone
	}
	delete(c.pools, t.pool.key)
	return append(gone, t.pool)
}

// closePools may wait for a peer that does not read: net/http says farewell to it.
func closePools(gone []*pool) {
	for _, p := range gone {
		p.close()
	}
}

// sweep closes idle connections and forgets idle targets.
func (c *Client) sweep(now time.Time) {
	var gone []*pool
	c.mu.Lock()
	for e := c.byUse.Back(); e != nil && now.Sub(e.Value.(*target).used) > targetIdle; e = c.byUse.Back() {
		gone = c.forget(e, gone)
	}
	pools := make([]*pool, 0, len(c.pools))
	for _, p := range c.pools {
		pools = append(pools, p)
	}
	c.mu.Unlock()
	closePools(gone)
	for _, p := range pools {
		p.expire(now.Add(-c.connIdle))
	}
}
