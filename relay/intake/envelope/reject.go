package envelope

import (
	"errors"
	"fmt"
)

// Reason classifies a rejection. The set is closed (see Reasons), so that it can label a metric.
type Reason string

// The reasons.
const (
	ReasonTooLarge      Reason = "too_large"      // the value exceeds the configured size
	ReasonTooDeep       Reason = "too_deep"       // the value nests deeper than MaxDepth
	ReasonNotJSON       Reason = "not_json"       // plain or structured, and not one JSON text in UTF-8
	ReasonNoEnvelope    Reason = "no_envelope"    // JSON that no mapping of its topic understands
	ReasonNoType        Reason = "no_type"        // the event does not say what kind it is
	ReasonBadHeader     Reason = "bad_header"     // a record header that is used is malformed
	ReasonBadAttribute  Reason = "bad_attribute"  // an attribute in the value is malformed, or all are too long together
	ReasonBadCloudEvent Reason = "bad_cloudevent" // breaks the CloudEvents specification, or a part that is not supported
)

// Reasons lists every Reason.
func Reasons() []Reason {
	return []Reason{
		ReasonTooLarge, ReasonTooDeep, ReasonNotJSON, ReasonNoEnvelope, ReasonNoType, ReasonBadHeader, ReasonBadAttribute,
		ReasonBadCloudEvent,
	}
}

// RejectError says why a record is not an event. It is final: the same record is rejected again however often it is
// read.
type RejectError struct {
	Reason Reason
	// Detail is for an operator. It names fields and limits and never quotes content of the record, which may be
	// personal data.
	Detail string
}

// Error implements error.
func (e *RejectError) Error() string { return string(e.Reason) + ": " + e.Detail }

// ErrTombstone is returned for a record without a value. It announces that a subject is gone and is no event: it is
// skipped and counted.
var ErrTombstone = errors.New("tombstone")

func reject(reason Reason, format string, args ...any) error {
	return &RejectError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
