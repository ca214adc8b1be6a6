package demo

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/intake/envelope"
	"eventrelay/testdata/events"
)

// Each webhook is valid, and gets some of the traffic; the flaky one not all of its domain.
func TestWebhooks_AreValidAndGetTraffic(t *testing.T) {
	decoder, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: relay.DefaultMaxEventBytes})
	require.NoError(t, err)
	var traffic []*catalog.Event
	for _, s := range events.All() {
		ev, err := decoder.Decode(&kgo.Record{Topic: s.Domain, Value: s.Value, Headers: s.Headers})
		require.NoError(t, err, s.Name)
		traffic = append(traffic, ev)
	}
	rules := catalog.Rules{Egress: catalog.Egress{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	for _, demo := range Webhooks() {
		text, err := json.Marshal(demo.resource("http://127.0.0.1:8082"+demo.path(), testSecret))
		require.NoError(t, err)
		var w catalog.Webhook
		require.NoError(t, json.Unmarshal(text, &w))
		w.Normalize()
		warnings, err := w.Validate(rules)
		require.NoError(t, err, demo.ID)
		require.Empty(t, warnings, demo.ID)

		matched, ofDomains := wanted(t, &w, traffic)
		require.NotZero(t, matched, demo.ID)
		if demo.ID == flakyID {
			require.Less(t, matched, ofDomains)
		}
	}
}

// wanted counts the events that a webhook matches, and those of all domains that it has matches in.
func wanted(t *testing.T, w *catalog.Webhook, traffic []*catalog.Event) (matched, ofDomains int) {
	t.Helper()
	filter, err := catalog.CompileFilter(w.Filter)
	require.NoError(t, err)
	domains := map[string]bool{}
	for _, ev := range traffic {
		typed := slices.ContainsFunc(w.Events, func(text string) bool {
			pattern, err := catalog.ParsePattern(text)
			require.NoError(t, err)
			return pattern.Match(ev.Type)
		})
		if !typed || len(w.Domains) > 0 && !slices.Contains(w.Domains, ev.Domain) {
			continue
		}
		ok, err := filter.Match(ev)
		require.NoError(t, err)
		if ok {
			matched++
			domains[ev.Domain] = true
		}
	}
	for _, ev := range traffic {
		if domains[ev.Domain] {
			ofDomains++
		}
	}
	return matched, ofDomains
}
