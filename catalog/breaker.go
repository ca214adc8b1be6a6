package catalog

import (
	"net/url"
	"strings"
	"time"
)

// EndpointID is the public spelling of an endpoint's key: "w:<webhook uid>", "w:<webhook uid>:<office>" or
// "i:<integration uid>". It differs from the key in its separators only, so that it is one segment of a URL's path
// whenever the office is.
func EndpointID(key string) string { return strings.Replace(key, "/", ":", 2) }

// EndpointRef is what an endpoint's public spelling names.
type EndpointRef struct {
	// Integration is the uid of an integration, else Webhook and Office name a webhook, with the office of an override
	// that has a URL or credentials of its own.
	Integration     string
	Webhook, Office string
}

// ParseEndpointID reads the public spelling of an endpoint.
func ParseEndpointID(id string) (ref EndpointRef, ok bool) {
	kind, rest, _ := strings.Cut(id, ":")
	uid, office, overridden := strings.Cut(rest, ":")
	switch {
	case uid == "" || strings.Contains(uid, "/") || overridden && office == "":
		return EndpointRef{}, false
	case kind == "w":
		return EndpointRef{Webhook: uid, Office: office}, true
	case kind == "i" && !overridden:
		return EndpointRef{Integration: uid}, true
	}
	return EndpointRef{}, false
}

// Key is the endpoint's key, see Endpoint.
func (r EndpointRef) Key() string {
	switch {
	case r.Integration != "":
		return "i/" + r.Integration
	case r.Office != "":
		return "w/" + r.Webhook + "/" + r.Office
	default:
		return "w/" + r.Webhook
	}
}

// HasEndpoint reports whether the webhook has an endpoint of its own for that office, empty for the webhook's; see
// ResolveEndpoint.
func (w *Webhook) HasEndpoint(office string) bool {
	if office == "" {
		return w.Integration == ""
	}
	for i := range w.Overrides {
		if o := &w.Overrides[i]; o.Office == office {
			return o.URL != "" || o.Auth != nil
		}
	}
	return false
}

// BreakerState is what a breaker lets through: "closed", "half-open" or "open".
type BreakerState string

// The states that an operator may force.
const (
	BreakerOpen   BreakerState = "open"
	BreakerClosed BreakerState = "closed"
)

// ForcedBreaker is an operator's decision about the breaker of an endpoint, on every instance, until it is reset: open,
// nothing is attempted; closed, nothing opens it.
type ForcedBreaker struct {
	// Endpoint is the public spelling.
	Endpoint string       `json:"endpoint"`
	Tenant   string       `json:"tenant"`
	State    BreakerState `json:"state"`
	Since    time.Time    `json:"since"`
	// Reason is what the operator gave, for reading.
	Reason string `json:"reason,omitempty"`
}

// RecordUID is what the record of the decision is filed under: the endpoint without a slash, which an office may hold.
func (f *ForcedBreaker) RecordUID() string { return BreakerRecordUID(f.Endpoint) }

// BreakerRecordUID is RecordUID for an endpoint.
func BreakerRecordUID(endpoint string) string { return url.PathEscape(endpoint) }

// BreakerStatus is the breaker of one endpoint on one instance, with the hold that the receiver asked for.
type BreakerStatus struct {
	// Endpoint is the public spelling.
	Endpoint string       `json:"endpoint"`
	Tenant   string       `json:"tenant"`
	Instance string       `json:"instance"`
	State    BreakerState `json:"state"`
	Reason   string       `json:"reason,omitempty"`
	Since    time.Time    `json:"since"`
	// NextProbe is when the next attempt may be made while it is open; zero when only an operator ends that.
	NextProbe time.Time `json:"nextProbe,omitzero"`
	// Failures in a row, and openings since the endpoint last took its full concurrency.
	Failures int `json:"failures"`
	Openings int `json:"openings"`
	// Concurrency that the slow start allows now; 0 when there is none.
	Concurrency int `json:"concurrency,omitempty"`
	// HeldUntil is when the pause ends that the receiver asked for (Retry-After).
	HeldUntil time.Time `json:"heldUntil,omitzero"`
}
