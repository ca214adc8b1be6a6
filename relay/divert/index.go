package divert

import (
	"context"
	_ "embed" // the scripts
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"

	"eventrelay/relay"
)

// index is the Redis side: per partition seven keys in one hash slot.
//
//	meta       hash: gen, topic, watermark (the offset up to which the topic is covered), at (when it was last known to
//	           cover all of it, Unix ms), and the sizes that the other keys must have
//	entries    hash: delivery id -> entry (see storedEntry)
//	webhook    set ordered as text: uid, divertedAt, delivery id
//	tenant     set ordered as text: tenant, divertedAt, delivery id
//	pending    set ordered as text: uid, epoch, divertedAt, delivery id, of those that are suspended and not being resent
//	resending  set ordered as text: uid, delivery id, generation, of the markers
//	transaction  set ordered as text: transactionHead, divertedAt, delivery id
//
// A set ordered as text pages by value, so that a page begins exactly after the one before however many entries were
// added or removed between.
type index struct {
	redis  redis.UniversalClient
	prefix string
}

// Positions of the ordered sets among the keys, as page.lua counts.
const (
	orderWebhook = 3
	orderTenant  = 4
	orderPending = 5
	// orderTransaction has heads that are digests, see transactionHead.
	orderTransaction = 7
)

// separator ends the first part of a member. Identifiers hold no control character; the next byte ends a range.
const (
	separator      = "\x1f"
	separatorAfter = "\x20"
)

var (
	//go:embed begin.lua
	beginSource string
	//go:embed sound.lua
	soundSource string
	//go:embed apply.lua
	applySource string
	//go:embed page.lua
	pageSource string
	//go:embed entry.lua
	entrySource string
	//go:embed entries.lua
	entriesSource string
	//go:embed count.lua
	countSource string
	//go:embed older.lua
	olderSource string

	beginScript   = redis.NewScript(beginSource)
	applyScript   = redis.NewScript(soundSource + applySource)
	pageScript    = redis.NewScript(soundSource + pageSource)
	entryScript   = redis.NewScript(soundSource + entrySource)
	entriesScript = redis.NewScript(soundSource + entriesSource)
	countScript   = redis.NewScript(soundSource + countSource)
	olderScript   = redis.NewScript(soundSource + olderSource)
	confirmScript = redis.NewScript(`if redis.call('HGET', KEYS[1], 'gen') == ARGV[1] then redis.call('HSET', KEYS[1], 'at', ARGV[2]) end return 0`)
)

// errIndexReset: the index is not the one that the caller knew.
var errIndexReset = errors.New("index was begun anew or lost")

func (x *index) base(partition int32) string {
	return x.prefix + "{divert:" + strconv.Itoa(int(partition)) + "}:"
}

func (x *index) keys(partition int32) []string {
	base := x.base(partition)
	return []string{base + "meta", base + "entries", base + "webhook", base + "tenant", base + "pending", base + "resending", base + "transaction"}
}

// standing is what the index of a partition says of itself.
type standing struct {
	gen       string
	topic     string
	watermark int64
	at        time.Time
}

// trusted reports whether the index may be continued: it is there, of this topic, and no tombstone can have come and
// gone since it last covered the topic.
func (st standing) trusted(topic kadm.TopicID, now time.Time) bool {
	return st.gen != "" && st.topic == topicText(topic) && !st.at.Before(oldestTrusted(now))
}

// oldestTrusted allows an hour for clocks that differ.
func oldestTrusted(now time.Time) time.Time {
	return now.Add(-relay.TombstoneRetention + time.Hour)
}

func topicText(id kadm.TopicID) string { return hex.EncodeToString(id[:]) }

// standings reads them all in one round trip.
func (x *index) standings(ctx context.Context, partitions []int32) (map[int32]standing, error) {
	pipe := x.redis.Pipeline()
	answers := make([]*redis.SliceCmd, len(partitions))
	for i, p := range partitions {
		answers[i] = pipe.HMGet(ctx, x.base(p)+"meta", "gen", "topic", "watermark", "at")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read index watermarks: %w", err)
	}
	all := make(map[int32]standing, len(partitions))
	for i, p := range partitions {
		var st standing
		values := answers[i].Val()
		text := func(at int) string { s, _ := values[at].(string); return s }
		watermark, err := strconv.ParseInt(text(2), 10, 64)
		at, err2 := strconv.ParseInt(text(3), 10, 64)
		if err == nil && err2 == nil {
			st = standing{gen: text(0), topic: text(1), watermark: watermark, at: time.UnixMilli(at)}
		}
		all[p] = st
	}
	return all, nil
}

// begin joins the index of a partition if it is sound and not of the generation distrust, else begins it anew.
func (x *index) begin(ctx context.Context, partition int32, gen string, topic kadm.TopicID, start int64, distrust string, now time.Time) (st standing, begun bool, err error) {
	answer, err := beginScript.Run(ctx, x.redis, x.keys(partition), gen, topicText(topic), start, now.UnixMilli(),
		oldestTrusted(now).UnixMilli(), distrust).Slice()
	if err == nil && len(answer) == 3 {
		st.gen, _ = answer[0].(string)
		text, _ := answer[1].(string)
		st.watermark, err = strconv.ParseInt(text, 10, 64)
		begun = answer[2] == int64(1)
	}
	if err != nil {
		return standing{}, false, fmt.Errorf("begin index of partition %d: %w", partition, err)
	}
	st.topic, st.at = topicText(topic), now
	return st, begun, nil
}

// confirm notes that the index covered the whole topic at that time.
func (x *index) confirm(ctx context.Context, partition int32, gen string, at time.Time) error {
	err := confirmScript.Run(ctx, x.redis, x.keys(partition)[:1], gen, at.UnixMilli()).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("confirm index of partition %d: %w", partition, err)
	}
	return nil
}

// indexed is one change of the topic as the index takes it.
type indexed struct {
	offset int64
	kind   change
	key    Key
	entry  string // for changeDiverted
}

var kindNames = map[change]string{changeDiverted: "diverted", changeRemoved: "removed", changeMarked: "marked", changeUnmarked: "unmarked"}

// apply applies the changes that stand in [first, next). It returns the keys of older generations that came after a
// newer one of the same delivery; errIndexReset if the index is not of generation gen or ends before first.
func (x *index) apply(ctx context.Context, partition int32, gen string, first, next int64, changes []indexed) ([]Key, error) {
	args := make([]any, 0, 3+6*len(changes))
	args = append(args, gen, first, next)
	for _, c := range changes {
		args = append(args, c.offset, kindNames[c.kind], c.key.Delivery, c.key.Generation, c.key.UID, c.entry)
	}
	answer, err := applyScript.Run(ctx, x.redis, x.keys(partition), args...).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("apply to index of partition %d: %w", partition, err)
	}
	switch {
	case len(answer) > 0 && answer[0] == "ahead":
		return nil, nil
	case len(answer) == 0 || answer[0] != "applied":
		return nil, errIndexReset
	}
	var late []Key
	for _, text := range answer[1:] {
		key, err := ParseKey(text)
		if err != nil {
			return nil, err
		}
		late = append(late, key)
	}
	return late, nil
}

// span is a range of one ordered set: everything under head, from and to narrowing it. The bounds are Redis' ("[a",
// "(b"); empty means the end of the range.
type span struct {
	order    int
	head     string
	from, to string
	reverse  bool
	skip     int // so many of the range come before the first one read
	limit    int
}

func (sp span) whole() (from, to string) {
	return "[" + sp.head + separator, "(" + sp.head + separatorAfter
}

// listed is one entry of a page with its member of the ordered set, which is where the next page begins.
type listed struct {
	member string
	entry  Entry
}

// page reads a span of a partition whose watermark is at least least, with the size of the whole range under head.
func (x *index) page(ctx context.Context, partition int32, least int64, sp span) ([]listed, int64, error) {
	wholeFrom, wholeTo := sp.whole()
	from, to := sp.from, sp.to
	if from == "" {
		from = wholeFrom
	}
	if to == "" {
		to = wholeTo
	}
	reverse := "0"
	if sp.reverse {
		reverse = "1"
	}
	answer, err := pageScript.Run(ctx, x.redis, x.keys(partition), least, sp.order, from, to, sp.limit, reverse, wholeFrom, wholeTo, sp.skip).Slice()
	if err != nil {
		return nil, 0, fmt.Errorf("%w: page of partition %d: %w", ErrIndexBehind, partition, err)
	}
	if len(answer) < 2 || answer[0] != "page" {
		return nil, 0, fmt.Errorf("%w: partition %d: %w", ErrIndexBehind, partition, errIndexReset)
	}
	total, _ := answer[1].(int64)
	page, err := decodeListed(partition, answer[2:])
	return page, total, err
}

// decodeListed reads what scripts answer per entry: member, entry, 1 if it is being resent.
func decodeListed(partition int32, answer []any) ([]listed, error) {
	page := make([]listed, 0, len(answer)/3)
	for i := 0; i+2 < len(answer); i += 3 {
		member, _ := answer[i].(string)
		text, _ := answer[i+1].(string)
		entry, err := decodeEntry(lastPart(member), partition, text, answer[i+2] == int64(1))
		if err != nil {
			return nil, err
		}
		page = append(page, listed{member: member, entry: entry})
	}
	return page, nil
}

// entry reads one entry of a partition whose watermark is at least least; ok is false when it is not listed.
func (x *index) entry(ctx context.Context, partition int32, least int64, delivery string) (e Entry, ok bool, err error) {
	answer, err := entryScript.Run(ctx, x.redis, x.keys(partition), least, delivery).Slice()
	if err != nil {
		return Entry{}, false, fmt.Errorf("%w: entry of delivery %s: %w", ErrIndexBehind, shorten(delivery), err)
	}
	switch {
	case len(answer) == 1 && answer[0] == "none":
		return Entry{}, false, nil
	case len(answer) != 3 || answer[0] != "entry":
		return Entry{}, false, fmt.Errorf("%w: partition %d: %w", ErrIndexBehind, partition, errIndexReset)
	}
	text, _ := answer[1].(string)
	e, err = decodeEntry(delivery, partition, text, answer[2] == int64(1))
	return e, err == nil, err
}

// resending counts the markers of a webhook.
func (x *index) resending(ctx context.Context, partition int32, uid string) (int64, error) {
	n, err := x.redis.ZLexCount(ctx, x.keys(partition)[5], "["+uid+separator, "("+uid+separatorAfter).Result()
	if err != nil {
		return 0, fmt.Errorf("count resends of webhook %s: %w", uid, err)
	}
	return n, nil
}

// withPending narrows to the partitions that have something pending.
func (x *index) withPending(ctx context.Context, partitions []int32) ([]int32, error) {
	pipe := x.redis.Pipeline()
	sizes := make([]*redis.IntCmd, len(partitions))
	for i, p := range partitions {
		sizes[i] = pipe.ZCard(ctx, x.keys(p)[4])
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("look for pending diverted events: %w", err)
	}
	var some []int32
	for i, p := range partitions {
		if sizes[i].Val() > 0 {
			some = append(some, p)
		}
	}
	return some, nil
}

// nextPending is the first webhook at or after a bound that has something pending, "" when none has.
func (x *index) nextPending(ctx context.Context, partition int32, from string) (string, error) {
	members, err := x.redis.ZRangeByLex(ctx, x.keys(partition)[4], &redis.ZRangeBy{Min: from, Max: "+", Count: 1}).Result()
	if err != nil {
		return "", fmt.Errorf("look for pending diverted events of partition %d: %w", partition, err)
	}
	if len(members) == 0 {
		return "", nil
	}
	return pendingUID(members[0]), nil
}
