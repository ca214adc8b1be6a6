package catalog

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWebhook_Explain(t *testing.T) {
	off, on := false, true
	active := &Suspension{Active: true}
	for _, c := range []struct {
		name       string
		edit       func(*Webhook)
		suspension *Suspension
		want       MatchReason
		pattern    string
	}{
		{"wanted", nil, nil, MatchWanted, "debt.*"},
		{"suspended", nil, active, MatchSuspended, "debt.*"},
		{"a suspension that has ended", nil, &Suspension{}, MatchWanted, "debt.*"},
		{"disabled wins over suspended", func(w *Webhook) { w.Enabled = false }, active, MatchDisabled, ""},
		{"no pattern", func(w *Webhook) { w.Events = []string{"payment.*"} }, nil, MatchNoPattern, ""},
		{"an empty list", func(w *Webhook) { w.Events = []string{} }, nil, MatchNoPattern, ""},
		{"the first pattern that names it", func(w *Webhook) { w.Events = []string{"x", "*", "debt.*"} }, nil, MatchWanted, "*"},
		{"another domain", func(w *Webhook) { w.Domains = []string{"sms"} }, nil, MatchDomain, "debt.*"},
		{"office disabled", func(w *Webhook) { w.Overrides = []Override{{Office: "north", Enabled: &off}} }, nil, MatchOffice, "debt.*"},
		{"office enabled", func(w *Webhook) { w.Overrides = []Override{{Office: "north", Enabled: &on}} }, nil, MatchWanted, "debt.*"},
		{"another office disabled", func(w *Webhook) { w.Overrides = []Override{{Office: "south", Enabled: &off}} }, nil, MatchWanted, "debt.*"},
		{"filter", func(w *Webhook) { w.Filter = json.RawMessage(`{"data":{"a":2}}`) }, active, MatchFilter, "debt.*"},
		{"filter cannot be evaluated", func(w *Webhook) { w.Filter = json.RawMessage(`{"$oops":1}`) }, nil, MatchError, "debt.*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &Webhook{Enabled: true, Events: []string{"debt.*"}}
			if c.edit != nil {
				c.edit(w)
			}
			x := w.Explain(c.suspension, &Event{Type: "debt.paid", Domain: "debt", Office: "north", Data: []byte(`{"a":1}`)})
			require.Equal(t, c.want, x.Reason)
			require.Equal(t, c.pattern, x.Pattern)
			require.Equal(t, c.want == MatchFilter, x.Mismatch != nil)
			require.Equal(t, c.want == MatchError, x.Err != nil)
			require.Equal(t, c.want == MatchWanted || c.want == MatchSuspended, x.Matches())
		})
	}
}

func ExampleWebhook_Explain() {
	w := &Webhook{Enabled: true, Events: []string{"debt.*"}, Filter: json.RawMessage(`{"data": {"amount": {"$gte": 100}}}`)}
	x := w.Explain(nil, &Event{Type: "debt.paid", Domain: "debt", Data: []byte(`{"amount": 12.50}`)})
	fmt.Println(x.Reason, x.Mismatch.Path, x.Mismatch.Operator, x.Mismatch.Operand, "found", x.Mismatch.Found)
	// Output: filter data.amount $gte 100 found 12.50
}
