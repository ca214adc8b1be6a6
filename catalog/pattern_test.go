package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParsePattern(t *testing.T) {
	for _, tt := range []struct {
		text string
		kind PatternKind
		key  string
	}{
		{"*", PatternAll, "*"},
		{"debt.paid", PatternExact, "debt.paid"},
		{"debt.*", PatternPrefix, "debt."},
		{"policy.quote.*", PatternPrefix, "policy.quote."},
		{"event.claim.created.v1", PatternExact, "event.claim.created.v1"},
		{"IncomingSms.received", PatternExact, "IncomingSms.received"},
		{"relay.webhook.suspended", PatternExact, "relay.webhook.suspended"},
		{strings.Repeat("x", MaxEventTypeLength), PatternExact, strings.Repeat("x", MaxEventTypeLength)},
	} {
		p, err := ParsePattern(tt.text)
		require.NoError(t, err, tt.text)
		require.Equal(t, tt.kind, p.Kind(), tt.text)
		require.Equal(t, tt.key, p.Text())
		require.Equal(t, tt.text, p.String())
	}
}

func TestParsePatternRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", "debt paid", "debt.paid\n", "débt.paid", "debt*", ".*", "*.paid", "debt.*.paid", "debt.**", "**",
		"relay.*", "relay.webhook.*", "debt.\x7f", strings.Repeat("x", MaxEventTypeLength+1),
	} {
		_, err := ParsePattern(text)
		require.ErrorIs(t, err, ErrPattern, "%q", text)
	}
}

func TestPatternMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, eventType string
		want               bool
	}{
		{"*", "debt.paid", true},
		{"*", "never.heard.of", true},
		{"*", "relay.webhook.suspended", false},
		{"debt.*", "debt.paid", true},
		{"debt.*", "debt.legal.protection", true},
		{"debt.*", "debt", false},
		{"debt.*", "debts.paid", false},
		{"debt.paid", "debt.paid", true},
		{"debt.paid", "debt.paid.v1", false}, // not a versioned type
		{"relay.webhook.suspended", "relay.webhook.suspended", true},
		{"event.claim.created", "event.claim.created.v1", true},
		{"event.claim.created", "event.claim.created.v12", true},
		{"event.claim.created", "event.claim.created.v", false},
		{"event.claim.created", "event.claim.created.vx", false},
		{"event.claim.created", "event.claim.created", true},
		{"event.claim.created.v1", "event.claim.created.v2", false},
		{"event.claim.*", "event.claim.created.v1", true},
	} {
		p, err := ParsePattern(tt.pattern)
		require.NoError(t, err)
		require.Equal(t, tt.want, p.Match(tt.eventType), "%s matches %s", tt.pattern, tt.eventType)
	}
	require.False(t, Pattern{}.Match(""), "the zero value matches nothing")
	require.False(t, Pattern{}.Match("debt.paid"))
}

func BenchmarkPatternMatch(b *testing.B) {
	p, err := ParsePattern("event.claim.created")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if !p.Match("event.claim.created.v1") {
			b.Fatal("no match")
		}
	}
}
