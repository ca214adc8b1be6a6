package events_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/testdata/events"
)

func TestEveryDomainHasSamples(t *testing.T) {
	perDomain := map[string]int{}
	for _, s := range events.All() {
		perDomain[s.Domain]++
		require.True(t, json.Valid(s.Value), s.Name)
		require.NotContains(t, string(s.Value), "{{", s.Name)
	}
	for _, domain := range []string{"debt", "payment", "claim", "policy", "sms"} {
		require.GreaterOrEqual(t, perDomain[domain], 3, domain)
	}
	require.Len(t, perDomain, 5)
}

func TestFreshSetsIDAndTime(t *testing.T) {
	now := time.Date(2026, time.December, 1, 1, 0, 0, 7e6, time.FixedZone("", 3600))
	for _, s := range events.All() {
		value := string(events.Fresh(s, "id-42", now))
		require.Contains(t, value, "id-42", s.Name)
		require.NotContains(t, value, "sample-1", s.Name)
		require.NotEqual(t, string(s.Value), value, s.Name)
		require.Regexp(t, `2026-12-01T00:00:00\.007Z|1796083200007`, value, s.Name)
	}
}

func TestByType(t *testing.T) {
	s, ok := events.ByType("debt.paid")
	require.True(t, ok)
	require.Equal(t, "debt/debt.paid.json", s.Name)
	_, ok = events.ByType("debt.unheard_of")
	require.False(t, ok)
}
