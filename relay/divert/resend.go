package divert

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// ResendOne sends a diverted event again and returns when both writes are acknowledged: the delivery is then in the
// retry topics and listed as resending. ErrNotFound, ErrResending, ErrInactive, ErrIndexBehind.
func (s *Store) ResendOne(ctx context.Context, tenant, uid, deliveryID string) (Entry, error) {
	_, webhook, active := s.active(uid)
	if !active {
		return Entry{}, fmt.Errorf("resend of delivery %s: webhook %s: %w", shorten(deliveryID), shorten(uid), ErrInactive)
	}
	claimed, err := s.claim(ctx, uid, deliveryID)
	if err != nil {
		return Entry{}, err
	}
	if !claimed {
		return Entry{}, fmt.Errorf("delivery %s: %w", shorten(deliveryID), ErrResending)
	}
	// The claim comes before the look: whoever held it until now has its marker in the topic, and Get waits for that.
	detail, err := s.Get(ctx, tenant, uid, deliveryID)
	if err == nil && detail.State == StateResending {
		err = fmt.Errorf("delivery %s: %w", shorten(deliveryID), ErrResending)
	}
	if err != nil {
		s.unclaim(ctx, Entry{UID: uid, DeliveryID: deliveryID})
		return Entry{}, err
	}
	done := make(chan struct{})
	s.resend(detail, webhook, causeOperator, func() { close(done) })
	select {
	case <-done:
		s.unclaim(ctx, detail.Entry)
		detail.State = StateResending
		return detail.Entry, nil
	case <-ctx.Done(): // it goes on, so the claim stays
		return Entry{}, fmt.Errorf("resend of delivery %s: %w", shorten(deliveryID), context.Cause(ctx))
	}
}

// resend takes a claimed diverted event to the retry topics, then marks it, then calls acked. A crash between the two
// leaves it listed as diverted: it may be sent twice and cannot be lost.
func (s *Store) resend(detail Detail, webhook *catalog.Webhook, cause string, acked func()) {
	key := detail.Key()
	d := again(detail.Delivery, key, webhook.Retry.Schedule(), time.Now())
	s.metrics.resends.WithLabelValues(cause).Inc()
	s.chains.begin()
	s.o.Resend.Enqueue(d, 0, func() {
		s.chains.follow(func() {
			if s.reach(crashResent) != nil {
				return
			}
			s.writeAll(func() { acked(); s.chains.end() }, markerRecord(s.topic, key, time.Now()))
		})
	})
}

// again is the delivery of a resend: attempts go on counting, the schedule and the deadline begin anew.
func again(diverted *relay.Delivery, key Key, schedule []time.Duration, now time.Time) *relay.Delivery {
	d := *diverted
	d.DivertKey, d.Resends = key.String(), key.Generation+1
	d.Retries, d.Gone, d.Postponed = 0, false, 0
	d.Deadline = relay.DeadlineFor(schedule, now)
	return &d
}

// active returns the webhook if deliveries are sent to it now.
func (s *Store) active(uid string) (*catalog.Suspension, *catalog.Webhook, bool) {
	suspension, webhook := s.o.Webhooks.Suspension(uid)
	active := webhook != nil && webhook.Enabled && (suspension == nil || !suspension.Active)
	return suspension, webhook, active
}

// batch is what became of the entries of a resend.
type batch struct {
	resent     int // taken to the retry topics
	under      int // were being resent already
	unreadable int
}

// resendAll takes claimed entries of one webhook to the retry topics, in the order of their records, and returns when
// all writes are acknowledged. It looks at each once more, since what was selected may have been resolved or resent by
// another before it was claimed.
func (s *Store) resendAll(ctx context.Context, p int32, webhook *catalog.Webhook, entries []Entry, cause string) (batch, error) {
	var b batch
	current, err := s.lookAgain(ctx, p, entries)
	if err == nil {
		err = s.reach(crashLooked)
	}
	if err != nil {
		s.unclaim(ctx, entries...)
		return b, err
	}
	offsets := make([]int64, 0, len(current))
	at := make(map[int64]Entry, len(current))
	for _, e := range current {
		if e.State == StateResending {
			b.under++
			continue
		}
		offsets = append(offsets, e.Offset)
		at[e.Offset] = e
	}
	acks := make(chan struct{}, len(offsets)) // has room for all, so that no acknowledgement waits
	send := func(detail Detail) {
		b.resent++
		s.resend(detail, webhook, cause, func() { acks <- struct{}{} })
	}
	err = s.readAt(ctx, p, offsets, func(rec *kgo.Record) error {
		e, ok := at[rec.Offset]
		detail, err := s.verify(rec, e)
		switch {
		case !ok || errors.Is(err, errMoved):
			return nil // still in at: looked up below
		case err != nil:
			b.unreadable++
			s.unreadable(rec, err)
		default:
			send(detail)
		}
		delete(at, rec.Offset)
		return context.Cause(ctx)
	})
	for _, e := range at { // compacted away: the same generation stands further on, or nothing does any more
		if err != nil {
			break
		}
		detail, gone := s.Get(ctx, e.Tenant, e.UID, e.DeliveryID)
		switch {
		case errors.Is(gone, ErrNotFound):
		case errors.Is(gone, relay.ErrBadRecord):
			b.unreadable++
		case gone != nil:
			err = gone
		case detail.State == StateResending:
			b.under++
		default:
			send(detail)
		}
	}
	for range b.resent {
		select {
		case <-acks:
		case <-ctx.Done(): // the writes go on, so the claims stay
			return b, context.Cause(ctx)
		}
	}
	s.unclaim(ctx, entries...)
	return b, err
}

// unreadable counts and logs a record of a diverted event that cannot be read.
func (s *Store) unreadable(rec *kgo.Record, err error) {
	s.metrics.badRecords.Inc()
	s.log.Error("diverted_record_unreadable", "partition", rec.Partition, "offset", rec.Offset, "err", err)
}
