//go:build faults

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/relay/registry"
)

// TestMasterKey_RotatesWhileServing: two relays read the master keys from a file that changes under them while events
// flow: the new key comes behind the old one, then in front of it, then alone. Every delivery verifies, and relays that
// know only the new key start from what Redis has and from Kafka.
func TestMasterKey_RotatesWhileServing(t *testing.T) {
	f := newFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	path := filepath.Join(t.TempDir(), "master.keys")
	oldKey, newKey := "old:"+registry.GenerateMasterKey(), "new:"+registry.GenerateMasterKey()
	write := func(keys ...string) { require.NoError(t, os.WriteFile(path, []byte(strings.Join(keys, "\n")), 0o600)) }
	write(oldKey)
	start := func(name string) *relayProcess {
		p := f.start(t, name, "--master-key-file", path, "--log-level", "info")
		p.awaitReady(t, f)
		return p
	}
	fleet := []*relayProcess{start("a"), start("b")}
	l := f.register(t, fleet[0].api, o, receiver.URL, 60, 3)
	const events = 4000
	published := make(chan struct{})
	go func() { defer close(published); l.publish(0, events/2) }()

	replace := func(keys ...string) {
		write(keys...)
		for _, p := range fleet {
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
		}
	}
	metric := func(p *relayProcess, line string) func() bool {
		return func() bool {
			resp, err := http.Get(p.ops + "/metrics")
			if err != nil {
				return false
			}
			defer func() { _ = resp.Body.Close() }()
			text, err := io.ReadAll(resp.Body)
			return err == nil && strings.Contains(string(text), "\n"+line+"\n")
		}
	}
	said := func(n int, what string) func() bool {
		return func() bool {
			f.logs.mu.Lock()
			defer f.logs.mu.Unlock()
			return strings.Count(f.logs.b.String(), what) >= n
		}
	}
	replace(oldKey, newKey)
	require.Eventually(t, said(2, "master_keys_replaced"), time.Minute, 20*time.Millisecond, "%s", &f.logs)
	replace(newKey) // a mistake: the old one is in use
	require.Eventually(t, said(2, "master_keys_not_replaced"), time.Minute, 20*time.Millisecond, "%s", &f.logs)
	replace(newKey, oldKey)
	require.Eventually(t, said(4, "master_keys_replaced"), time.Minute, 20*time.Millisecond, "%s", &f.logs)
	require.Eventually(t, said(1, "registry_records_rewrapped"), time.Minute, 20*time.Millisecond, "%s", &f.logs)
	for _, p := range fleet {
		require.Eventually(t, metric(p, "relay_registry_records_under_old_key 0"), time.Minute, 20*time.Millisecond)
	}
	replace(newKey)
	require.Eventually(t, said(6, "master_keys_replaced"), time.Minute, 20*time.Millisecond, "%s", &f.logs)
	<-published
	for _, p := range fleet {
		p.stop(t, f)
	}

	if f.cache != nil {
		f.cache.FlushAll()
	}
	fleet = []*relayProcess{start("a"), start("b")} // from Kafka, then from the copy that the first one made
	for _, p := range fleet {
		require.True(t, metric(p, fmt.Sprintf("relay_registry_webhooks %d", len(l.names)))())
		require.True(t, metric(p, "relay_registry_quarantined 0")())
	}
	l.publish(events/2, events)
	l.settle(t, events)
}
