package registry

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/time/rate"
)

const (
	// rewrapChunk and rewrapChunkBytes bound one transaction: API writes wait for their turn no longer than it takes,
	// and a transaction stays far below a broker's limits.
	rewrapChunk      = 100
	rewrapChunkBytes = 512 << 10
	// rewrapPerSecond: 100 000 webhooks in three to four minutes. Every process decodes each record again and compiles
	// it into its index, some 50 µs: 3 % of a processor.
	rewrapPerSecond = 500
	// rewrapFor is how long the lock holds that keeps processes from doing it side by side; each chunk renews it.
	rewrapFor = 30 * time.Second
)

// rewrapAll brings every stale record under the current master key: it opens the data key with the old one and wraps
// it with the new one. Nothing else of the record changes, neither revision nor secrets.
//
// Each chunk is a write like any other, fenced and decided after reading to the end: a record that changed since it was
// read is left alone. So it may be interrupted anywhere and begun again, by several processes even; the lock in Redis
// only saves the work of the others.
func (r *Registry) rewrapAll(ctx context.Context) error {
	guard, token := newLock(r.opts.Redis, r.cache.keys.rewrapLock), hex.EncodeToString(randomBytes(8))
	if took, err := guard.try(ctx, token, rewrapFor); err == nil && !took {
		return nil // another process is at it; the next round looks what is left
	}
	defer guard.release(ctx, token)
	end, err := r.readableEnd(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	w := &rewrap{r: r, pace: rate.NewLimiter(rewrapPerSecond, rewrapChunk), renew: func() { guard.renew(ctx, token, rewrapFor) }}
	err = r.replay(ctx, end, func(ctx context.Context, records []*kgo.Record) error {
		for _, rec := range records {
			if !r.stale.has(string(rec.Key), rec.Offset) {
				continue
			}
			if err := w.add(ctx, rec); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = w.flush(ctx)
	}
	stale, known := r.stale.count()
	switch {
	case err != nil:
		return fmt.Errorf("rewrap records under master key %q: %w", r.ring().current().id, err)
	case w.failed != nil:
		return fmt.Errorf("%d records stay under old master keys: %w", stale, w.failed)
	case stale > 0 || !known:
		return nil // written meanwhile by a process that does not have the new key yet
	}
	r.log.Info("registry_records_rewrapped", "master_key", r.ring().current().id, "records", w.written, "took", time.Since(began).Round(time.Millisecond),
		"hint", "no record needs another master key; once every instance has this one first, the others can be removed")
	return nil
}

// rewrap is one pass over the topic.
type rewrap struct {
	r     *Registry
	pace  *rate.Limiter
	renew func()

	chunk   []*kgo.Record
	bytes   int
	written int
	failed  error // why some record could not be rewrapped
}

func (w *rewrap) add(ctx context.Context, rec *kgo.Record) error {
	w.chunk = append(w.chunk, rec)
	if w.bytes += len(rec.Value); len(w.chunk) < rewrapChunk && w.bytes < rewrapChunkBytes {
		return nil
	}
	return w.flush(ctx)
}

func (w *rewrap) flush(ctx context.Context) error {
	if len(w.chunk) == 0 {
		return nil
	}
	if err := w.pace.WaitN(ctx, len(w.chunk)); err != nil {
		return fmt.Errorf("wait to rewrap more records: %w", err)
	}
	w.renew()
	written := 0
	err := w.r.writer.write(ctx, func() ([]draft, error) {
		drafts := w.drafts()
		written = len(drafts)
		return drafts, nil
	})
	if err != nil {
		return err
	}
	w.written += written
	w.chunk, w.bytes = nil, 0
	return nil
}

// drafts are the records of the chunk that are still the latest of their keys, rewrapped.
func (w *rewrap) drafts() []draft {
	drafts := make([]draft, 0, len(w.chunk))
	for _, rec := range w.chunk {
		text := string(rec.Key)
		if !w.r.stale.has(text, rec.Offset) {
			continue
		}
		key, err := parseRecordKey(text)
		if err == nil {
			var value []byte
			if value, err = w.r.ring().rewrapValue(text, rec.Value); err == nil {
				drafts = append(drafts, draft{key: key, value: value})
				continue
			}
		}
		w.failed = fmt.Errorf("record %s at offset %d: %w", text, rec.Offset, err)
	}
	return drafts
}

// rewrapValue gives a record's value with its data key wrapped by the current master key. All other bytes stay.
func (k *Keyring) rewrapValue(recordKey string, value []byte) ([]byte, error) {
	member := gjson.GetBytes(value, "sealed")
	var s sealed
	if err := json.Unmarshal([]byte(member.Raw), &s); err != nil || member.Index == 0 {
		return nil, fmt.Errorf("%w: no envelope", ErrBadRecord)
	}
	dataKey, err := k.unwrap(recordKey, &s)
	if err != nil {
		return nil, err
	}
	k.wrap(recordKey, &s, dataKey)
	wrapped, err := marshal(s)
	if err != nil {
		return nil, errors.New("encode the envelope") // its error could quote what it failed on
	}
	out := make([]byte, 0, len(value)+len(wrapped)-len(member.Raw))
	out = append(out, value[:member.Index]...)
	out = append(out, wrapped...)
	return append(out, value[member.Index+len(member.Raw):]...), nil
}
