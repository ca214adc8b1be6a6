// Package envelope reads how events come in: it turns the value and headers of one Kafka record into a
// catalog.Event, or says why it cannot.
//
// It is pure: no I/O, no goroutine, no clock, no state besides the immutable Decoder, which any number of goroutines
// may use. It does not count, log or write rejected records; the caller does, by the Reason of the RejectError. It
// does not consult the catalog of event types: a type that nobody lists is still an event.
//
// # Three ways in
//
//   - CloudEvents, structured mode: content-type application/cloudevents+json, everything in the value.
//   - CloudEvents, binary mode: a ce_type (or ce_specversion) header; the value is the data, whatever it is.
//   - Plain JSON: an ordered list of Mappings, each tried by its required keys; the first that fits is used.
//
// # What holds for every accepted event
//
//   - Data equals Span.Extract(Raw), and Raw is the value of the record: bytes are placed, never re-encoded, so that
//     number texts, key order, white space and escapes reach the receiver as the platform wrote them.
//   - Every attribute is UTF-8 without control characters, at most MaxAttributeBytes long, and all of them together
//     fit into the headers of the relay's own records (MaxAttributesBytes).
//   - Attribute texts are copies: an event type kept as a map key or metric label does not keep a fetch buffer alive.
//   - Time can be written as RFC 3339 and read back.
//   - The value nests no deeper than MaxDepth, so that whoever parses it recursively later on cannot be made to
//     exhaust a stack.
//
// Where a name appears twice, in the headers or in the envelope, the first one wins; an empty header counts as absent.
//
// Read decoder.go first, then headers.go, cloudevents.go and plain.go (the three ways), mapping.go and platforms.go
// (what plain JSON may look like), document.go (where things are in the value), and attributes.go, timestamp.go and
// nesting.go (what is refused).
package envelope
