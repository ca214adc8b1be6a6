package history

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

// Rejected is a record that could not be decoded, as relay.rejected keeps it.
type Rejected struct {
	// Topic, Partition and Offset are where it was read.
	Topic     string
	Partition int32
	Offset    int64
	Reason    string
	Detail    string
	At        time.Time
	// Size is that of the value in bytes; Kept is false when it was too large to be kept, and the size is not known then.
	Size int
	Kept bool
	// Preview is the first bytes of the value, made valid UTF-8.
	Preview string
}

// previewBytes of a rejected value are shown.
const previewBytes = 256

// RejectedQuery selects from the rejected records. Filters apply together; empty ones do not.
type RejectedQuery struct {
	Topic, Reason string
	// From and To bound the time of the rejection: From inclusive, To exclusive.
	From, To time.Time
	Cursor   string
	Limit    int
}

// Rejected lists rejected records, the latest first. A page looks at a bounded number of bytes, so it may hold fewer
// than Limit, or none, and still have a next. ErrBadCursor, ErrUnavailable.
func (h *History) Rejected(ctx context.Context, q RejectedQuery) (items []Rejected, next string, err error) {
	sq := scanQuery{topic: h.o.Topics.Rejected(), from: q.From, to: q.To, cursor: q.Cursor, limit: q.Limit}
	return page(ctx, h.topics, sq, func(rec *kgo.Record) (Rejected, bool) {
		r, ok := rejectedOf(rec)
		return r, ok && (q.Topic == "" || r.Topic == q.Topic) && (q.Reason == "" || r.Reason == q.Reason) && within(r.At, q.From, q.To)
	})
}

// rejectedOf reads a record of relay.rejected; false: it is not one of ours.
func rejectedOf(rec *kgo.Record) (Rejected, bool) {
	source, ok := relay.Header(rec, relay.HeaderSource)
	if !ok {
		return Rejected{}, false
	}
	// topic/partition/offset: a topic's name holds no slash.
	parts := strings.Split(string(source), "/")
	if len(parts) != 3 {
		return Rejected{}, false
	}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	offset, offsetErr := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || offsetErr != nil {
		return Rejected{}, false
	}
	reason, _ := relay.Header(rec, relay.HeaderReason)
	detail, _ := relay.Header(rec, relay.HeaderDetail)
	return Rejected{
		Topic: parts[0], Partition: int32(partition), Offset: offset, Reason: string(reason), Detail: string(detail),
		At: rec.Timestamp, Size: len(rec.Value), Kept: rec.Value != nil, Preview: preview(rec.Value, previewBytes),
	}, true
}

// preview is the beginning of what may be any bytes, as text.
func preview(b []byte, most int) string {
	if len(b) > most {
		for most > 0 && !utf8.RuneStart(b[most]) {
			most--
		}
		b = b[:most]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
