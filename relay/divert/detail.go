package divert

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// readTries bounds how often an entry is looked up again because its record had moved: the same generation written
// twice leaves the later one.
const readTries = 3

// Get returns a diverted event with the event. ErrNotFound, ErrIndexBehind.
func (s *Store) Get(ctx context.Context, tenant, uid, deliveryID string) (Detail, error) {
	for range readTries {
		e, err := s.lookup(ctx, tenant, uid, deliveryID)
		if err != nil {
			return Detail{}, err
		}
		detail, err := s.read(ctx, e)
		if errors.Is(err, errMoved) {
			continue
		}
		return detail, err
	}
	return Detail{}, fmt.Errorf("%w: delivery %s of webhook %s", ErrNotFound, shorten(deliveryID), shorten(uid))
}

// Delete removes a diverted event and returns when that is durable. A resend that is under way may still be sent, and
// is diverted again if it fails.
func (s *Store) Delete(ctx context.Context, tenant, uid, deliveryID string) error {
	e, err := s.lookup(ctx, tenant, uid, deliveryID)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	s.chains.begin()
	s.remove(e.Key(), func() { close(done); s.chains.end() })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("delete diverted event %s: %w", e.Key(), context.Cause(ctx))
	}
}

// lookup finds the entry of a delivery in an index that covers everything diverted before the call.
func (s *Store) lookup(ctx context.Context, tenant, uid, deliveryID string) (Entry, error) {
	l, err := s.loadLayout(ctx)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrIndexBehind, err)
	}
	p := partitionOfUID(uid, l.partitions())
	covered, err := s.awaitIndexed(ctx, []int32{p})
	if err != nil {
		return Entry{}, err
	}
	e, ok, err := s.index.entry(ctx, p, covered[p], deliveryID)
	if err != nil {
		return Entry{}, err
	}
	if !ok || e.UID != uid || e.Tenant != tenant {
		return Entry{}, fmt.Errorf("%w: delivery %s of webhook %s", ErrNotFound, shorten(deliveryID), shorten(uid))
	}
	return e, nil
}

// errMoved: another record, or none, stands where the index said.
var errMoved = errors.New("diverted event has moved")

// read reads the record of an entry and verifies that it is the entry's.
func (s *Store) read(ctx context.Context, e Entry) (Detail, error) {
	var detail Detail
	err := errMoved
	if fetchErr := s.readAt(ctx, e.Partition, []int64{e.Offset}, func(rec *kgo.Record) error {
		detail, err = s.verify(rec, e)
		return nil
	}); fetchErr != nil {
		return Detail{}, fetchErr
	}
	return detail, err
}

// verify decodes a record if it is that of e.
func (s *Store) verify(rec *kgo.Record, e Entry) (Detail, error) {
	if string(rec.Key) != e.Key().String() || rec.Value == nil {
		return Detail{}, fmt.Errorf("%w: %s", errMoved, e.Key())
	}
	detail, err := DecodeDiverted(rec)
	if err != nil {
		return Detail{}, err
	}
	detail.Entry = e
	return detail, nil
}
