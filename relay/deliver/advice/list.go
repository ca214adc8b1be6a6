package advice

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"eventrelay/catalog"
)

const (
	// listEvery is how late the list may be, renewEvery how often it is renewed when nothing changes, listTTL when an
	// instance that is gone disappears.
	listEvery  = 2 * time.Second
	renewEvery = 5 * time.Second
	listTTL    = 15 * time.Second
	// listedMost bounds the endpoints of one instance that are listed: about 300 bytes each.
	listedMost = 2000
	// instancesKept is how long the name of an instance that is gone is looked up.
	instancesKept = time.Hour
	// metaField of an instance's hash is completeList or partialList.
	metaField    = ""
	completeList = "complete"
	partialList  = "partial"
)

// keepListed keeps this instance's list in Redis what the follower says.
func (b *Board) keepListed(ctx context.Context, f Follower) {
	tick := time.NewTicker(listEvery)
	defer tick.Stop()
	l := listed{board: b}
	for {
		l.update(ctx, f, time.Now())
		select {
		case <-ctx.Done():
			// Gone at once rather than after its TTL; the process has a moment left for it.
			l.remove(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		}
	}
}

// listed is what Redis is known to hold of this instance. It belongs to keepListed.
type listed struct {
	board   *Board
	fields  map[string]string // nil: unknown, write everything
	renewed time.Time
}

// update writes what changed, or everything when Redis has lost it.
func (l *listed) update(ctx context.Context, f Follower, now time.Time) {
	fields := encodeList(f)
	gone, changed := differences(l.fields, fields)
	if l.fields != nil && len(gone)+len(changed) == 0 && now.Sub(l.renewed) < renewEvery {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	k := l.board.keys
	hash := k.of + l.board.instance
	pipe := l.board.o.Redis.TxPipeline()
	if l.fields == nil {
		pipe.Del(ctx, hash)
	} else {
		// Before anything is written: a hash that is gone must not look renewed because of a part.
		pipe.HExists(ctx, hash, metaField)
	}
	if len(gone) > 0 {
		pipe.HDel(ctx, hash, gone...)
	}
	if len(changed) > 0 {
		pipe.HSet(ctx, hash, changed)
	}
	pipe.Expire(ctx, hash, listTTL)
	pipe.ZAdd(ctx, k.instances, redis.Z{Score: float64(now.UnixMilli()), Member: l.board.instance})
	pipe.ZRemRangeByScore(ctx, k.instances, "-inf", strconv.FormatInt(now.Add(-instancesKept).UnixMilli(), 10))
	pipe.Expire(ctx, k.instances, instancesKept)
	results, err := pipe.Exec(ctx)
	if err != nil {
		l.fields = nil
		l.board.log.Debug("breakers_not_listed", "err", err)
		return
	}
	if was, ok := results[0].(*redis.BoolCmd); ok && !was.Val() {
		l.fields = nil // flushed: at the next tick, everything
		return
	}
	l.fields, l.renewed = fields, now
}

func (l *listed) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pipe := l.board.o.Redis.Pipeline()
	pipe.Del(ctx, l.board.keys.of+l.board.instance)
	pipe.ZRem(ctx, l.board.keys.instances, l.board.instance)
	if _, err := pipe.Exec(ctx); err != nil {
		l.board.log.Debug("breakers_not_unlisted", "err", err)
	}
}

// encodeList makes the fields of this instance's hash.
func encodeList(f Follower) map[string]string {
	list, complete := f.Breakers(listedMost)
	fields := make(map[string]string, len(list)+1)
	fields[metaField] = completeList
	if !complete {
		fields[metaField] = partialList
	}
	for _, s := range list {
		text, err := json.Marshal(s)
		if err != nil {
			panic("advice: " + err.Error()) // strings, numbers and times only
		}
		fields[s.Endpoint] = string(text)
	}
	return fields
}

// differences between two versions of a hash.
func differences(was, is map[string]string) (gone []string, changed map[string]string) {
	changed = map[string]string{}
	for field, value := range is {
		if old, ok := was[field]; !ok || old != value {
			changed[field] = value
		}
	}
	for field := range was {
		if _, ok := is[field]; !ok {
			gone = append(gone, field)
		}
	}
	return gone, changed
}

// List gives the breakers of all instances that are not plainly closed, and the endpoints that asked for a pause. It is
// complete unless Redis does not answer, when it has this instance's own, or an instance has more than it lists.
func (b *Board) List(ctx context.Context) (list []catalog.BreakerStatus, complete bool) {
	b.mu.Lock()
	f := b.follower
	b.mu.Unlock()
	if f != nil {
		list, complete = f.Breakers(listedMost)
		for i := range list {
			list[i].Instance = b.instance
		}
	}
	others, othersComplete, err := b.others(ctx)
	if err != nil {
		b.log.Warn("breakers_list_partial", "err", err, "hint", "without Redis only this instance's own breakers are listed")
		return list, false
	}
	return append(list, others...), complete && othersComplete
}

// others reads the lists of the other instances.
func (b *Board) others(ctx context.Context) (list []catalog.BreakerStatus, complete bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	instances, err := b.o.Redis.ZRange(ctx, b.keys.instances, 0, -1).Result()
	if err != nil {
		return nil, false, fmt.Errorf("list the instances: %w", err)
	}
	pipe := b.o.Redis.Pipeline()
	hashes := map[string]*redis.MapStringStringCmd{}
	for _, instance := range instances {
		if instance != b.instance {
			hashes[instance] = pipe.HGetAll(ctx, b.keys.of+instance)
		}
	}
	if len(hashes) == 0 {
		return nil, true, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, false, fmt.Errorf("list the breakers of %d instances: %w", len(hashes), err)
	}
	complete = true
	for _, instance := range slices.Sorted(maps.Keys(hashes)) {
		fields := hashes[instance].Val()
		if len(fields) == 0 {
			continue // gone, or about to write its list anew
		}
		complete = complete && fields[metaField] == completeList
		delete(fields, metaField)
		for field, text := range fields {
			if s, ok := decodeStatus(field, text); ok {
				s.Instance = instance
				list = append(list, s)
			} else {
				b.notices.WithLabelValues(noticeMalformed).Inc()
			}
		}
	}
	return list, complete, nil
}

// decodeStatus reads one field of a list, which anybody with access to Redis may have written.
func decodeStatus(field, text string) (s catalog.BreakerStatus, ok bool) {
	if len(text) > maxNoticeBytes || json.Unmarshal([]byte(text), &s) != nil || s.Endpoint != field {
		return catalog.BreakerStatus{}, false
	}
	_, known := catalog.ParseEndpointID(s.Endpoint)
	switch s.State {
	case "open", "half-open", "closed":
		return s, known
	}
	return catalog.BreakerStatus{}, false
}
