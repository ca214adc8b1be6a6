package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/relay/registry"
)

func TestKeyWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	a, b := "a:"+registry.GenerateMasterKey(), "b:"+registry.GenerateMasterKey()
	ring, err := registry.ParseKeyring(a)
	require.NoError(t, err)
	var (
		log     bytes.Buffer
		set     []string
		refusal error
	)
	w := newKeyWatch(path, ring, func(ring *registry.Keyring) error {
		set = append(set, ring.String())
		return refusal
	}, slog.New(slog.NewTextHandler(&log, nil)))
	said := func() string { defer log.Reset(); return log.String() }

	w.look(false)
	require.Contains(t, said(), "master_keys_not_replaced", "no file")
	w.look(false)
	require.Empty(t, said(), "said once")
	write(a)
	w.look(false)
	require.Empty(t, said(), "the same keys")
	w.look(true)
	require.Contains(t, said(), "master_keys_unchanged")
	for _, bad := range []string{"", "a:SENSITIVE", a + "," + a} {
		write(bad)
		w.look(false)
		text := said()
		require.Contains(t, text, "master_keys_not_replaced")
		require.Contains(t, text, `keys="master keys a"`)
		require.NotContains(t, text, "SENSITIVE")
	}
	require.Empty(t, set, "bad files change nothing")

	write(b + "\n" + a + "\n")
	w.look(false)
	require.Equal(t, []string{"master keys b, a"}, set)
	require.Contains(t, said(), "master_keys_replaced")
	w.look(false)
	require.Len(t, set, 1)

	refusal = fmt.Errorf("%w: in use", registry.ErrKeyInUse)
	write(b)
	for range 3 {
		w.look(false)
	}
	require.Len(t, set, 4, "tried again")
	require.Equal(t, 1, bytes.Count([]byte(said()), []byte("\n")), "said once")
	refusal = nil
	w.look(false)
	require.Contains(t, said(), "master_keys_replaced")
}

func TestKeyWatch_LooksAtSIGHUP(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	ring, err := registry.ParseKeyring(registry.GenerateMasterKey())
	require.NoError(t, err)
	set := make(chan *registry.Keyring, 1)
	w := newKeyWatch(path, ring, func(ring *registry.Keyring) error { set <- ring; return nil }, slog.New(slog.DiscardHandler))
	// The signal must not end the test process before or after the watch handles it.
	guard, release := ignoreHangup()
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.run(ctx) })
	defer running.Wait()
	defer cancel()
	next := registry.GenerateMasterKey()
	require.NoError(t, os.WriteFile(path, []byte(next), 0o600))
	want, err := registry.ParseKeyring(next)
	require.NoError(t, err)
	for {
		require.NoError(t, syscall.Kill(syscall.Getpid(), syscall.SIGHUP))
		<-guard
		select {
		case got := <-set:
			require.True(t, got.Equal(want))
			return
		case <-time.After(50 * time.Millisecond): // the watch had not begun
		}
	}
}

// ignoreHangup takes SIGHUP so that it does not end the process, and tells when one came.
func ignoreHangup() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 16)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
