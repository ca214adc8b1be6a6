package divert

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
)

// The ramp of one webhook: so many are resent at the first tick, twice as many at each following one. At a tick a
// second the bound is reached after six, and 500 a second is half of what one endpoint's lane takes at 1 ms an answer.
const (
	sweepFirst = 10
	sweepMost  = 500
)

// sweepLockFor is how long a sweeper that died holds the others back.
const sweepLockFor = 10 * time.Second

var (
	lockScript = redis.NewScript(`local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)
	unlockScript = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 0`)
)

// Kick makes the sweeper look at once instead of at its next tick: a webhook was unsuspended. Where another instance
// sweeps, that one's next tick does it.
func (s *Store) Kick() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// sweeper sends on what was diverted while its webhook was suspended, once the suspension ended. It keeps no progress:
// what is pending in the index is what remains, so a crash, another sweeper or a delivery that was diverted late by an
// instance that did not know yet all heal at a later tick. It belongs to one goroutine.
type sweeper struct {
	s     *Store
	token string         // names this sweeper in the lock
	ramps map[string]int // by uid: how many at its next tick; only webhooks that are being drained
}

func (s *Store) runSweeper(ctx context.Context) {
	w := &sweeper{s: s, token: rand.Text(), ramps: map[string]int{}}
	defer w.unlock(ctx)
	tick := time.NewTicker(s.o.SweepEvery)
	defer tick.Stop()
	var logged time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.kick:
		}
		err := w.sweep(ctx)
		if err != nil && ctx.Err() == nil && time.Since(logged) > failLogEvery {
			logged = time.Now()
			s.log.Warn("divert_sweep_failed", "err", err, "hint", "what remains is sent on when Kafka and Redis can be reached")
		}
	}
}

// sweep sends one batch for each webhook that has something to drain.
func (w *sweeper) sweep(ctx context.Context) error {
	s := w.s
	l, err := s.loadLayout(ctx)
	if err != nil {
		return err
	}
	partitions, err := s.index.withPending(ctx, allPartitions(l.partitions()))
	if err != nil || len(partitions) == 0 {
		clear(w.ramps)
		return err
	}
	if held, err := w.lock(ctx); err != nil || !held {
		return err
	}
	// What was resolved must not be resent for want of a look.
	covered, err := s.awaitIndexed(ctx, partitions)
	if err != nil {
		return err
	}
	ramps := map[string]int{}
	for _, p := range partitions {
		if err := w.sweepPartition(ctx, p, covered[p], ramps); err != nil {
			return err
		}
	}
	w.ramps = ramps
	return nil
}

// sweepPartition goes from webhook to webhook, without looking at what those that keep theirs have.
func (w *sweeper) sweepPartition(ctx context.Context, p int32, covered int64, ramps map[string]int) error {
	s := w.s
	from := "-"
	for ctx.Err() == nil {
		uid, err := s.index.nextPending(ctx, p, from)
		if err != nil || uid == "" {
			return err
		}
		from = "[" + uid + separatorAfter
		suspension, webhook, active := s.active(uid)
		if !active || suspension == nil {
			continue
		}
		if held, err := w.lock(ctx); err != nil || !held {
			return err
		}
		batch := max(w.ramps[uid], sweepFirst)
		sent, err := w.drain(ctx, p, covered, suspension, webhook, batch)
		if err != nil {
			return fmt.Errorf("webhook %s: %w", uid, err)
		}
		if sent > 0 {
			ramps[uid] = min(2*batch, sweepMost)
		}
	}
	return context.Cause(ctx)
}

// drain resends up to batch diverted events of a webhook, the oldest first, and waits for their acknowledgements.
func (w *sweeper) drain(ctx context.Context, p int32, covered int64, suspension *catalog.Suspension, webhook *catalog.Webhook, batch int) (int, error) {
	s := w.s
	under, err := s.index.resending(ctx, p, webhook.UID)
	if err != nil {
		return 0, err
	}
	batch = min(batch, s.o.SweepInFlight-int(under))
	entries, err := w.selectEntries(ctx, p, covered, suspension, webhook.UID, batch)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	entries, err = s.claimAll(ctx, entries)
	if err != nil {
		return 0, err
	}
	var (
		sent    int
		acks    = make(chan struct{}, len(entries)) // has room for all, so that no acknowledgement waits
		offsets = make([]int64, 0, len(entries))
		byAt    = make(map[int64]Entry, len(entries))
	)
	for _, e := range entries {
		offsets = append(offsets, e.Offset)
		byAt[e.Offset] = e
	}
	err = s.readAt(ctx, p, offsets, func(rec *kgo.Record) error {
		detail, err := s.verify(rec, byAt[rec.Offset])
		switch {
		case errors.Is(err, errMoved): // resolved or diverted again since: the next tick sees what it is now
			return nil
		case err != nil:
			s.metrics.badRecords.Inc()
			s.log.Error("diverted_record_unreadable", "partition", p, "offset", rec.Offset, "err", err)
			return nil
		}
		sent++
		s.resend(detail, webhook, causeSweep, func() { acks <- struct{}{} })
		return context.Cause(ctx)
	})
	for range sent {
		select {
		case <-acks:
		case <-ctx.Done(): // the writes go on, so the claims stay
			return sent, context.Cause(ctx)
		}
	}
	s.unclaim(ctx, entries...)
	return sent, err
}

// selectEntries pages through what is pending for a webhook, epoch by epoch, past the epochs that are kept.
func (w *sweeper) selectEntries(ctx context.Context, p int32, covered int64, suspension *catalog.Suspension, uid string, most int) ([]Entry, error) {
	var selected []Entry
	sp := span{order: orderPending, head: uid}
	for len(selected) < most {
		sp.limit = min(most-len(selected), maxPage)
		page, _, err := w.s.index.page(ctx, p, covered, sp)
		if err != nil {
			return nil, err
		}
		for _, item := range page {
			if !suspension.Drains(item.entry.Epoch) {
				sp.from = "[" + uid + separator + sortableEpoch(item.entry.Epoch+1)
				break
			}
			selected = append(selected, item.entry)
			sp.from = "(" + item.member
		}
		if len(page) == 0 {
			break
		}
	}
	return selected, nil
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

func (w *sweeper) lockKey() []string { return []string{w.s.o.RedisPrefix + "divert:sweeper"} }

// lock takes or renews the lock; false when another holds it.
func (w *sweeper) lock(ctx context.Context) (bool, error) {
	ttl := max(sweepLockFor, 3*w.s.o.SweepEvery)
	held, err := lockScript.Run(ctx, w.s.o.Redis, w.lockKey(), w.token, ttl.Milliseconds()).Int()
	if err != nil {
		return false, fmt.Errorf("sweeper's lock: %w", err)
	}
	return held == 1, nil
}

// unlock lets another sweep at once. ctx has ended by then, so that this runs beside it, for a moment.
func (w *sweeper) unlock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := unlockScript.Run(ctx, w.s.o.Redis, w.lockKey(), w.token).Err(); err != nil && !errors.Is(err, redis.Nil) {
		w.s.log.Debug("divert_unlock_failed", "err", err)
	}
}
