package catalog

import (
	"encoding/base64"
	"fmt"
	"time"
)

// Event is one fact that the platform published, decoded from one Kafka record. It is immutable once intake has
// built it: every delivery of the event shares the same value and the same bytes.
type Event struct {
	// ID is the event's own id, as the platform wrote it. Empty when the record carried none.
	ID string
	// Source is the CloudEvents source: who published. "/relay/<topic>" when the record named none.
	Source string
	// Type is the name of the kind of event, for example "debt.paid".
	Type string
	// Domain is that of the topic the record was read from: debt, payment, claim, policy, sms or one configured.
	Domain string
	// Tenant owns the event; DefaultTenant where the platform has one owner.
	Tenant string
	// Office is the sub-unit of the tenant, for per-office overrides. May be empty.
	Office string
	// Subject is what the event is about, for example a debt id. May be empty.
	Subject string
	// Time is when it happened: the event's own time, else the record's timestamp.
	Time time.Time
	// TimeText is the event's time exactly as it came, when it came as text; formats that promise the original use it.
	TimeText string
	// TransactionID groups the events of one transaction of the platform. May be empty.
	TransactionID string
	// User is who caused the event, as far as the platform said.
	User User
	// Livemode is false only when the platform said so (test data).
	Livemode bool
	// DataContentType is the media type of Data; empty means application/json.
	DataContentType string
	// Data is the payload as the platform wrote it: Raw[Span.From:Span.To], decoded where Span.Base64 says so. No
	// component may modify it.
	Data []byte
	// Raw is the whole value of the Kafka record.
	Raw []byte
	// Span places Data inside Raw, so that a retry record needs only Raw to restore it.
	Span Span
	// TraceParent and TraceState are the W3C trace context of the record, passed on to the receiver.
	TraceParent, TraceState string

	// problem is what keeps Data from being JSON, once it was checked; see CheckData.
	problem jsonProblem
	checked bool
}

// Span is a range of bytes inside the value of a record.
type Span struct {
	From, To int
	// Base64: the range is base64 text (CloudEvents data_base64); the data is what it decodes to.
	Base64 bool
}

// Extract gives the data at the span. It copies only when it has to decode.
func (s Span) Extract(raw []byte) ([]byte, error) {
	if s.From < 0 || s.To < s.From || s.To > len(raw) {
		return nil, fmt.Errorf("data at %d-%d of %d bytes", s.From, s.To, len(raw))
	}
	part := raw[s.From:s.To:s.To]
	if !s.Base64 {
		return part, nil
	}
	data, err := base64.StdEncoding.AppendDecode(nil, part)
	if err != nil {
		return nil, fmt.Errorf("data_base64: %w", err)
	}
	return data, nil
}

// User is the person or system that caused an event. All fields may be empty.
type User struct {
	Name       string `json:"name,omitempty"`
	ID         string `json:"id,omitempty"`
	PoolID     string `json:"poolId,omitempty"`
	Originator string `json:"originator,omitempty"`
}

// Known reports whether the platform said anything about the user.
func (u User) Known() bool { return u != User{} }

// DefaultTenant owns events and webhooks where the platform has one owner.
const DefaultTenant = "default"
