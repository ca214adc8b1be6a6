package divert

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"eventrelay/catalog"
	"eventrelay/relay/jobs"
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

// sweeper does what is to be done to many diverted events: it sends on what was diverted while its webhook was
// suspended, once the suspension ended; it carries out the jobs; and it removes what is older than the retention.
//
// Of a suspension it keeps no progress: what is pending in the index is what remains, so a crash, another sweeper or a
// delivery that was diverted late by an instance that did not know yet all heal at a later tick. That of a job is in
// the jobs topic, see run.go. It belongs to one goroutine.
type sweeper struct {
	s     *Store
	token string         // names this sweeper in the lock
	ramps map[string]int // by uid: how many at its next tick; only webhooks that something is resent to
	next  map[string]int // what ramps becomes at the end of this tick
	term  *jobs.Term     // nil: not the runner of jobs
	// expired is when this process last looked for what is older than the retention, and found no more.
	expired time.Time
}

func newSweeper(s *Store, token string) *sweeper {
	return &sweeper{s: s, token: token, ramps: map[string]int{}, expired: time.Now()}
}

func (s *Store) runSweeper(ctx context.Context) {
	w := newSweeper(s, rand.Text())
	defer w.unlock(ctx)
	defer w.resign()
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

// sweep does one tick's work. Where several things are to be done, one that fails does not keep the others.
func (w *sweeper) sweep(ctx context.Context) error {
	s := w.s
	l, err := s.loadLayout(ctx)
	if err != nil {
		return err
	}
	pending, err := s.index.withPending(ctx, allPartitions(l.partitions()))
	if err != nil {
		return err
	}
	open, outdated := s.openJobs()
	expire := time.Since(w.expired) >= s.o.ExpireEvery
	if len(pending) == 0 && len(open) == 0 && !outdated && !expire {
		clear(w.ramps)
		w.resign()
		return nil
	}
	if held, err := w.lock(ctx); err != nil || !held {
		w.resign()
		return err
	}
	w.next = map[string]int{}
	var failed []error
	if len(pending) > 0 {
		failed = append(failed, w.drainAll(ctx, pending))
	}
	if len(open) > 0 || outdated {
		failed = append(failed, w.runJobs(ctx))
	} else {
		w.resign()
	}
	if expire {
		failed = append(failed, w.expireAll(ctx, allPartitions(l.partitions())))
	}
	w.ramps = w.next
	return errors.Join(failed...)
}

// budget is how many may be resent to a webhook at this tick; spent notes that some were.
func (w *sweeper) budget(uid string) int { return max(w.ramps[uid], sweepFirst) }

func (w *sweeper) spent(uid string) { w.next[uid] = min(2*w.budget(uid), sweepMost) }

// drainAll sends on one batch for each webhook whose suspension ended.
func (w *sweeper) drainAll(ctx context.Context, partitions []int32) error {
	// What was resolved must not be resent for want of a look.
	covered, err := w.s.awaitIndexed(ctx, partitions)
	if err != nil {
		return err
	}
	for _, p := range partitions {
		if err := w.drainPartition(ctx, p, covered[p]); err != nil {
			return err
		}
	}
	return nil
}

// drainPartition goes from webhook to webhook, without looking at what those that keep theirs have.
func (w *sweeper) drainPartition(ctx context.Context, p int32, covered int64) error {
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
		if err := w.drain(ctx, p, covered, suspension, webhook); err != nil {
			return fmt.Errorf("webhook %s: %w", uid, err)
		}
	}
	return context.Cause(ctx)
}

// drain resends one batch of a webhook's diverted events, the oldest first, and waits for their acknowledgements.
func (w *sweeper) drain(ctx context.Context, p int32, covered int64, suspension *catalog.Suspension, webhook *catalog.Webhook) error {
	s := w.s
	room, err := s.room(ctx, p, webhook.UID)
	if err != nil {
		return err
	}
	entries, err := w.selectEntries(ctx, p, covered, suspension, webhook.UID, min(w.budget(webhook.UID), room))
	if err != nil || len(entries) == 0 {
		return err
	}
	entries, err = s.claimAll(ctx, entries)
	if err != nil {
		return err
	}
	sent, err := s.resendAll(ctx, p, webhook, entries, causeSweep)
	if sent.resent > 0 {
		w.spent(webhook.UID)
	}
	return err
}

// room is how many more of a webhook's deliveries may be resent at once.
func (s *Store) room(ctx context.Context, p int32, uid string) (int, error) {
	under, err := s.index.resending(ctx, p, uid)
	return max(s.o.SweepInFlight-int(under), 0), err
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

// resign gives up being the runner of jobs.
func (w *sweeper) resign() {
	if w.term != nil {
		w.term.Close()
		w.term = nil
	}
}

// unlock lets another sweep at once. ctx has ended by then, so that this runs beside it, for a moment.
func (w *sweeper) unlock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := unlockScript.Run(ctx, w.s.o.Redis, w.lockKey(), w.token).Err(); err != nil && !errors.Is(err, redis.Nil) {
		w.s.log.Debug("divert_unlock_failed", "err", err)
	}
}
