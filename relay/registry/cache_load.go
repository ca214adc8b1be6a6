package registry

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"eventrelay/relay"
)

const (
	// loadWithin bounds one request at start: a page of records is up to a few MB.
	loadWithin = 2 * time.Second
	// loadPage is how many records one HSCAN asks for.
	loadPage = 2000
	// copyMargin is taken off the tombstones' retention, for clocks that differ and for the time that the tail needs
	// from the watermark to the end.
	copyMargin = time.Hour
)

// copyVerdict says whether the snapshot may be loaded from Redis, and if not, why not.
type copyVerdict int

const (
	copyUsable copyVerdict = iota
	copyUnreachable
	copyMissing
	copyOfOtherTopic
	copyOutside
	copyTooOld
	copyIncomplete
	copyUndecodable
)

// String is the verdict in a log line.
func (v copyVerdict) String() string {
	return [...]string{"used", "unreachable", "missing", "of another topic", "outside the topic", "too old", "incomplete", "undecodable"}[v]
}

// bounds are what Kafka and the clock say about the topic.
type bounds struct {
	topic      kadm.TopicID
	first, end int64
	now        time.Time
}

// copyMeta is the meta hash of a copy.
type copyMeta struct {
	gen, topic       string
	watermark, count int64
	updated          time.Time
}

func parseCopyMeta(fields map[string]string) (copyMeta, bool) {
	m := copyMeta{gen: fields["gen"], topic: fields["topic"]}
	var errs [3]error
	var updated int64
	m.watermark, errs[0] = strconv.ParseInt(fields["watermark"], 10, 64)
	m.count, errs[1] = strconv.ParseInt(fields["count"], 10, 64)
	updated, errs[2] = strconv.ParseInt(fields["updated"], 10, 64)
	m.updated = time.UnixMilli(updated)
	return m, m.gen != "" && errs == [3]error{}
}

// judgeCopy decides by the meta hash. A copy may be continued at its watermark only if every tombstone behind it is
// still in the topic: those written after updated are, until the topic's retention of tombstones has passed.
func judgeCopy(m copyMeta, b bounds) copyVerdict {
	switch {
	case m.topic != hex.EncodeToString(b.topic[:]):
		return copyOfOtherTopic
	case m.watermark < b.first || m.watermark > b.end:
		return copyOutside
	case b.now.Sub(m.updated) > relay.TombstoneRetention-copyMargin:
		return copyTooOld
	default:
		return copyUsable
	}
}

// copied is what a copy holds: the steps that fill a snapshot, and the offset to go on from.
type copied struct {
	watermark int64
	changes   []change
}

// load reads the copy. It is called before run, and an error of any kind only means that the topic is read instead.
func (c *cache) load(ctx context.Context, b bounds) (copied, copyVerdict) {
	m, verdict, err := c.readMeta(ctx)
	if err == nil && verdict == copyUsable {
		verdict = judgeCopy(m, b)
	}
	c.rejected = m.gen
	if err != nil || verdict != copyUsable {
		return c.notLoaded(verdict, err)
	}
	fields, err := c.readRecords(ctx, m.gen)
	if err != nil {
		return c.notLoaded(copyUnreachable, err)
	}
	// The same watermark before and after means that nothing was applied meanwhile, so that the count must agree.
	after, verdict, err := c.readMeta(ctx)
	if err != nil || verdict != copyUsable {
		return c.notLoaded(verdict, err)
	}
	if after.gen != m.gen || after.watermark != m.watermark || int64(len(fields)) != m.count {
		return c.notLoaded(copyIncomplete, nil)
	}
	changes, err := decodeCopy(c.r.ring(), fields)
	if err != nil {
		return c.notLoaded(copyUndecodable, err)
	}
	c.rejected = ""
	return copied{watermark: m.watermark, changes: changes}, copyUsable
}

func (c *cache) notLoaded(verdict copyVerdict, err error) (copied, copyVerdict) {
	if err != nil {
		c.down.Store(verdict == copyUnreachable)
		c.r.metrics.cacheFailures.Inc()
		c.r.log.Warn("registry_cache_not_loaded", "reason", verdict.String(), "err", err)
	}
	return copied{}, verdict
}

func (c *cache) readMeta(ctx context.Context) (copyMeta, copyVerdict, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, loadWithin, errTimedOut)
	defer cancel()
	fields, err := c.redis.HGetAll(ctx, c.keys.meta).Result()
	if err != nil {
		return copyMeta{}, copyUnreachable, fmt.Errorf("read the cache's meta: %w", err)
	}
	m, ok := parseCopyMeta(fields)
	if !ok {
		return copyMeta{}, copyMissing, nil
	}
	return m, copyUsable, nil
}

// readRecords pages through the records, so that no answer blocks Redis for long. A page may repeat fields.
func (c *cache) readRecords(ctx context.Context, gen string) (map[string]string, error) {
	fields := map[string]string{}
	for cursor := uint64(0); ; {
		page, next, err := c.readPage(ctx, gen, cursor)
		if err != nil {
			return nil, fmt.Errorf("read the cache's records: %w", err)
		}
		for i := 0; i+1 < len(page); i += 2 {
			fields[page[i]] = page[i+1]
		}
		if next == 0 {
			return fields, nil
		}
		cursor = next
	}
}

func (c *cache) readPage(ctx context.Context, gen string, cursor uint64) ([]string, uint64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, loadWithin, errTimedOut)
	defer cancel()
	return c.redis.HScan(ctx, c.keys.records+gen, cursor, "", loadPage).Result()
}

// decodeCopy turns fields into steps. A quarantined record that decodes here goes after, and so replaces, its last
// good version. Anything else that does not decode has no business in a copy, which is not trusted then.
func decodeCopy(keys *Keyring, fields map[string]string) ([]change, error) {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	steps := make([]change, len(names))
	inParallel(len(names), func(i int) {
		key := strings.TrimPrefix(names[i], quarantinePrefix)
		steps[i].key = key
		value := fields[names[i]]
		steps[i].resource, steps[i].err = decodeRecord(keys, key, value)
		steps[i].stale = keys.isStale(value)
	})
	good, later := make([]change, 0, len(steps)), []change(nil)
	for i, step := range steps {
		switch {
		case strings.HasPrefix(names[i], quarantinePrefix):
			later = append(later, step)
		case step.err != nil:
			return nil, step.err
		default:
			good = append(good, step)
		}
	}
	return append(good, later...), nil
}
