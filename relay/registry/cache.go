package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
)

// cache keeps a copy of the topic's latest records in Redis, so that a start need not read the topic. It holds the
// records' bytes as they stand in Kafka, secrets sealed, of every kind, also those that this version does not know.
//
// In Redis, all in one hash tag so that one script reaches them:
//
//	<prefix>{registry}:meta              hash: gen, topic, watermark, count, updated
//	<prefix>{registry}:records:<gen>     hash: record key → value
//	<prefix>{registry}:write             the writers' lock
//	<prefix>{registry}:rebuild           the rebuilders' lock
//	<prefix>{registry}:rewrap            the lock of whoever brings records under a new master key
//
// watermark is the offset that the copy covers, count the number of fields it must have, updated when the watermark
// was last known to be the end of the topic. Every process applies every batch; the script takes only what continues
// the watermark and skips what is below it, so processes may race and repeat. What does not fit (nothing there, a gap,
// another topic, a count that is off) is answered by a rebuild: one process reads the topic into a new generation and
// swaps it in by writing meta. A copy is never emptied and refilled in place, so none that is seen is half full.
//
// A record that does not decode is kept under its key with quarantinePrefix in front, beside its last good version:
// a process that can decode it, being newer or holding the master key, finds both.
//
// add and confirm are called by the registry and never block on Redis; run owns all requests except load's, which
// comes before it.
type cache struct {
	r     *Registry
	redis redis.UniversalClient
	keys  cacheKeys

	// covered is the watermark that Redis is known to have.
	covered *position
	down    atomic.Bool
	failing limitedLog // run's
	topic   string     // hex of the topic's id; set by open before run
	// rejected is the generation that load found unusable: a rebuild must replace it, not continue it.
	rejected string
	gen      string // run's: the generation seen last, to be removed although meta may not name it any more

	mu        sync.Mutex // guards what follows
	queue     []cacheOp  // not in Redis yet, ascending
	bytes     int        // of the queue's values
	from, to  int64      // offsets that the queue continues from and covers up to
	confirmed int64      // Unix ms at which everything below confirmedEnd was all there was
	confEnd   int64
	rebuild   bool // Redis is known to need one

	wake chan struct{} // capacity 1
}

// cacheKeys are the names in Redis.
type cacheKeys struct{ meta, records, writeLock, rebuildLock, rewrapLock string }

func cacheKeysFor(prefix string) cacheKeys {
	base := prefix + "{registry}:"
	return cacheKeys{meta: base + "meta", records: base + "records:", writeLock: base + "write", rebuildLock: base + "rebuild", rewrapLock: base + "rewrap"}
}

// quarantinePrefix is in front of the key of a record that did not decode where it was applied.
const quarantinePrefix = "quarantined/"

// opKind is what one record does to the copy. The values are the script's.
type opKind string

const (
	opPut        opKind = "put"
	opTombstone  opKind = "del"
	opQuarantine opKind = "quarantine"
)

// cacheOp is one record for the copy.
type cacheOp struct {
	kind   opKind
	offset int64
	key    string
	value  []byte
}

const (
	// The queue is bounded; beyond it the copy is rebuilt from the topic instead, which costs no memory here.
	queueOps   = 20_000
	queueBytes = 16 << 20
	// A script call carries at most this much, so that Redis is not blocked for longer than a few ms.
	batchOps = 500
	// redisRetryEvery is the wait after a failed request.
	redisRetryEvery = time.Second
)

func newCache(r *Registry) *cache {
	return &cache{
		r: r, redis: r.opts.Redis, keys: cacheKeysFor(r.opts.RedisPrefix), covered: newPosition(),
		failing: limitedLog{log: r.log}, wake: make(chan struct{}, 1),
	}
}

// open says which topic the copy must be of.
func (c *cache) open(topic kadm.TopicID) { c.topic = hex.EncodeToString(topic[:]) }

// startAt says what the snapshot was loaded from: the copy up to from, or the topic, which means that there is no
// copy to continue.
func (c *cache) startAt(from int64, source Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from, c.to, c.rebuild = from, from, source != SourceRedis
	if source == SourceRedis {
		c.covered.advance(from)
	}
}

// add queues what was applied between start and end.
func (c *cache) add(start, end int64, ops []cacheOp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to = end
	if c.rebuild {
		// A rebuild reads all of this from the topic. Its end is beyond what was applied when it began.
		c.from = end
		return
	}
	for _, op := range ops {
		c.bytes += len(op.value)
	}
	if c.queue = append(c.queue, ops...); len(c.queue) > queueOps || c.bytes > queueBytes {
		c.dropQueue()
	}
	c.poke()
}

// dropQueue gives up what is queued: the copy has a gap and is rebuilt. The caller holds c.mu.
func (c *cache) dropQueue() { c.queue, c.bytes, c.from, c.rebuild = nil, 0, c.to, true }

// confirm notes that at asked everything below end was all there was. It keeps the copy young.
func (c *cache) confirm(end int64, asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.confEnd, c.confirmed = end, asked.UnixMilli()
	if c.rebuild {
		c.poke()
	}
}

func (c *cache) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// healthy reports whether the latest request to Redis was answered.
func (c *cache) healthy() bool { return !c.down.Load() }

// run keeps the copy up until ctx ends.
func (c *cache) run(ctx context.Context) error {
	for {
		idle := c.r.timing.cacheEvery
		if err := c.upkeep(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.down.Store(true)
			c.r.metrics.cacheFailures.Inc()
			c.failing.warn("registry_cache_failed", "err", err,
				"hint", "webhooks are served from memory and from Kafka meanwhile; the copy is repaired when Redis answers")
			idle = min(idle, redisRetryEvery)
		} else if c.down.Swap(false) {
			c.failing.recovered("registry_cache_recovered", "watermark", c.covered.get())
		}
		timer := time.NewTimer(idle)
		select {
		case <-c.wake:
			// While Redis is down every change would be a failed request: wait the pause out.
			if c.down.Load() {
				select {
				case <-timer.C:
				case <-ctx.Done():
				}
			}
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// upkeep writes what is queued, and rebuilds when Redis has nothing that it continues. Without anything queued it
// looks whether the copy is still there.
func (c *cache) upkeep(ctx context.Context) error {
	for {
		if c.needsRebuild() {
			if !c.r.isComplete() {
				return nil // read the topic once, not twice at the same time; confirm wakes this
			}
			return c.rebuildCopy(ctx)
		}
		batch, more := c.take()
		outcome, watermark, err := c.apply(ctx, batch)
		if err != nil {
			return err
		}
		if outcome != applyDone {
			c.r.log.Info("registry_cache_unusable", "reason", string(outcome), "watermark", watermark)
			c.mu.Lock()
			c.dropQueue()
			c.mu.Unlock()
			continue
		}
		c.done(batch, watermark)
		if !more {
			return nil
		}
	}
}

func (c *cache) needsRebuild() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rebuild
}

// cacheBatch is what one script call applies: the records between from and to.
type cacheBatch struct {
	from, to int64
	ops      []cacheOp
	// updated is when the end of the batch was known to be the end of the topic, in Unix ms; 0 when it was not.
	updated int64
}

// take reads the next batch without removing it: it stays queued until Redis has it.
func (c *cache) take() (batch cacheBatch, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch = cacheBatch{from: c.from, to: c.to, ops: c.queue}
	if len(batch.ops) > batchOps {
		batch.ops, batch.to, more = batch.ops[:batchOps], batch.ops[batchOps].offset, true
	}
	if batch.to >= c.confEnd {
		batch.updated = c.confirmed
	}
	return batch, more
}

// done removes a batch that Redis has.
func (c *cache) done(batch cacheBatch, watermark int64) {
	c.covered.advance(watermark)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rebuild {
		return // the queue overflowed and was given up meanwhile
	}
	for _, op := range batch.ops {
		c.bytes -= len(op.value)
	}
	c.queue = c.queue[len(batch.ops):]
	if len(c.queue) == 0 {
		c.queue = nil // release what the slice still holds
	}
	c.from = batch.to
}

// applyOutcome is the script's verdict.
type applyOutcome string

const (
	applyDone    applyOutcome = "done"
	applyMissing applyOutcome = "missing" // no copy, or not one of ours
	applyTopic   applyOutcome = "topic"   // a copy of another topic
	applyGap     applyOutcome = "gap"     // the copy ends before the batch begins
	applyTorn    applyOutcome = "torn"    // the copy lacks fields: evicted, or damaged by hand
	applySwapped applyOutcome = "swapped" // a rebuild swapped in another generation meanwhile
)

// apply runs the script on a batch, following a swap of generations.
func (c *cache) apply(ctx context.Context, batch cacheBatch) (applyOutcome, int64, error) {
	args := make([]any, 0, 6+4*len(batch.ops))
	args = append(args, "", c.topic, batch.from, batch.to, batch.updated, quarantinePrefix)
	for _, op := range batch.ops {
		args = append(args, string(op.kind), op.offset, op.key, op.value)
	}
	for range 3 {
		gen, err := c.generation(ctx)
		if err != nil {
			return "", 0, err
		}
		if gen == "" {
			return applyMissing, 0, nil
		}
		args[0], c.gen = gen, gen
		outcome, watermark, err := c.eval(ctx, applyScript, []string{c.keys.meta, c.keys.records + gen}, args)
		if err != nil || outcome != applySwapped {
			return outcome, watermark, err
		}
	}
	return "", 0, errors.New("the copy is being swapped again and again")
}

// generation is that of the copy, empty when there is none.
func (c *cache) generation(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, redisWithin, errTimedOut)
	defer cancel()
	gen, err := c.redis.HGet(ctx, c.keys.meta, "gen").Result()
	switch {
	case errors.Is(err, redis.Nil), redis.HasErrorPrefix(err, "WRONGTYPE"):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read the cache's generation: %w", err)
	}
	return gen, nil
}

// eval runs one of the scripts, which all answer {outcome, watermark}.
func (c *cache) eval(ctx context.Context, script *redis.Script, keys []string, args []any) (applyOutcome, int64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, scriptWithin, errTimedOut)
	defer cancel()
	answer, err := script.Run(ctx, c.redis, keys, args...).StringSlice()
	if err != nil {
		return "", 0, fmt.Errorf("apply to the cache: %w", err)
	}
	if len(answer) != 2 {
		return "", 0, fmt.Errorf("apply to the cache: %d answers", len(answer))
	}
	watermark, err := strconv.ParseInt(answer[1], 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("apply to the cache: watermark: %w", err)
	}
	return applyOutcome(answer[0]), watermark, nil
}
