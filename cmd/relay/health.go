package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// healthCmd is `relay health`: it asks the relay beside it whether it is ready, for containers that have neither a
// shell nor curl. It takes the address from where the relay does, so that it needs no arguments there.
type healthCmd struct {
	OpsAddr string `name:"ops-addr" env:"RELAY_OPS_ADDR" yaml:"ops.addr" default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Where the relay's /readyz listens." group:"Operation"`
}

// check implements checker.
func (c *healthCmd) check(p *problems) { p.listenAddr("ops-addr", c.OpsAddr) }

const (
	healthTimeout = 5 * time.Second
	// healthBody bounds what is repeated of an answer, in bytes.
	healthBody = 4 << 10
)

// Run fails with the relay's own words when it is not ready.
func (c *healthCmd) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, healthTimeout, fmt.Errorf("no answer within %s", healthTimeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+dialable(c.OpsAddr)+"/readyz", http.NoBody)
	if err != nil {
		return fmt.Errorf("--ops-addr %s: %w", c.OpsAddr, err)
	}
	// A connection of its own, without the proxy that the environment may name: the relay is on this machine.
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("no relay answers: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, healthBody)) // the status says enough
		return fmt.Errorf("not ready (%d): %s", resp.StatusCode, strings.TrimSpace(string(body)))
	}
	return nil
}

// dialable turns an address to listen on into one to connect to: every interface is reached through loopback.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
