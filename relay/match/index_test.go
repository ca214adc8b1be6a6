package match

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func webhook(uid string, edit func(*catalog.Webhook)) *catalog.Webhook {
	w := &catalog.Webhook{UID: uid, ID: uid, Tenant: catalog.DefaultTenant, Enabled: true, Events: []string{"*"}}
	if edit != nil {
		edit(w)
	}
	return w
}

func event(eventType string, edit func(*catalog.Event)) *catalog.Event {
	ev := &catalog.Event{ID: "e", Type: eventType, Domain: "debt", Tenant: catalog.DefaultTenant, Data: []byte(`{"amount": 12.50}`)}
	if edit != nil {
		edit(ev)
	}
	return ev
}

func found(t *testing.T, x *Index, ev *catalog.Event) []string {
	t.Helper()
	c := x.Match(ev)
	var uids []string
	for {
		sub, err := c.Next()
		require.NoError(t, err)
		if sub == nil {
			slices.Sort(uids)
			return uids
		}
		uids = append(uids, sub.Webhook.UID)
	}
}

func TestIndex_Match(t *testing.T) {
	off, on := false, true
	x := NewIndex()
	for uid, edit := range map[string]func(*catalog.Webhook){
		"all":      nil,
		"exact":    func(w *catalog.Webhook) { w.Events = []string{"debt.paid"} },
		"prefix":   func(w *catalog.Webhook) { w.Events = []string{"debt.*"} },
		"deeper":   func(w *catalog.Webhook) { w.Events = []string{"debt.plan.*"} },
		"twice":    func(w *catalog.Webhook) { w.Events = []string{"debt.paid", "debt.*", "debt.paid", "*"} },
		"none":     func(w *catalog.Webhook) { w.Events = []string{} },
		"disabled": func(w *catalog.Webhook) { w.Enabled = false },
		"domain":   func(w *catalog.Webhook) { w.Domains = []string{"payment", "sms"} },
		"filter":   func(w *catalog.Webhook) { w.Filter = json.RawMessage(`{"data":{"amount":{"$gte":12.5}}}`) },
		"nofilter": func(w *catalog.Webhook) { w.Filter = json.RawMessage(`{"data":{"amount":{"$gt":12.5}}}`) },
		"tenant":   func(w *catalog.Webhook) { w.Tenant = "other" },
		"office": func(w *catalog.Webhook) {
			w.Overrides = []catalog.Override{{Office: "north", Enabled: &off}, {Office: "south", Enabled: &on}}
		},
		"version": func(w *catalog.Webhook) { w.Events = []string{"event.claim.created"} },
		"both":    func(w *catalog.Webhook) { w.Events = []string{"event.claim.created.v1", "event.claim.created"} },
		"own":     func(w *catalog.Webhook) { w.Events = []string{"relay.webhook.suspended", "*"} },
	} {
		require.NoError(t, x.Put(webhook(uid, edit), 1))
	}
	for _, c := range []struct {
		name string
		ev   *catalog.Event
		want string
	}{
		{"exact type", event("debt.paid", nil), "all exact filter office own prefix twice"},
		{"two levels", event("debt.plan.made", nil), "all deeper filter office own prefix twice"},
		{"prefix needs its dot", event("debtor.made", nil), "all filter office own twice"},
		{"another domain", event("payment.made", func(e *catalog.Event) { e.Domain = "payment" }), "all domain filter office own twice"},
		{"office disabled", event("x", func(e *catalog.Event) { e.Office = "north" }), "all filter own twice"},
		{"office enabled", event("x", func(e *catalog.Event) { e.Office = "south" }), "all filter office own twice"},
		{"versioned type", event("event.claim.created.v1", nil), "all both filter office own twice version"},
		{"another version", event("event.claim.created.v2", nil), "all both filter office own twice version"},
		{"tenant", event("debt.paid", func(e *catalog.Event) { e.Tenant = "other" }), "tenant"},
		{"unknown tenant", event("debt.paid", func(e *catalog.Event) { e.Tenant = "nobody" }), ""},
		{"the relay's own, by exact name only", event("relay.webhook.suspended", nil), "own"},
		{"the relay's own, not by *", event("relay.webhook.failing", nil), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, strings.Join(found(t, x, c.ev), " "))
		})
	}
}

func TestIndex_FilterErrorIsNotANonMatch(t *testing.T) {
	x := NewIndex()
	require.NoError(t, x.Put(webhook("w", func(w *catalog.Webhook) { w.Filter = json.RawMessage(`{"data":{"a":1}}`) }), 1))
	c := x.Match(event("debt.paid", func(e *catalog.Event) { e.Data = []byte(`{"a":`) }))
	sub, err := c.Next()
	require.Error(t, err)
	require.Equal(t, "w", sub.Webhook.UID)
	sub, err = c.Next()
	require.NoError(t, err)
	require.Nil(t, sub)
}

func TestIndex_CandidatesStayAsTheyWereMatched(t *testing.T) {
	x := NewIndex()
	for i := range 10 {
		require.NoError(t, x.Put(webhook(fmt.Sprintf("w%d", i), nil), 1))
	}
	c := x.Match(event("debt.paid", nil))
	for i := range 10 {
		x.Remove(fmt.Sprintf("w%d", i))
	}
	for i := range 10 {
		require.NoError(t, x.Put(webhook(fmt.Sprintf("new%d", i), nil), 2))
	}
	for i := range 10 {
		sub, err := c.Next()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("w%d", i), sub.Webhook.UID)
	}
	sub, _ := c.Next()
	require.Nil(t, sub)
	require.Len(t, found(t, x, event("debt.paid", nil)), 10)
}

func TestIndex_BadWebhookKeepsFormerVersion(t *testing.T) {
	x := NewIndex()
	require.NoError(t, x.Put(webhook("w", nil), 1))
	require.Error(t, x.Put(webhook("w", func(w *catalog.Webhook) { w.Filter = json.RawMessage(`{"$oops":1}`) }), 2))
	require.Len(t, found(t, x, event("debt.paid", nil)), 1)
}

// TestIndex_AgainstModel edits webhooks at random and compares every match with a scan over all of them.
func TestIndex_AgainstModel(t *testing.T) {
	types := []string{"debt.paid", "debt.created", "debt.plan.made", "payment.made", "debt"}
	patterns := []string{"*", "debt.*", "debt.plan.*", "payment.*", "debt.paid", "debt.created", "debt", "payment.made"}
	rng := rand.New(rand.NewPCG(7, 7))
	x := NewIndex()
	model := map[string]*catalog.Webhook{}
	for step := range 3000 {
		uid := fmt.Sprintf("w%d", rng.IntN(30))
		if rng.IntN(3) == 0 {
			delete(model, uid)
			x.Remove(uid)
		} else {
			w := webhook(uid, func(w *catalog.Webhook) {
				w.Events = nil
				for range rng.IntN(4) {
					w.Events = append(w.Events, patterns[rng.IntN(len(patterns))])
				}
				w.Enabled = rng.IntN(5) > 0
			})
			model[uid] = w
			require.NoError(t, x.Put(w, int64(step)))
		}
		ev := event(types[rng.IntN(len(types))], nil)
		var want []string
		for uid, w := range model {
			if w.Enabled && slices.ContainsFunc(w.Events, func(text string) bool {
				p, err := catalog.ParsePattern(text)
				return err == nil && p.Match(ev.Type)
			}) {
				want = append(want, uid)
			}
		}
		slices.Sort(want)
		require.Equal(t, want, found(t, x, ev), "step %d", step)
	}
}

// TestIndex_RelayEventsByExactName: the relay's own events reach who names them, whatever domains it narrows to, and
// nobody else.
func TestIndex_RelayEventsByExactName(t *testing.T) {
	x := NewIndex()
	for uid, edit := range map[string]func(*catalog.Webhook){
		"exact":        func(w *catalog.Webhook) { w.Events = []string{"relay.webhook.suspended"} },
		"both":         func(w *catalog.Webhook) { w.Events = []string{"*", "relay.webhook.suspended"} },
		"narrowed":     func(w *catalog.Webhook) { w.Events, w.Domains = []string{"relay.webhook.suspended"}, []string{"debt"} },
		"all":          nil,
		"another":      func(w *catalog.Webhook) { w.Events = []string{"relay.webhook.unsuspended"} },
		"other tenant": func(w *catalog.Webhook) { w.Events, w.Tenant = []string{"relay.webhook.suspended"}, "other" },
	} {
		require.NoError(t, x.Put(webhook(uid, edit), 1))
	}
	require.Equal(t, []string{"both", "exact", "narrowed"}, found(t, x, event("relay.webhook.suspended", func(ev *catalog.Event) { ev.Domain = catalog.DomainRelay })))
	_, err := catalog.ParsePattern("relay.*")
	require.ErrorIs(t, err, catalog.ErrPattern)
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := NewIndex()
			for i := range n {
				if err := x.Put(webhook(fmt.Sprint(i), func(w *catalog.Webhook) { w.Events = []string{fmt.Sprintf("type.%d", i)} }), 1); err != nil {
					b.Fatal(err)
				}
			}
			ev := event("type.77", nil)
			b.ReportAllocs()
			for b.Loop() {
				c := x.Match(ev)
				if sub, _ := c.Next(); sub == nil {
					b.Fatal("no match")
				}
			}
		})
	}
}
