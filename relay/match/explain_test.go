package match

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// TestExplain_AgreesWithTheIndex makes webhooks and events at random, with damaged data among them, and compares what
// the index finds with what each webhook explains of itself.
func TestExplain_AgreesWithTheIndex(t *testing.T) {
	types := []string{"debt.paid", "debt.plan.made", "payment.made", "debt", "event.claim.created.v1", "relay.webhook.suspended"}
	patterns := []string{"*", "debt.*", "debt.plan.*", "payment.made", "debt", "event.claim.created", "relay.webhook.suspended"}
	domains := []string{"debt", "payment"}
	offices := []string{"", "north", "south"}
	filters := []string{``, `{}`, `{"office":"north"}`, `{"data":{"n":{"$gte":5}}}`, `{"$or":[{"domain":"debt"},{"data":{"tags":"a"}}]}`,
		`{"data":{"items":{"sku":{"$regex":"^x"},"qty":{"$lt":3}}}}`, `{"$not":{"data":{"n":5}}}`}
	datas := []string{`{"n":5}`, `{"n":4,"tags":["a","b"]}`, `{"items":[{"sku":"xy","qty":1}]}`, `{"n":`, ``}
	rng := rand.New(rand.NewPCG(11, 3))
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	reasons := map[catalog.MatchReason]int{}
	for range 200 {
		x := NewIndex()
		var hooks []*catalog.Webhook
		for i := range 20 {
			w := webhook(fmt.Sprintf("w%02d", i), func(w *catalog.Webhook) {
				w.Events = nil
				for range rng.IntN(3) {
					w.Events = append(w.Events, pick(patterns))
				}
				if rng.IntN(4) == 0 {
					w.Domains = []string{pick(domains)}
				}
				w.Enabled = rng.IntN(6) > 0
				w.Filter = json.RawMessage(pick(filters))
				if rng.IntN(3) == 0 {
					enabled := rng.IntN(2) == 0
					w.Overrides = []catalog.Override{{Office: "north", Enabled: &enabled}}
				}
			})
			hooks = append(hooks, w)
			require.NoError(t, x.Put(w, 1))
		}
		ev := event(pick(types), func(e *catalog.Event) { e.Domain, e.Office, e.Data = pick(domains), pick(offices), []byte(pick(datas)) })
		wanted, failed := map[string]bool{}, map[string]bool{}
		for c := x.Match(ev); ; {
			sub, err := c.Next()
			if sub == nil {
				break
			}
			wanted[sub.Webhook.UID], failed[sub.Webhook.UID] = err == nil, err != nil
		}
		for _, w := range hooks {
			got := w.Explain(nil, ev)
			reasons[got.Reason]++
			require.Equal(t, wanted[w.UID], got.Matches(), "%s: %+v for %+v", got.Reason, ev, w)
			require.Equal(t, failed[w.UID], got.Reason == catalog.MatchError, "%s: %+v for %+v", got.Reason, ev, w)
		}
	}
	for _, reason := range []catalog.MatchReason{catalog.MatchWanted, catalog.MatchDisabled, catalog.MatchNoPattern, catalog.MatchDomain,
		catalog.MatchOffice, catalog.MatchFilter, catalog.MatchError} {
		require.Positive(t, reasons[reason], "%s never occurred", reason)
	}
}
