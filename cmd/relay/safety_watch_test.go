package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
)

// testBroker is where a test that audits commits runs.
type testBroker struct {
	name string
	// fleet starts there; cluster is nil on the real broker.
	fleet func(t *testing.T, delays ...time.Duration) (f *fleet, cluster *kfake.Cluster)
}

// brokers are the embedded one and, where there is one and the test need not hold its commits, the real one.
func brokers(held bool) []testBroker {
	list := []testBroker{{"embedded", newSafeFleet}}
	if os.Getenv("RELAY_TEST_KAFKA") != "" && !held {
		list = append(list, testBroker{"real", newAuditedFleet})
	}
	return list
}

// newAuditedFleet is a fleet on the real broker where there is one, else on an embedded one: audit takes either.
func newAuditedFleet(t *testing.T, delays ...time.Duration) (*fleet, *kfake.Cluster) {
	t.Helper()
	if os.Getenv("RELAY_TEST_KAFKA") != "" {
		return newFleet(t, delays...), nil
	}
	return newSafeFleet(t, delays...)
}

// watchEvery is how often the commits of a real broker are looked at: several times between two commits of a relay.
const watchEvery = 100 * time.Millisecond

// watch audits the commits of a real broker after they were stored, until the test ends. What is safe stays safe, so what
// is found to be nowhere was passed too early.
func (a *auditor) watch(t *testing.T) {
	a.watching = true
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				a.look(t.Context())
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

// look audits what was committed since it last looked. While the broker does not answer there is nothing to look at. What
// seems to be nowhere may have moved on while the topics were read, so they are read a second time before it is a fault.
func (a *auditor) look(ctx context.Context) {
	a.auditing.Lock()
	defer a.auditing.Unlock()
	for group := range a.groups {
		committed, moved, err := a.lookBack(ctx, group)
		if err != nil || !moved && len(a.doubts) == 0 || a.readToEnd(ctx) != nil {
			continue
		}
		a.doubts = append(a.doubts, a.suspects(group, committed)...)
		if len(a.doubts) > 0 && a.readToEnd(ctx) != nil {
			continue
		}
		for _, s := range a.doubts {
			if a.live[s.pair] == 0 && a.l.o.undelivered(s.pair) {
				a.fault("%s", s.text)
			}
		}
		a.doubts = nil
		a.mu.Lock()
		a.commits++
		a.mu.Unlock()
	}
}

// TestAuditor_FindsWhatACommitPasses: the auditor is no good if it passes everything. An event that no relay has seen is
// committed, and then the commit goes back.
func TestAuditor_FindsWhatACommitPasses(t *testing.T) {
	f, cluster := newAuditedFleet(t, time.Second)
	o := newOracle()
	l := &load{f: f, o: o, names: map[string]string{"wh": "hook"}, wanting: [][]string{{"hook"}}}
	l.publish(0, 2*len(f.domains)*domainPartitions)
	require.NoError(t, f.client.Flush(t.Context()))
	a := audit(t, f, cluster, l)
	ends, err := f.admin.ListEndOffsets(t.Context(), f.domains...)
	require.NoError(t, err)
	commit := func(by int64) {
		offsets := kadm.Offsets{}
		ends.Each(func(end kadm.ListedOffset) {
			if end.Offset > 0 {
				offsets.AddOffset(end.Topic, end.Partition, end.Offset-by, -1)
			}
		})
		require.NoError(t, f.admin.CommitAllOffsets(t.Context(), f.group, offsets))
	}
	found := func(fault string) func() bool {
		return func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return slices.ContainsFunc(a.faults, func(text string) bool { return strings.Contains(text, fault) })
		}
	}
	commit(0)
	require.Eventually(t, found("is nowhere"), 10*time.Second, 10*time.Millisecond)
	a.mu.Lock()
	a.faults = nil
	a.mu.Unlock()
	commit(1)
	if cluster != nil {
		commit(1) // what the broker has is looked at when the next one comes
	}
	require.Eventually(t, found("went back"), 10*time.Second, 10*time.Millisecond)
}
