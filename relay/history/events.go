package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay/intake/envelope"
)

// ErrNotFound: no record of a domain topic stands at these coordinates, or it holds no event.
var ErrNotFound = errors.New("no such record")

// RejectedError says why a record of a domain topic is not an event.
type RejectedError struct{ Reason, Detail string }

// Error implements error.
func (e *RejectedError) Error() string { return "rejected: " + e.Reason + ": " + e.Detail }

// Event reads one event back from its domain topic and decodes it as intake does. ErrNotFound, a *RejectedError,
// ErrUnavailable.
func (h *History) Event(ctx context.Context, topic string, partition int32, offset int64) (*catalog.Event, error) {
	if _, ok := h.o.Domains[topic]; !ok {
		return nil, fmt.Errorf("%w: topic %q is none that is read", ErrNotFound, topic)
	}
	rec, err := h.record(ctx, topic, partition, offset)
	if err != nil {
		return nil, err
	}
	ev, err := h.o.Decode(rec)
	var reject *envelope.RejectError
	switch {
	case errors.Is(err, envelope.ErrTombstone):
		return nil, fmt.Errorf("%w: %s/%d/%d is a tombstone", ErrNotFound, topic, partition, offset)
	case errors.As(err, &reject):
		return nil, &RejectedError{Reason: string(reject.Reason), Detail: reject.Detail}
	case err != nil:
		return nil, fmt.Errorf("decode %s/%d/%d: %w", topic, partition, offset, err)
	}
	return ev, nil
}

func (h *History) record(ctx context.Context, topic string, partition int32, offset int64) (*kgo.Record, error) {
	l, err := h.topics.layout(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	notFound := fmt.Errorf("%w: %s/%d/%d", ErrNotFound, topic, partition, offset)
	if partition < 0 || int(partition) >= len(l.leaders) {
		return nil, notFound
	}
	starts, ends, err := h.topics.bounds(ctx, l)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if offset < starts[partition] || offset >= ends[partition] {
		return nil, notFound
	}
	records, _, err := h.topics.fetch(ctx, l, partition, offset)
	if err != nil {
		return nil, fmt.Errorf("%w: read %s/%d at %d: %w", ErrUnavailable, topic, partition, offset, err)
	}
	for _, rec := range records {
		if rec.Offset == offset {
			return rec, nil
		}
	}
	return nil, notFound // compacted away, or of an aborted transaction
}
