package divert

import (
	"context"
	"time"
)

const (
	// expireStep bounds the entries and tenants that one script looks at, a few milliseconds of Redis' time.
	expireStep = 500
	// expireMost is how many entries expire at one tick, so that drains and jobs wait for a second at most.
	expireMost = 10_000
)

// expiry adds up what expired of one webhook at a tick.
type expiry struct {
	count  int
	oldest time.Time
}

// expireAll removes what is older than the retention. It is never silent: each is counted by reason, each webhook is
// announced, and what one look removes is one line in the log. Entries that are being resent are left alone: they end
// with their delivery. A crash between the tombstones and the announcement leaves those unannounced.
func (w *sweeper) expireAll(ctx context.Context, partitions []int32) error {
	s, began := w.s, time.Now()
	covered, err := s.awaitIndexed(ctx, partitions)
	if err != nil {
		return err
	}
	byUID := map[string]*expiry{}
	left := expireMost
	for _, p := range partitions {
		if held, lockErr := w.lock(ctx); lockErr != nil || !held {
			err = lockErr
			left = 0
		}
		if left > 0 && err == nil {
			err = s.expirePartition(ctx, p, covered[p], began.Add(-s.o.Retention), &left, byUID)
		}
	}
	s.announceExpired(byUID)
	if err == nil && left > 0 {
		w.expired = began
	}
	return err
}

// expirePartition removes what was diverted before a time, at most left of it, and adds it to byUID.
func (s *Store) expirePartition(ctx context.Context, p int32, covered int64, before time.Time, left *int, byUID map[string]*expiry) error {
	from := "-"
	for from != "" && *left > 0 && ctx.Err() == nil {
		entries, next, err := s.index.older(ctx, p, covered, before, from, min(expireStep, *left))
		if err != nil {
			return err
		}
		from = next
		plain := entries[:0]
		for _, e := range entries {
			if e.State != StateResending {
				plain = append(plain, e)
			}
		}
		// A claim keeps a resend from beginning between this look and the tombstone.
		if plain, err = s.claimAll(ctx, plain); err != nil {
			return err
		}
		if err := s.expireClaimed(ctx, p, plain, byUID); err != nil {
			return err
		}
		*left -= len(plain)
	}
	return context.Cause(ctx)
}

func (s *Store) expireClaimed(ctx context.Context, p int32, claimed []Entry, byUID map[string]*expiry) error {
	if len(claimed) == 0 {
		return nil
	}
	defer s.unclaim(ctx, claimed...)
	current, err := s.lookAgain(ctx, p, claimed)
	if err != nil {
		return err
	}
	generation := make(map[string]int, len(claimed))
	for _, e := range claimed {
		generation[e.DeliveryID] = e.Generation
	}
	old := current[:0]
	for _, e := range current {
		if e.State == StateDiverted && generation[e.DeliveryID] == e.Generation {
			old = append(old, e)
		}
	}
	if err := s.removeAll(ctx, old); err != nil {
		return err
	}
	for _, e := range old {
		s.metrics.expire(e.Reason)
		x := byUID[e.UID]
		if x == nil {
			x = &expiry{oldest: e.DivertedAt}
			byUID[e.UID] = x
		}
		x.count++
		if e.DivertedAt.Before(x.oldest) {
			x.oldest = e.DivertedAt
		}
	}
	return nil
}

func (s *Store) announceExpired(byUID map[string]*expiry) {
	if len(byUID) == 0 {
		return
	}
	total, oldest := 0, time.Now()
	for uid, x := range byUID {
		total += x.count
		if x.oldest.Before(oldest) {
			oldest = x.oldest
		}
		if s.o.OnExpired != nil {
			s.o.OnExpired(uid, x.count, x.oldest)
		}
	}
	s.log.Warn("diverted_expired", "count", total, "webhooks", len(byUID), "oldest", oldest.UTC(), "retention", s.o.Retention.String(),
		"hint", "diverted events are deleted after divert.retention; resend or export them before")
}
