//go:build faults

package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRow78_NoFilesLeft: a relay that may open few files cannot connect to all endpoints at once. That is not the
// endpoints' fault: no breaker opens and no attempt is spent; when the burst is over, everything has arrived.
func TestRow78_NoFilesLeft(t *testing.T) {
	const (
		files    = 256
		webhooks = 120
		events   = 300
	)
	f := newFleet(t, time.Second)
	f.timeout = 30 * time.Second
	f.env = []string{"TEST_NOFILE=256"}
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	p := f.start(t, "one", "--log-level", "info")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, webhooks, 3) // 40 endpoints want each event, with eight connections each
	idle := p.idleGoroutines(t)
	o.served.Store(true) // the endpoints do nothing wrong but wait
	resume := o.hang()
	l.publish(0, events)
	require.Eventually(t, func() bool {
		// Whoever watches may get no connection either: the relay goes on all the same.
		resp, err := http.Get(p.ops + "/metrics")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return f.logs.contains("too many open files")
	}, 30*time.Second, 50*time.Millisecond, "all files are used:\n%s", &f.logs)
	resume()
	v := l.settle(t, events)
	require.False(t, f.logs.contains("msg=breaker"), "a breaker opened for what was our own fault:\n%s", &f.logs)
	f.env = nil
	l.recovered(t, events, events+100, idle, p)
	require.Less(t, files, webhooks*8)
	t.Logf("%d pairs, %d attempts, %d duplicates", v.owed, v.attempts, v.duplicates)
}
