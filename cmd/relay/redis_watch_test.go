package main

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestEvictionOf(t *testing.T) {
	for info, want := range map[string]eviction{
		"# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n":     evictsNothing,
		"# Memory\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n":  evictsKeys,
		"# Memory\r\nmaxmemory:1000\r\nmaxmemory_policy:volatile-ttl\r\n": evictsKeys,
		"# Memory\r\nmaxmemory:1000\r\nmaxmemory_policy:noeviction\r\n":   evictsNothing,
		"# Clients\r\nconnected_clients:1\r\n":                            evictionUnknown,
		"":                                                                evictionUnknown,
	} {
		got, _ := evictionOf(info)
		require.Equal(t, want, got, info)
	}
}

// TestRedisWatch_SaysWhatToDo, once for each change.
func TestRedisWatch_SaysWhatToDo(t *testing.T) {
	var log bytes.Buffer
	w := newRedisWatch(nil, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	said := func(now look, err error) string {
		log.Reset()
		w.note(now, err)
		return log.String()
	}
	down := look{state: redisDown}
	require.Contains(t, said(down, errors.New("connection refused")), "check --redis ")
	require.Contains(t, log.String(), "connection refused")
	require.Empty(t, said(down, errors.New("connection refused")))
	require.Contains(t, said(look{state: redisDown, denied: true}, errors.New("WRONGPASS")), "--redis-password")
	require.Contains(t, said(look{state: evictsNothing, policy: "noeviction"}, nil), "redis_available")
	require.Contains(t, said(look{state: evictsKeys, policy: "allkeys-lru"}, nil), "maxmemory-policy noeviction")
	require.Empty(t, said(look{state: evictsNothing, policy: "noeviction"}, nil))
}

func TestRedisWatch_TellsARefusedPasswordFromAnAbsentServer(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("right")
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Password: "mistyped", DialerRetries: 1, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	w := newRedisWatch(client, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	now, err := w.ask(t.Context())
	require.Equal(t, look{state: redisDown, denied: true}, now)
	require.NotContains(t, err.Error(), "mistyped")
	server.Close()
	now, err = w.ask(t.Context())
	require.Equal(t, look{state: redisDown}, now)
	require.Error(t, err)
}
