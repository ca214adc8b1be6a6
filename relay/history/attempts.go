package history

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// AttemptQuery selects from the attempts that relay.attempts holds.
type AttemptQuery struct {
	Tenant string
	// UID of a webhook; empty means all of the tenant's, for which every partition is read.
	UID string
	// The filters below apply together; empty ones do not.
	EventID string
	Result  Result
	// From and To bound the time: From inclusive, To exclusive.
	From, To time.Time
	Cursor   string
	Limit    int
}

// Attempts reads attempts back from the topic, the latest first. A page looks at a bounded number of records, so it may
// hold fewer than Limit, or none, and still have a next. ErrBadCursor, ErrUnavailable.
func (h *History) Attempts(ctx context.Context, q AttemptQuery) (items []Attempt, next string, err error) {
	sq := scanQuery{topic: h.o.Topics.Attempts(), from: q.From, to: q.To, cursor: q.Cursor, limit: q.Limit}
	if q.UID != "" {
		sq.partition = func(n int) int32 { return partitionOf(q.UID, n) }
	}
	if !q.From.IsZero() {
		sq.from = q.From.Add(-appendLag)
	}
	if !q.To.IsZero() {
		sq.to = q.To.Add(appendLag)
	}
	// Looking for the text first spares decoding the records that cannot be meant.
	var wanted []byte
	if q.EventID != "" {
		quoted, err := json.Marshal(q.EventID)
		if err != nil {
			return nil, "", err
		}
		wanted = quoted
	}
	return page(ctx, h.topics, sq, func(rec *kgo.Record) (Attempt, bool) {
		if q.UID != "" && string(rec.Key) != q.UID || !bytes.Contains(rec.Value, wanted) {
			return Attempt{}, false
		}
		var a Attempt
		if json.Unmarshal(rec.Value, &a) != nil {
			return Attempt{}, false // not one of ours
		}
		return a, a.Tenant == q.Tenant && (q.EventID == "" || a.EventID == q.EventID) && q.Result.selects(&a) && within(a.At, q.From, q.To)
	})
}

// appendLag is how much later than its attempt a record may have been written, or earlier by the clocks of two machines.
const appendLag = time.Minute

func within(at, from, to time.Time) bool {
	return (from.IsZero() || !at.Before(from)) && (to.IsZero() || at.Before(to))
}

// partitionOf is the partition to which producers write the records of a key.
func partitionOf(key string, partitions int) int32 {
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(key)}, partitions))
}
