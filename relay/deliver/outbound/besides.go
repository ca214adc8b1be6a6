package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"eventrelay/catalog"
)

// maxBesidesBytes bounds the body of an answer to HTTPClient: a token of 8 KiB, the most that servers take in a
// header, with room for everything around it.
const maxBesidesBytes = 64 << 10

// HTTPClient asks servers that an endpoint names besides its receiver, such as the one that issues its tokens. URL and
// addresses are vetted as an attempt's are, and the endpoint's TLS settings hold, except that its client certificate is
// for the receiver alone. Redirects are not followed, bodies end with an error after 64 KiB, and every request has a
// connection of its own: they are few, and nothing is shared that way. The request's context bounds it.
//
// Its errors name hosts and addresses, and *url.Error the URL as well, so they are not for the webhook's owner.
func (c *Client) HTTPClient(e *catalog.Endpoint) *http.Client {
	material := c.material(e)
	material.certificate, material.privateKey = "", catalog.Secret{}
	return &http.Client{
		Transport:     &besides{client: c, material: material, tenant: e.Tenant},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// CheckURL refuses a URL that attempts may not use, as it is written: net/http tidies a URL up before HTTPClient sees it.
func (c *Client) CheckURL(raw string) error {
	if _, err := c.policy.CheckURL(raw); err != nil {
		return fail(ClassBlocked, "check the URL", err)
	}
	return nil
}

// ClassOf is the class that a step of this package gave to an error, or ClassStatus when it is none of its errors.
func ClassOf(err error) Class {
	if f := (*failure)(nil); errors.As(err, &f) {
		return f.class
	}
	return ClassStatus
}

// besides is the transport of HTTPClient.
type besides struct {
	client   *Client
	material tlsMaterial
	tenant   string
}

// RoundTrip implements http.RoundTripper.
func (b *besides) RoundTrip(r *http.Request) (*http.Response, error) {
	u, err := b.client.policy.CheckURL(r.URL.String())
	if err != nil {
		return nil, fail(ClassBlocked, "check the URL", err)
	}
	p, err := b.client.newPool(u, b.material, b.tenant)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		fresh, err := b.client.dialer.dialHTTP1(ctx, p)
		if errors.Is(err, errOnlyHTTP2) {
			return nil, fail(ClassProtocol, "connect to "+p.key.address, err)
		}
		if err != nil {
			return nil, err
		}
		return fresh, nil
	}
	ctx, cancel := b.client.bound(r.Context(), time.Now().Add(catalog.MaxTimeout))
	transport := &http.Transport{
		Proxy:       nil, // the environment must not reroute requests around the guard
		DialContext: dial, DialTLSContext: dial,
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeaderBytes,
	}
	response, err := transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = &bounded{ReadCloser: response.Body, left: maxBesidesBytes, cancel: cancel}
	return response, nil
}

// bounded is a body that fails when it is too long, and ends its request's context when it is closed.
type bounded struct {
	io.ReadCloser
	left   int
	cancel context.CancelFunc
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fail(ClassProtocol, "read the body", fmt.Errorf("it is longer than %d bytes", maxBesidesBytes))
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// Close implements io.Closer.
func (b *bounded) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
