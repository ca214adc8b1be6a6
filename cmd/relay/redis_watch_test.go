package main

import (
	"testing"

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
