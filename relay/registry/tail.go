package registry

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

const (
	// startRetryEvery spaces attempts while Kafka or the topic is not there yet.
	startRetryEvery = time.Second
	// fetchErrorPause keeps an error that returns at once from spinning.
	fetchErrorPause = 250 * time.Millisecond
	// decodeInParallel is the batch size from which decoding is spread over the processors: opening a record's
	// secrets takes about 10 µs, so smaller batches are done before the goroutines are.
	decodeInParallel = 64
)

// start finds out which topic it is, loads what Redis holds of it and returns the offset to tail from. It tries
// until ctx ends: without Kafka there is nothing to do but wait.
func (r *Registry) start(ctx context.Context) (from int64, err error) {
	failing := limitedLog{log: r.log}
	for {
		if from, err = r.load(ctx); err == nil {
			return from, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		failing.warn("registry_not_started", "err", err)
		if !sleep(ctx, startRetryEvery) {
			return 0, ctx.Err()
		}
	}
}

// load asks Kafka for the topic's bounds and fills the snapshot from Redis if Redis holds a copy within them.
func (r *Registry) load(ctx context.Context) (from int64, err error) {
	id, err := r.askTopicID(ctx)
	if err != nil {
		return 0, err
	}
	first, err := r.listOffset(ctx, r.admin.ListStartOffsets)
	if err != nil {
		return 0, fmt.Errorf("ask for the start of %s: %w", r.topic, err)
	}
	end, err := r.askEnd(ctx)
	if err != nil {
		return 0, err
	}
	r.cache.open(id)
	copied, verdict := r.cache.load(ctx, bounds{topic: id, first: first, end: end, now: time.Now()})
	from, source := first, SourceTopic
	if verdict == copyUsable {
		from, source = copied.watermark, SourceRedis
		r.applying.Lock()
		for _, c := range copied.changes {
			r.stale.note(c.key, unknownOffset, c.stale)
			r.take(c)
		}
		r.applying.Unlock()
	}
	r.mu.Lock()
	r.topicID, r.source = id, source
	r.mu.Unlock()
	r.cache.startAt(from, source)
	r.applied.advance(from)
	r.log.Info("registry_loaded", "source", string(source), "cache", verdict.String(), "from", from, "end", end, "webhooks", r.Count())
	return from, nil
}

// tail applies what is committed behind from until ctx ends, or until the topic turns out to be another one: then
// the snapshot stays as it is, never to be fresh again.
//
// It reads read_committed, as everything that decides by this topic must, and keeps control records: a transaction's
// marker is the last offset of most writes, and the position has to pass it to reach the end that Kafka reports.
func (r *Registry) tail(ctx context.Context, from int64) error {
	client, err := kgo.NewClient(append(r.clientOptions(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: {0: kgo.NoResetOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
	)...)
	if err != nil {
		return fmt.Errorf("registry: make a Kafka client: %w", err)
	}
	defer client.Close()
	failing := limitedLog{log: r.log}
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.applyBatch(fetches.Records())
		err := fetches.Err()
		switch {
		case err == nil:
			failing.recovered("registry_tail_recovered", "applied", r.applied.get())
		case tailIsLost(err):
			r.stopApplying(fmt.Errorf("%w: read at offset %d: %w", ErrTopicReplaced, r.applied.get(), err))
			return nil
		default:
			failing.warn("registry_tail_failed", "err", err, "applied", r.applied.get())
			if !sleep(ctx, fetchErrorPause) {
				return ctx.Err()
			}
		}
	}
}

// tailIsLost tells errors after which the position means nothing any more from those that pass. An unknown topic id
// is not among them: a broker may not have heard of a new topic yet, and keepFresh finds out about a recreated one.
func tailIsLost(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.Is(err, kerr.OffsetOutOfRange) || errors.As(err, &loss)
}

// applyBatch applies records in order: first the snapshot, then the callbacks, then the cache's queue, and last the
// position, so that whoever waits for an offset finds everything of it in place.
func (r *Registry) applyBatch(records []*kgo.Record) {
	if len(records) == 0 {
		return
	}
	r.applying.Lock()
	defer r.applying.Unlock()
	start := r.applied.get()
	end := records[len(records)-1].Offset + 1
	decoded := decodeBatch(r.ring(), records)
	ops := make([]cacheOp, 0, len(records))
	for i, rec := range records {
		if rec.Attrs.IsControl() {
			continue
		}
		r.stale.note(string(rec.Key), rec.Offset, decoded[i].stale)
		if op, ok := r.applyRecord(rec, decoded[i]); ok {
			ops = append(ops, op)
		}
		if id, ok := relay.Header(rec, headerWrite); ok {
			r.written.sawWrite(string(id))
		}
	}
	r.cache.add(start, end, ops)
	r.applied.advance(end)
}

// applyRecord applies one record and says what the cache must do about it.
func (r *Registry) applyRecord(rec *kgo.Record, d decoded) (op cacheOp, cached bool) {
	key := string(rec.Key)
	op = cacheOp{offset: rec.Offset, key: key, value: rec.Value}
	switch {
	case d.err != nil:
		r.quarantine(key, rec.Offset, d.err)
		op.kind = opQuarantine
		return op, true
	case d.resource.key.kind == kindBarrier:
		r.metrics.records.WithLabelValues(resultIgnored).Inc()
		return op, false
	}
	r.metrics.records.WithLabelValues(resultApplied).Inc()
	r.take(change{resource: d.resource, offset: rec.Offset})
	op.kind = opPut
	if len(rec.Value) == 0 {
		op.kind = opTombstone
	}
	return op, true
}

// change is one step of filling the snapshot: a resource, or a record that is held back.
type change struct {
	resource resource
	offset   int64 // of the record; 0 when it comes from the cache
	key      string
	err      error // why the record is held back, or nil
	stale    bool  // sealed with another master key than the current one
}

// take applies one step and tells the callbacks.
func (r *Registry) take(c change) {
	if c.err != nil {
		r.quarantine(c.key, unknownOffset, c.err)
		return
	}
	for _, changed := range r.snapshot.apply(c.resource) {
		changed.Offset = c.offset
		for _, f := range r.onChange {
			f(changed)
		}
	}
	r.tellBreaker(c.resource.key)
}

// quarantine holds back a record that does not decode. The last good version stays in force. A record under a
// missing master key is worse than a damaged one: it will open elsewhere, so this process is behind.
func (r *Registry) quarantine(key string, offset int64, err error) {
	q := quarantine{err: err, offset: offset}
	var missing *MissingKeyError
	if errors.As(err, &missing) {
		q.missingKey = missing.KeyID
	}
	r.snapshot.hold(key, q)
	r.metrics.records.WithLabelValues(resultQuarantined).Inc()
	if q.missingKey != "" {
		r.withhold()
		// It may be every record there is: one line for all.
		r.keyless.warn("registry_master_key_missing", "key", key, "topic", r.topic, "offset", offset, "err", err)
		return
	}
	r.log.Error("registry_record_quarantined", "key", key, "topic", r.topic, "offset", offset, "err", err,
		"hint", "its last good version stays in force; write it anew through the admin API")
}

// decoded is the outcome of decoding one record.
type decoded struct {
	resource resource
	err      error
	stale    bool
}

// decodeBatch decodes records, on all processors when there are many: a start reads a hundred thousand.
func decodeBatch(keys *Keyring, records []*kgo.Record) []decoded {
	out := make([]decoded, len(records))
	inParallel(len(records), func(i int) {
		if rec := records[i]; !rec.Attrs.IsControl() {
			value := string(rec.Value)
			out[i].resource, out[i].err = decodeRecord(keys, string(rec.Key), value)
			out[i].stale = keys.isStale(value)
		}
	})
	return out
}

// inParallel calls f for 0 to n-1, each once, on as many goroutines as there are processors when n is large. It
// returns when all are done.
func inParallel(n int, f func(i int)) {
	workers := 1
	if n >= decodeInParallel {
		workers = runtime.GOMAXPROCS(0)
	}
	var group sync.WaitGroup
	for worker := 1; worker < workers; worker++ {
		group.Go(func() {
			for i := worker; i < n; i += workers {
				f(i)
			}
		})
	}
	for i := 0; i < n; i += workers {
		f(i)
	}
	group.Wait()
}
