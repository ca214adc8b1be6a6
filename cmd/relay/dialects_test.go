package main

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/admin/dialect"
	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

// What a receiver's certificate lacks is told apart from what kept it from being looked at.
func TestCheckCertificate(t *testing.T) {
	receiver := httptest.NewUnstartedServer(http.NotFoundHandler())
	receiver.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of every handshake that fails
	receiver.StartTLS()
	defer receiver.Close()
	to, err := url.Parse(receiver.URL)
	require.NoError(t, err)
	n := node{Log: slog.New(slog.DiscardHandler), Egress: catalog.Egress{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	client := outbound.New(outbound.Options{Policy: n.Egress})
	defer client.Close()

	err = n.checkCertificate(t.Context(), client, to)
	require.Error(t, err, "nobody vouches for it")
	require.NotErrorIs(t, err, dialect.ErrUnchecked)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, n.checkCertificate(ended, client, to), dialect.ErrUnchecked)
}
