package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// rebuildFor is how long the rebuilders' lock holds without being renewed; each chunk renews it.
	rebuildFor = 30 * time.Second
	// rebuildWithin bounds a whole rebuild.
	rebuildWithin = 5 * time.Minute
	// unfinishedFor is when Redis forgets a generation that nobody finished.
	unfinishedFor = 10 * time.Minute
	// rebuildChunk is how many records one round trip carries.
	rebuildChunk = 1000
)

// rebuildCopy reads the topic into a new generation and swaps it in. It reads Kafka, not the snapshot: the copy holds
// the records' bytes, which are not kept in memory, and kinds that only other versions know.
//
// A crash before the swap leaves a generation that expires; at the swap, one copy or the other.
func (c *cache) rebuildCopy(ctx context.Context) (err error) {
	guard := newLock(c.redis, c.keys.rebuildLock)
	token := hex.EncodeToString(randomBytes(8))
	took, err := guard.try(ctx, token, rebuildFor)
	if err != nil {
		return fmt.Errorf("lock the rebuild of the cache: %w", err)
	}
	if !took {
		return nil // another process is at it; what it builds is looked at in the next round
	}
	defer guard.release(ctx, token)
	if followed, err := c.follow(ctx); followed || err != nil {
		return err
	}
	defer func() {
		result := resultDone
		if err != nil {
			result = resultFailed
		}
		c.r.metrics.cacheRebuilds.WithLabelValues(result).Inc()
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, rebuildWithin, fmt.Errorf("rebuild the cache: %w", errTimedOut))
	defer cancel()

	// What is applied from here on is queued and continues the new generation, which covers at least this.
	c.mu.Lock()
	c.queue, c.bytes, c.rebuild = nil, 0, false
	c.mu.Unlock()
	if err := c.rebuildLocked(ctx, token); err != nil {
		c.mu.Lock()
		c.dropQueue()
		c.mu.Unlock()
		return err
	}
	c.poke()
	return nil
}

// rebuildLocked does it, for the holder of the lock.
func (c *cache) rebuildLocked(ctx context.Context, token string) error {
	began := time.Now()
	// A barrier is a record that is certainly there to be read, so the reader below knows when it is done.
	barrier, err := c.r.writeBarrier(ctx)
	if err != nil {
		return err
	}
	watermark := barrier + 1
	if err := c.r.WaitApplied(ctx, watermark); err != nil {
		return err
	}
	old, err := c.generation(ctx)
	if err != nil {
		return err
	}
	if old == "" {
		old = c.gen
	}
	return c.build(ctx, generation{name: hex.EncodeToString(randomBytes(6)), old: old, watermark: watermark, began: began}, token)
}

// follow reports whether there is a copy, built by another process, that continues with what is applied here.
func (c *cache) follow(ctx context.Context) (bool, error) {
	c.mu.Lock()
	from := c.from
	c.mu.Unlock()
	outcome, watermark, err := c.apply(ctx, cacheBatch{from: from, to: from})
	if err != nil || outcome != applyDone || c.gen == c.rejected {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if watermark < c.from {
		return false, nil // something was applied since, and not queued
	}
	c.rebuild = false
	c.covered.advance(watermark)
	return true, nil
}

// generation is a copy being built.
type generation struct {
	name, old string
	watermark int64
	began     time.Time
}

// build fills the generation with everything below its watermark and swaps it in.
func (c *cache) build(ctx context.Context, gen generation, token string) error {
	filler := &filler{
		c: c, key: c.keys.records + gen.name, token: token, suspects: c.r.snapshot.quarantinedKeys(),
	}
	if err := c.r.replay(ctx, gen.watermark, filler.fill); err != nil {
		return fmt.Errorf("rebuild the cache: %w", err)
	}
	outcome, watermark, err := c.eval(ctx, swapScript, []string{c.keys.meta, filler.key, c.keys.records + gen.old}, []any{
		gen.name, gen.old, c.topic, gen.watermark, filler.count, gen.began.UnixMilli(),
	})
	switch {
	case err != nil:
		return err
	case outcome != applyDone:
		return errors.New("rebuild the cache: Redis lost records while they were written")
	}
	c.gen = gen.name
	c.covered.advance(watermark)
	c.r.log.Info("registry_cache_rebuilt", "watermark", watermark, "records", filler.count, "took", time.Since(gen.began).Round(time.Millisecond))
	return nil
}

// filler writes records into a generation.
type filler struct {
	c     *cache
	key   string
	token string
	// suspects are the keys whose latest record is quarantined: for these, each record is decoded to tell the last
	// good one. All other records are known to decode, or to be replaced by one that does.
	suspects map[string]struct{}
	// count is the number of fields that Redis must have, by its own answers.
	count int64
}

// fill writes one batch and renews the lock. Records come in order, so the last one of a key wins.
func (f *filler) fill(ctx context.Context, records []*kgo.Record) error {
	for chunk := range slices.Chunk(records, rebuildChunk) {
		if err := f.write(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (f *filler) write(ctx context.Context, records []*kgo.Record) error {
	ctx, cancel := context.WithTimeoutCause(ctx, loadWithin, errTimedOut)
	defer cancel()
	pipe := f.c.redis.Pipeline()
	var added, removed []*redis.IntCmd
	for _, rec := range records {
		key := string(rec.Key)
		switch f.kindOf(rec, key) {
		case opQuarantine:
			added = append(added, pipe.HSet(ctx, f.key, quarantinePrefix+key, rec.Value))
		case opTombstone:
			removed = append(removed, pipe.HDel(ctx, f.key, key, quarantinePrefix+key))
		case opPut:
			added = append(added, pipe.HSet(ctx, f.key, key, rec.Value))
			if _, suspect := f.suspects[key]; suspect {
				removed = append(removed, pipe.HDel(ctx, f.key, quarantinePrefix+key))
			}
		}
	}
	pipe.Expire(ctx, f.key, unfinishedFor)
	pipe.Set(ctx, f.c.keys.rebuildLock, f.token, rebuildFor)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("write records to the cache: %w", err)
	}
	for _, cmd := range added {
		f.count += cmd.Val()
	}
	for _, cmd := range removed {
		f.count -= cmd.Val()
	}
	return nil
}

// kindOf says what a record does to the copy; empty for what does nothing.
func (f *filler) kindOf(rec *kgo.Record, keyText string) opKind {
	if rec.Attrs.IsControl() {
		return ""
	}
	if key, err := parseRecordKey(keyText); err == nil && key.kind == kindBarrier {
		return ""
	}
	if _, suspect := f.suspects[keyText]; suspect {
		if _, err := decodeRecord(f.c.r.ring(), keyText, string(rec.Value)); err != nil {
			return opQuarantine
		}
	}
	if len(rec.Value) == 0 {
		return opTombstone
	}
	return opPut
}

// replay hands everything committed below end to f, in order.
func (r *Registry) replay(ctx context.Context, end int64, f func(context.Context, []*kgo.Record) error) error {
	client, err := kgo.NewClient(append(r.clientOptions(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: {0: kgo.NoResetOffset().AtStart()}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
	)...)
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s from the beginning: %w", r.topic, err)
		}
		records := fetches.Records()
		behind := slices.IndexFunc(records, func(rec *kgo.Record) bool { return rec.Offset >= end })
		if behind < 0 {
			behind = len(records)
		}
		if err := f(ctx, records[:behind]); err != nil {
			return err
		}
		if n := len(records); n > 0 && records[n-1].Offset >= end-1 {
			return nil
		}
	}
}

// quarantinedKeys are the keys whose latest record did not decode.
func (s *snapshot) quarantinedKeys() map[string]struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	keys := make(map[string]struct{}, len(s.quarantined))
	for key := range maps.Keys(s.quarantined) {
		keys[key] = struct{}{}
	}
	return keys
}

// isComplete reports whether the snapshot once covered an end that Kafka was asked for.
func (r *Registry) isComplete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.complete
}
