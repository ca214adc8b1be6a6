package embedded

import (
	"context"

	"github.com/alicebob/miniredis/v2"
)

// Redis is a Redis inside this process, in memory: like any Redis of the relay it is a cache, and starts empty.
type Redis struct {
	server *miniredis.Miniredis
	addr   string
}

// StartRedis listens on addr ("127.0.0.1:6379"). Keys expire by the wall clock.
func StartRedis(ctx context.Context, addr string) (*Redis, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	server := miniredis.NewMiniRedis()
	// Expiry follows the clock at every command; without this a TTL never runs out. It needs no ticker of ours.
	server.ClockTTL(true)
	if err := server.StartAddr(addr); err != nil {
		return nil, &AddressError{Service: "Redis", Addr: addr, Flag: "--redis-addr", Err: err}
	}
	return &Redis{server: server, addr: server.Addr()}, nil
}

// Addr is where clients connect.
func (r *Redis) Addr() string { return r.addr }

// Close stops serving and drops everything. It may be called more than once.
func (r *Redis) Close() { r.server.Close() }
