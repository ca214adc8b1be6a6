package catalog

import "slices"

// MatchReason says why an event goes to a webhook, or why not.
type MatchReason string

// The reasons, in the order in which they are looked for: the first that applies is given.
const (
	MatchDisabled  MatchReason = "disabled"        // the webhook is
	MatchNoPattern MatchReason = "no_pattern"      // none of events names the type
	MatchDomain    MatchReason = "domain"          // domains does not list the event's
	MatchOffice    MatchReason = "office_disabled" // the override of the event's office disables the webhook
	MatchFilter    MatchReason = "filter"          // the filter does not hold
	MatchError     MatchReason = "filter_error"    // the filter cannot be evaluated: diverted
	MatchSuspended MatchReason = "suspended"       // wanted, and diverted while the webhook is suspended
	MatchWanted    MatchReason = "matched"         // delivered
)

// Explanation is what becomes of an event for a webhook, and why.
type Explanation struct {
	Reason MatchReason
	// Pattern of events that names the type, once one does.
	Pattern string
	// Mismatch is set for MatchFilter, Err for MatchError.
	Mismatch *Mismatch
	Err      error
}

// Matches reports whether the webhook wants the event.
func (x Explanation) Matches() bool { return x.Reason == MatchWanted || x.Reason == MatchSuspended }

// Explain says what becomes of an event of the webhook's tenant. It decides as the index of relay/match does, by asking
// everything of this one webhook instead of looking up the few that an event can concern.
func (w *Webhook) Explain(s *Suspension, ev *Event) Explanation {
	if !w.Enabled {
		return Explanation{Reason: MatchDisabled}
	}
	x := Explanation{Pattern: w.patternFor(ev.Type)}
	switch {
	case x.Pattern == "":
		x.Reason = MatchNoPattern
	case len(w.Domains) > 0 && !slices.Contains(w.Domains, ev.Domain):
		x.Reason = MatchDomain
	case w.disablesOffice(ev.Office):
		x.Reason = MatchOffice
	default:
		x.Mismatch, x.Err = ExplainFilter(w.Filter, ev)
		switch {
		case x.Err != nil:
			x.Reason = MatchError
		case x.Mismatch != nil:
			x.Reason = MatchFilter
		case s != nil && s.Active:
			x.Reason = MatchSuspended
		default:
			x.Reason = MatchWanted
		}
	}
	return x
}

// patternFor is the first pattern that names an event type; empty when none does.
func (w *Webhook) patternFor(eventType string) string {
	for _, text := range w.Events {
		if p, err := ParsePattern(text); err == nil && p.Match(eventType) {
			return text
		}
	}
	return ""
}

func (w *Webhook) disablesOffice(office string) bool {
	return office != "" && slices.ContainsFunc(w.Overrides, func(o Override) bool {
		return o.Office == office && o.Enabled != nil && !*o.Enabled
	})
}
