package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"eventrelay/admin/dialect"
	"eventrelay/catalog"
	"eventrelay/relay/deliver"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
	"eventrelay/relay/registry"
)

// dialects are the platforms' APIs that the admin server speaks.
func (n node) dialects(hooks *registry.Registry, diverted *divert.Store, client *outbound.Client) []dialect.Dialect {
	s := dialect.Services{
		Registry: hooks, Diverted: diverted, Rules: catalog.Rules{Egress: n.Egress, AuthTypes: deliver.AuthTypes()},
		CertificateCheck: func(ctx context.Context, u *url.URL) error { return n.checkCertificate(ctx, client, u) },
	}
	return dialect.All(s)
}

// checkCertificate makes the handshake that deliveries would make. That it could not be tried is the operator's to know;
// what is wrong with a certificate is told to the client alone.
func (n node) checkCertificate(ctx context.Context, client *outbound.Client, u *url.URL) error {
	err := client.CheckTLS(ctx, u.String())
	if errors.Is(err, outbound.ErrUnchecked) {
		if ctx.Err() == nil {
			n.Log.Warn("certificate_unchecked", "host", u.Hostname(), "err", err, "hint", "look at this machine's resolver and network")
		}
		return fmt.Errorf("%w: %w", dialect.ErrUnchecked, err)
	}
	return err
}
