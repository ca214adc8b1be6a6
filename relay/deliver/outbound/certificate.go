package outbound

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// certificateTimeout bounds a check from the lookup of the name to the end of the handshake: half of the 10 s that an
// admin request may take, the other half being for the write that the check is made for.
const certificateTimeout = 5 * time.Second

// ErrUnchecked is matched by errors of CheckTLS that say nothing about the receiver: the resolver or the network of
// this machine is down, or the caller gave up.
var ErrUnchecked = errors.New("the certificate could not be checked")

// CheckTLS connects to the receiver of an https URL as an attempt would and makes the TLS handshake, so that the
// certificate is verified against the system's roots. Nothing is sent and the connection is closed. The check is
// vetted like an attempt, so that it reaches no address that the policy denies. An http URL that the policy allows has
// no certificate and passes.
//
// The error names hosts and addresses, so it is for the log, not for the webhook's owner.
func (c *Client) CheckTLS(ctx context.Context, rawURL string) error {
	err := c.checkTLS(ctx, rawURL, tlsMaterial{})
	if err == nil {
		return nil
	}
	ended := ctx.Err()
	if ended == nil {
		ended = c.life.Err()
	}
	if class := classify(err, ended); class == ClassInternal || class == ClassCanceled {
		return fmt.Errorf("%w: %w", ErrUnchecked, err)
	}
	return err
}

// checkTLS trusts what material adds to the system's roots.
func (c *Client) checkTLS(ctx context.Context, rawURL string, material tlsMaterial) error {
	u, err := c.policy.CheckURL(rawURL)
	if err != nil {
		return fail(ClassBlocked, "check the URL", err)
	}
	// A pool of its own, never remembered: the check must not use a session of the deliveries, nor they one of it.
	p, err := c.newPool(u, material, "")
	if err != nil || p.tls == nil {
		return err
	}
	ctx, cancel := c.bound(ctx, time.Now().Add(certificateTimeout))
	defer cancel()
	fresh, err := c.dialer.dialHTTP1(ctx, p)
	switch {
	case errors.Is(err, errOnlyHTTP2): // found by a handshake that succeeded
		return nil
	case err != nil:
		return err
	}
	fresh.discard()
	return nil
}
