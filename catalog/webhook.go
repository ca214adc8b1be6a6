package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Webhook is a subscription: which events, which filter, where to, in what format, what on failure. It is the
// canonical resource whichever dialect made it; field names are the API's (see the OpenAPI document).
//
// A Webhook held by a snapshot is immutable: change a Clone.
type Webhook struct {
	// ID is what the owner calls it: any UTF-8 up to 256 bytes, unique per tenant and platform, renameable.
	ID string `json:"id"`
	// UID is generated once and never changes; it keys every record, lane, index and delivery.
	UID string `json:"uid"`
	// Tenant owns the webhook. Not part of the API's resource: it follows from the key.
	Tenant string `json:"tenant"`
	// Platform is the dialect that made it.
	Platform    Platform        `json:"platform"`
	DisplayName string          `json:"displayName,omitempty"`
	Description string          `json:"description,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`

	// Enabled false: events are not kept and pending deliveries are cancelled; wins over suspension.
	Enabled bool `json:"enabled"`
	// Events are patterns: exact, "prefix.*", "*". Empty matches nothing.
	Events []string `json:"events"`
	// Domains narrows; empty means all.
	Domains []string `json:"domains,omitempty"`
	// Filter as the client wrote it; see CompileFilter. Empty or null means none.
	Filter json.RawMessage `json:"filter,omitempty"`

	// URL is the inline endpoint; Integration names a shared one instead. Exactly one is set.
	URL         string `json:"url,omitempty"`
	Integration string `json:"integration,omitempty"`
	Format      Format `json:"format"`
	// Version of the format, where it has versions (see FormatVersions); empty means the newest.
	Version string            `json:"version,omitempty"`
	Auth    Auth              `json:"auth"`
	Headers map[string]string `json:"headers,omitempty"`
	Signing Signing           `json:"signing"`
	TLS     TLS               `json:"tls"`

	Retry           Retry           `json:"retry"`
	FailureHandling FailureHandling `json:"failureHandling"`
	Alert           *Alert          `json:"alert,omitempty"`
	Overrides       []Override      `json:"overrides,omitempty"`
	Delivery        DeliveryLimits  `json:"delivery"`

	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Revision counts the writes of this webhook from 1; it is also the ETag.
	Revision int64 `json:"revision"`
	// Fingerprint of the request that made it under an Idempotency-Key, which tells a repeat from another request
	// under the same key. Not part of the API's resource.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Request is a digest of that request's tenant, operation and key, by which its repeat finds what it made.
	Request string `json:"request,omitempty"`
}

// Platform is the dialect that made a webhook.
type Platform string

// The platforms. PlatformV1 is the canonical API.
const (
	PlatformV1        Platform = "v1"
	PlatformOphelos   Platform = "ophelos"
	PlatformSocotra   Platform = "socotra"
	PlatformOcelot    Platform = "ocelot"
	PlatformDonutwork Platform = "donutwork"
	PlatformReceeve   Platform = "receeve"
)

var platforms = []Platform{PlatformV1, PlatformOphelos, PlatformSocotra, PlatformOcelot, PlatformDonutwork, PlatformReceeve}

// Format is the shape of the request body that a webhook asks for.
type Format string

// The payload formats; relay/payload encodes them.
const (
	FormatStandard          Format = "standard"
	FormatCloudEvents       Format = "cloudevents"
	FormatCloudEventsBinary Format = "cloudevents-binary"
	FormatRaw               Format = "raw"
	FormatOphelos           Format = "ophelos"
	FormatSocotra           Format = "socotra"
	FormatOcelot            Format = "ocelot"
	FormatDonutwork         Format = "donutwork"
	FormatReceeve           Format = "receeve"
)

// Retry is when a failed delivery is tried again: a named schedule or one of its own.
// JSON: a string ("none", "one", "three", "standard") or {"schedule": ["5s", …]}.
type Retry struct {
	Name   string          // empty when Custom is set
	Custom []time.Duration // waits between attempts
}

// RetryStandard is the default schedule, about 75 h in all (Standard Webhooks' recommendation).
var RetryStandard = Retry{Name: "standard"}

var namedSchedules = map[string][]time.Duration{
	"none":  {},
	"one":   {5 * time.Second},
	"three": {5 * time.Second, 30 * time.Second, 2 * time.Minute},
	"standard": {5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour},
}

// Schedule returns the waits between attempts; its length is the number of retries.
func (r Retry) Schedule() []time.Duration {
	if r.Name == "" {
		return r.Custom
	}
	return namedSchedules[r.Name]
}

// MarshalJSON writes the API's form.
func (r Retry) MarshalJSON() ([]byte, error) {
	if r.Name != "" {
		return json.Marshal(r.Name)
	}
	texts := make([]string, len(r.Custom))
	for i, d := range r.Custom {
		texts[i] = d.String()
	}
	return json.Marshal(map[string][]string{"schedule": texts})
}

// UnmarshalJSON reads the API's form; an unknown name or an unparsable duration is an error that names it.
func (r *Retry) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if name, ok := jsonText(b); ok {
		if _, ok := namedSchedules[name]; !ok {
			return fmt.Errorf("retry %q is not one of none, one, three, standard", name)
		}
		*r = Retry{Name: name}
		return nil
	}
	var custom struct {
		Schedule []string `json:"schedule"`
	}
	if err := json.Unmarshal(b, &custom); err != nil {
		return fmt.Errorf("retry is neither a name nor {\"schedule\": […]}: %w", err)
	}
	r.Name, r.Custom = "", make([]time.Duration, len(custom.Schedule))
	for i, text := range custom.Schedule {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("retry.schedule[%d]: %w", i, err)
		}
		r.Custom[i] = d
	}
	return nil
}

// FailureMode is what becomes of a delivery that is given up.
type FailureMode string

// The failure modes: drop it (the attempt log keeps the trace), keep it for an operator, or keep it and suspend
// the webhook.
const (
	FailureNone    FailureMode = "none"
	FailureDivert  FailureMode = "divert"
	FailureSuspend FailureMode = "suspend"
)

// FailureHandling says what becomes of a delivery whose retries are spent.
type FailureHandling struct {
	// Mode applies to the failures that the two fields below name.
	Mode FailureMode `json:"mode"`
	// ActOnStatusCodes are codes ("503") and classes ("4xx").
	ActOnStatusCodes []string `json:"actOnStatusCodes"`
	// ActOnTimeout covers timeouts and everything that never got a status, the deadline included.
	ActOnTimeout bool `json:"actOnTimeout"`
	// Otherwise applies to failures that are not named: FailureDivert or FailureNone.
	Otherwise FailureMode `json:"otherwise"`
}

// DefaultFailureHandling diverts every failure.
func DefaultFailureHandling() FailureHandling {
	return FailureHandling{Mode: FailureDivert, ActOnStatusCodes: []string{"4xx", "5xx"}, ActOnTimeout: true, Otherwise: FailureDivert}
}

// ModeFor decides for a final failure: status is the HTTP status, 0 when there was none (timeout, connect, TLS,
// DNS, blocked, deadline).
func (f FailureHandling) ModeFor(status int) FailureMode {
	if status == 0 {
		if f.ActOnTimeout {
			return f.Mode
		}
		return f.Otherwise
	}
	code, class := fmt.Sprintf("%03d", status), fmt.Sprintf("%dxx", status/100)
	for _, named := range f.ActOnStatusCodes {
		if named == code || named == class {
			return f.Mode
		}
	}
	return f.Otherwise
}

// Alert names who is told of deliveries that were given up.
type Alert struct {
	Integration string `json:"integration"`
}

// Override replaces parts of the endpoint for the events of one office. A nil field keeps the webhook's own.
type Override struct {
	Office  string            `json:"office"`
	URL     string            `json:"url,omitempty"`
	Auth    *Auth             `json:"auth,omitempty"`
	Enabled *bool             `json:"enabled,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
}

// DeliveryLimits bound what one endpoint may cost.
type DeliveryLimits struct {
	// Timeout of one attempt, from dial to the end of the body. Default 15 s, at most 30 s.
	Timeout Duration `json:"timeout"`
	// Concurrency is how many attempts may be under way at once. Default 8.
	Concurrency int `json:"concurrency"`
	// RateLimit is attempts per second; 0 means none.
	RateLimit float64 `json:"rateLimit,omitempty"`
}

// Bounds of DeliveryLimits.
const (
	DefaultTimeout     = 15 * time.Second
	MaxTimeout         = 30 * time.Second
	DefaultConcurrency = 8
	MaxConcurrency     = 1024
)

// Duration is a time.Duration whose JSON is text ("15s").
type Duration time.Duration

// MarshalJSON writes Go's text form.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads Go's text form.
func (d *Duration) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	text, ok := jsonText(b)
	if !ok {
		return fmt.Errorf("a duration is text such as \"15s\", not %.20s", b)
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	*d = Duration(parsed)
	return nil
}

// Suspension is the state of a webhook that is, or was, suspended. It is a record of its own, so that suspending
// never races with an edit of the webhook.
type Suspension struct {
	UID    string `json:"uid"`
	Tenant string `json:"tenant"`
	// Epoch counts suspensions from 1. A delivery diverted while suspended is stamped with it.
	Epoch int64 `json:"epoch"`
	// Active: the epoch has not ended.
	Active bool      `json:"active"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// LastFailure says what led to it, for reading.
	LastFailure string `json:"lastFailure,omitempty"`
	// EventType is that of the delivery that led to it; empty when an operator suspended the webhook.
	EventType string `json:"eventType,omitempty"`
	// Kept lists ended epochs whose diverted events stay diverted (unsuspended with resend: false). All other
	// ended epochs are drained.
	Kept []int64 `json:"kept,omitempty"`
}

// Drains reports whether deliveries diverted in an epoch are to be sent on now.
func (s *Suspension) Drains(epoch int64) bool {
	if s == nil || s.Active || epoch > s.Epoch {
		return false
	}
	for _, kept := range s.Kept {
		if kept == epoch {
			return false
		}
	}
	return true
}

// Clone returns a copy that may be changed without touching the receiver. An empty list stays an empty list and does
// not become an absent one: no events and the default events are different things.
func (w *Webhook) Clone() *Webhook {
	c := *w
	c.Metadata = slices.Clone(w.Metadata)
	c.Events = slices.Clone(w.Events)
	c.Domains = slices.Clone(w.Domains)
	c.Filter = slices.Clone(w.Filter)
	c.Headers = cloneMap(w.Headers)
	c.Auth = w.Auth.clone()
	c.Signing.Secrets = slices.Clone(w.Signing.Secrets)
	c.Retry.Custom = slices.Clone(w.Retry.Custom)
	c.FailureHandling.ActOnStatusCodes = slices.Clone(w.FailureHandling.ActOnStatusCodes)
	if w.Alert != nil {
		alert := *w.Alert
		c.Alert = &alert
	}
	c.Overrides = slices.Clone(w.Overrides)
	for i := range c.Overrides {
		o := &c.Overrides[i]
		o.Headers = cloneMap(o.Headers)
		if o.Auth != nil {
			auth := o.Auth.clone()
			o.Auth = &auth
		}
		if o.Enabled != nil {
			enabled := *o.Enabled
			o.Enabled = &enabled
		}
	}
	return &c
}

func cloneMap(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}
