package divert

import (
	"context"
	"fmt"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// claimFor is how long a resend may take between the look at its state and the marker's acknowledgement before
// another may begin. The claim is advice: without it a delivery may be resent twice, which at-least-once allows.
const claimFor = 30 * time.Second

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

func (s *Store) claimKey(uid, deliveryID string) string {
	return s.o.RedisPrefix + "divert:claim:" + uid + "/" + deliveryID
}

func (s *Store) claim(ctx context.Context, uid, deliveryID string) (bool, error) {
	ok, err := s.o.Redis.SetNX(ctx, s.claimKey(uid, deliveryID), 1, claimFor).Result()
	if err != nil {
		return false, fmt.Errorf("%w: claim delivery %s: %w", ErrIndexBehind, shorten(deliveryID), err)
	}
	return ok, nil
}

// unclaim is best effort: a claim ends by itself. It does not end with the caller, who may have given up.
func (s *Store) unclaim(ctx context.Context, entries ...Entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	pipe := s.o.Redis.Pipeline()
	for _, e := range entries {
		pipe.Del(ctx, s.claimKey(e.UID, e.DeliveryID))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		s.log.Debug("divert_unclaim_failed", "claims", len(entries), "err", err)
	}
}
