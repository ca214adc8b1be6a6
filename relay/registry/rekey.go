package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrKeyInUse is matched by SetKeys' refusal of a keyring that lacks a key which records are sealed with.
var ErrKeyInUse = errors.New("a master key that is in use is missing")

// ring is the keyring in force.
func (r *Registry) ring() *Keyring {
	if ring := r.rekeyed.Load(); ring != nil {
		return ring
	}
	return r.opts.Keys
}

// SetKeys replaces the master keys while the registry runs: what is written from now on is sealed with the first of
// ring, records that waited for a key that ring brings are applied, and where Options.Rewrap is set all records come
// under the first key. It refuses a ring without a key that records may be sealed with, matching ErrKeyInUse: the
// former ring stays in force then.
func (r *Registry) SetKeys(ring *Keyring) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	was := r.ring()
	stale, known := r.stale.count()
	if missing := was.inUseBeyond(ring, stale > 0 || !known || !r.isComplete()); missing != "" {
		return fmt.Errorf("%w: %q: keep it behind the first one until relay_registry_records_under_old_key is 0", ErrKeyInUse, missing)
	}
	r.rekeyed.Store(ring)
	r.stale.recount()
	select {
	case r.rekey <- struct{}{}:
	default:
	}
	return nil
}

// inUseBeyond names a key of k that next lacks although records may be sealed with it: the current one always, the
// others while records are stale. Empty: there is none.
func (k *Keyring) inUseBeyond(next *Keyring, stale bool) string {
	for i, key := range k.keys {
		if _, kept := next.find(key.id, key.check); !kept && (i == 0 || stale) {
			return key.id
		}
	}
	return ""
}

// keepSealed counts the records under old master keys when the keyring was replaced, applies those that waited for a
// key, and, where it is this process's task, brings all of them under the current key. It ends with ctx.
func (r *Registry) keepSealed(ctx context.Context) error {
	failing := limitedLog{log: r.log}
	for {
		err := r.sealRound(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			failing.warn("registry_not_resealed", "err", err, "hint", "it is tried again; keep the old master keys until it succeeds")
		default:
			failing.recovered("registry_resealing_recovered")
		}
		timer := time.NewTimer(r.timing.sealEvery)
		select {
		case <-timer.C:
		case <-r.rekey:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (r *Registry) sealRound(ctx context.Context) error {
	if r.applied.failure() != nil {
		return nil // the tail said why
	}
	// A start that lacks a key is not complete: what it lacks may come with the next ring.
	if _, missing := r.snapshot.held(); !r.isComplete() && len(missing) == 0 {
		return nil
	}
	if _, known := r.stale.count(); !known {
		if err := r.census(ctx); err != nil {
			return fmt.Errorf("count the records under old master keys: %w", err)
		}
	}
	if stale, _ := r.stale.count(); stale == 0 || !r.opts.Rewrap {
		return nil
	}
	return r.rewrapAll(ctx)
}

// census reads the topic up to what is applied, finds the stale records, and applies those that were held back for
// want of a key that is there now.
func (r *Registry) census(ctx context.Context) error {
	end, err := r.readableEnd(ctx)
	if err != nil {
		return err
	}
	ring, waiting := r.ring(), r.snapshot.waitingKeys()
	found, reopened := map[string]int64{}, map[string]*kgo.Record{}
	err = r.replay(ctx, end, func(_ context.Context, records []*kgo.Record) error {
		for _, rec := range records {
			if rec.Attrs.IsControl() {
				continue
			}
			key := string(rec.Key)
			if ring.isStale(string(rec.Value)) {
				found[key] = rec.Offset
			} else {
				delete(found, key)
			}
			if _, waits := waiting[key]; waits {
				reopened[key] = rec
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.applying.Lock()
	defer r.applying.Unlock()
	if ring != r.ring() {
		return nil // replaced meanwhile: the next round counts by the new one
	}
	for key, rec := range reopened {
		r.reopen(key, rec, end)
	}
	r.stale.counted(found)
	return nil
}

// readableEnd writes a barrier and waits until it is applied, so that a reader of the topic knows when it has seen
// everything up to there. A master key that is missing does not keep the position from advancing.
func (r *Registry) readableEnd(ctx context.Context) (int64, error) {
	barrier, err := r.writeBarrier(ctx)
	if err != nil {
		return 0, err
	}
	return barrier + 1, r.WaitApplied(ctx, barrier+1)
}

// reopen applies the latest record of a key below end, unless the tail applied a later one. The copy in Redis has it
// already. The caller holds applying.
func (r *Registry) reopen(key string, rec *kgo.Record, end int64) {
	if at, held := r.snapshot.heldAt(key); !held || at >= end {
		return
	}
	decoded := decodeBatch(r.ring(), []*kgo.Record{rec})[0]
	if decoded.err != nil {
		r.quarantine(key, rec.Offset, decoded.err)
		return
	}
	r.log.Info("registry_record_opened", "key", key, "offset", rec.Offset)
	r.take(change{resource: decoded.resource, offset: rec.Offset})
}

// waitingKeys are the keys of the records that are held for want of a master key.
func (s *snapshot) waitingKeys() map[string]struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	keys := map[string]struct{}{}
	for key, q := range s.quarantined {
		if q.missingKey != "" {
			keys[key] = struct{}{}
		}
	}
	return keys
}

// heldAt is the offset of a record that is held back.
func (s *snapshot) heldAt(key string) (offset int64, held bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	q, held := s.quarantined[key]
	return q.offset, held
}
