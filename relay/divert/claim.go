package divert

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// claimFor is how long a resend may take between the look at its state and the marker's acknowledgement before
// another may begin. The claim is advice: without it a delivery may be resent twice, which at-least-once allows.
const claimFor = 30 * time.Second

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

// claimAll claims the entries and returns those that no one else had.
func (s *Store) claimAll(ctx context.Context, entries []Entry) ([]Entry, error) {
	pipe := s.o.Redis.Pipeline()
	answers := make([]*redis.BoolCmd, len(entries))
	for i, e := range entries {
		answers[i] = pipe.SetNX(ctx, s.claimKey(e.UID, e.DeliveryID), 1, claimFor)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("claim %d deliveries: %w", len(entries), err)
	}
	claimed := entries[:0]
	for i, e := range entries {
		if answers[i].Val() {
			claimed = append(claimed, e)
		}
	}
	return claimed, nil
}

// lookAgain returns what entries of a partition are now, without those that are no longer listed. Whoever held a claim
// on one before has its marker in the topic, and this waits for the index to have it.
func (s *Store) lookAgain(ctx context.Context, p int32, entries []Entry) ([]Entry, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	covered, err := s.awaitIndexed(ctx, []int32{p})
	if err != nil {
		return nil, err
	}
	return s.index.entries(ctx, p, covered[p], entries)
}
