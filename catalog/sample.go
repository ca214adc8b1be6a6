package catalog

import (
	"slices"
	"time"
)

// TestEventPrefix begins the ids of events that are sent to try a webhook out.
const TestEventPrefix = "test_"

// SampleType is the first event type of the catalog that the webhook's patterns and domains want; its filter is not
// asked.
func (w *Webhook) SampleType() (EventType, bool) {
	for _, t := range EventTypes() {
		if w.patternFor(t.Name) != "" && (len(w.Domains) == 0 || slices.Contains(w.Domains, t.Domain)) {
			return t, true
		}
	}
	return EventType{}, false
}

// SampleEvent makes an event of a type, with its sample as data, that is recognised as a test by its id and source and
// by not being live.
func SampleEvent(t EventType, tenant, office string, now time.Time) *Event {
	data := []byte(t.Sample)
	if len(data) == 0 {
		data = []byte("{}")
	}
	return &Event{
		ID: NewUID(TestEventPrefix), Source: "/relay/test", Type: t.Name, Domain: t.Domain, Tenant: tenant, Office: office,
		Time: now.UTC().Truncate(time.Millisecond), DataContentType: "application/json", Data: data, Raw: data, Span: Span{To: len(data)},
	}
}
