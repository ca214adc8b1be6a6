package announce

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/relay/deliver/breaker"
)

const endpoint = "i/in_1"

func (f *failing) fail(uid string, at time.Time) []transition {
	return f.attemptFailed(endpoint, failure{webhook: webhook(uid), at: at, last: "status 503"})
}

func uids(list []transition) []string {
	var names []string
	for _, t := range list {
		names = append(names, fmt.Sprint(t.webhook.UID, " ", t.recovered))
	}
	slices.Sort(names)
	return names
}

func TestFailing_FromOpeningToClosing(t *testing.T) {
	f := newFailing()
	require.Empty(t, f.fail("old", start.Add(-2*failureCounts)))
	require.Empty(t, f.fail("a", start))
	require.Empty(t, f.fail("b", start))
	opened := f.changed(endpoint, breaker.Change{Seq: 1, From: breaker.Closed, To: breaker.Open, Reason: breaker.ReasonConsecutive}, start)
	require.Equal(t, []string{"a false", "b false"}, uids(opened), "those that took part")
	require.Equal(t, "status 503", opened[0].last)
	require.Equal(t, []string{"c false"}, uids(f.fail("c", start)), "what was under way when it opened")
	require.Empty(t, f.fail("c", start), "told once")

	require.Empty(t, f.changed(endpoint, breaker.Change{Seq: 2, From: breaker.Open, To: breaker.HalfOpen}, start))
	require.Empty(t, f.fail("a", start), "the probe")
	require.Empty(t, f.changed(endpoint, breaker.Change{Seq: 3, From: breaker.HalfOpen, To: breaker.Open}, start), "it stays open")
	require.Equal(t, []string{"a true", "b true", "c true"}, uids(f.changed(endpoint, breaker.Change{Seq: 5, To: breaker.Closed}, start)))
	require.Empty(t, f.changed(endpoint, breaker.Change{Seq: 4, To: breaker.Open}, start), "overtaken")
	require.Empty(t, f.changed("w/unknown", breaker.Change{Seq: 1, To: breaker.Closed}, start))
}

func TestFailing_OperatorsOpeningIsNoFailure(t *testing.T) {
	f := newFailing()
	f.fail("a", start)
	require.Empty(t, f.changed(endpoint, breaker.Change{Seq: 1, To: breaker.Open, Forced: breaker.Open}, start))
	require.Empty(t, f.changed(endpoint, breaker.Change{Seq: 2, To: breaker.Closed}, start))
}

func TestFailing_IsBoundedAndForgets(t *testing.T) {
	f := newFailing()
	for i := range 2 * failingMost {
		f.fail(fmt.Sprint(i), start)
	}
	require.Len(t, f.endpoints[endpoint].failed, failingMost)
	f.forget(start.Add(failureCounts))
	require.Len(t, f.endpoints, 1)
	f.forget(start.Add(failureCounts + time.Second))
	require.Empty(t, f.endpoints)

	f.fail("a", start)
	f.changed(endpoint, breaker.Change{Seq: 1, To: breaker.Open}, start)
	f.forget(start.Add(time.Hour))
	require.Len(t, f.endpoints, 1, "while it is open")
	f.forget(start.Add(failingKept + time.Second))
	require.Empty(t, f.endpoints)
	f.endpoints = make(map[string]*failingEndpoint, failingEndpoints)
	for i := range failingEndpoints {
		f.endpoints[fmt.Sprint(i)] = nil
	}
	require.Empty(t, f.fail("a", start))
	require.Empty(t, f.changed(endpoint, breaker.Change{Seq: 1, To: breaker.Open}, start))
	require.Len(t, f.endpoints, failingEndpoints)
}
