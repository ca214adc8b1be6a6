package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrBadCursor is returned for a cursor that the list did not give.
var ErrBadCursor = errors.New("not a cursor of this list")

// ErrUnavailable is matched by the errors of reads that Kafka or Redis did not answer: asking again may help.
var ErrUnavailable = errors.New("history is not available")

const (
	// scanRecords and scanBytes bound what one page of a topic looks at: some 200 ms of a broker's and this process's time.
	scanRecords = 100_000
	scanBytes   = 64 << 20
	// A partition is read backwards in chunks of at least minChunk and at most maxChunk records, sized so that a chunk has
	// about chunkBytes.
	minChunk, maxChunk = 8, 2000
	chunkBytes         = 2 << 20
	// batchRecords is added to an offset that was found by time: some brokers answer with the beginning of the batch that
	// the record is in. Records are selected by their own time in any case.
	batchRecords = 10_000
)

// found is a record that a scan selected, as the caller keeps it.
type found[T any] struct {
	item      T
	partition int32
	offset    int64
	at        time.Time
}

// scan reads a topic backwards: partitions in chunks, that first whose unread records are the latest. It belongs to one
// call.
type scan[T any] struct {
	topics topics
	layout layout
	// only partitions that are in next are read. next is exclusive: the offset below which a partition is unread.
	next, starts map[int32]int64
	// frontier is the time of the earliest record that was read of a partition.
	frontier map[int32]time.Time
	from     time.Time // records before it end a partition
	pick     func(*kgo.Record) (T, bool)

	items          []found[T]
	records, bytes int
}

// scanQuery says what a scan reads.
type scanQuery struct {
	topic     string
	partition func(partitions int) int32 // nil: all
	from, to  time.Time                  // of the records; zero: unbounded
	cursor    string
	limit     int
}

// page scans from the cursor, or from the end, until limit items were found, the topic is read or the bounds of one
// page are reached, in which case it may hold fewer and still have a next. Items are the latest first; where a topic has
// several partitions, as their records' times say.
func page[T any](ctx context.Context, t topics, q scanQuery, pick func(*kgo.Record) (T, bool)) (items []T, next string, err error) {
	s := &scan[T]{topics: t, from: q.from, pick: pick, frontier: map[int32]time.Time{}}
	if err := s.begin(ctx, q); err != nil {
		return nil, "", err
	}
	for len(s.items) < q.limit && s.records < scanRecords && s.bytes < scanBytes {
		p, ok := s.latest()
		if !ok {
			break
		}
		if err := s.readChunk(ctx, p); err != nil {
			if s.records > 0 {
				break // what was read is answered; the next page meets the error, if it stays
			}
			return nil, "", fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	s.cut(q.limit)
	items = make([]T, len(s.items))
	for i, f := range s.items {
		items[i] = f.item
	}
	return items, s.cursor(), nil
}

// begin finds out where the partitions begin and where to start in them.
func (s *scan[T]) begin(ctx context.Context, q scanQuery) error {
	var err error
	if s.layout, err = s.topics.layout(ctx, q.topic); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	starts, ends, err := s.topics.bounds(ctx, s.layout)
	if err == nil && q.cursor == "" && !q.to.IsZero() {
		var earlier []int64
		earlier, err = s.topics.endsBefore(ctx, s.layout, q.to.UnixMilli())
		for p := range earlier {
			ends[p] = min(ends[p], earlier[p]+batchRecords)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	s.next, s.starts = map[int32]int64{}, map[int32]int64{}
	for p := range ends {
		if q.partition == nil || q.partition(len(ends)) == int32(p) {
			s.next[int32(p)], s.starts[int32(p)] = ends[p], starts[p]
		}
	}
	if q.cursor == "" {
		return nil
	}
	at, err := parseCursor(q.cursor)
	if err != nil {
		return err
	}
	for p, end := range s.next {
		s.next[p] = min(at[p], end) // a partition that the cursor does not name was read to its beginning
	}
	return nil
}

// latest is the partition to read next: of those with unread records, the one that was read least far back.
func (s *scan[T]) latest() (int32, bool) {
	best, found := int32(0), false
	for p := range int32(len(s.layout.leaders)) {
		if s.next[p] <= s.starts[p] {
			continue
		}
		if !found || s.frontierOf(p).After(s.frontierOf(best)) {
			best, found = p, true
		}
	}
	return best, found
}

// frontierOf a partition of which nothing was read yet is later than any.
func (s *scan[T]) frontierOf(p int32) time.Time {
	if at, ok := s.frontier[p]; ok {
		return at
	}
	return time.UnixMilli(math.MaxInt64)
}

func (s *scan[T]) readChunk(ctx context.Context, p int32) error {
	size := int64(minChunk)
	if s.records > 0 {
		size = min(max(chunkBytes/int64(max(1, s.bytes/s.records)), minChunk), maxChunk)
	}
	from := max(s.starts[p], s.next[p]-size)
	var chunk []found[T]
	first := true
	records := 0
	bytes, err := s.topics.read(ctx, s.layout, p, from, s.next[p], func(rec *kgo.Record) {
		records++
		if first {
			s.frontier[p], first = rec.Timestamp, false
		}
		if !s.from.IsZero() && rec.Timestamp.Before(s.from) {
			return
		}
		if item, ok := s.pick(rec); ok {
			chunk = append(chunk, found[T]{item, p, rec.Offset, rec.Timestamp})
		}
	})
	if err != nil {
		return err
	}
	s.records, s.bytes = s.records+max(records, 1), s.bytes+bytes
	s.items = append(s.items, chunk...)
	s.next[p] = from
	if !first && !s.from.IsZero() && s.frontier[p].Before(s.from) {
		s.next[p] = s.starts[p] // all below is earlier
	}
	return nil
}

// cut sorts what was found, the latest first, and keeps limit items; the others are left for the next page.
func (s *scan[T]) cut(limit int) {
	slices.SortStableFunc(s.items, func(a, b found[T]) int {
		if c := b.at.Compare(a.at); c != 0 {
			return c
		}
		return int(b.offset - a.offset)
	})
	if len(s.items) <= limit {
		return
	}
	unread := map[int32]int64{}
	for _, f := range s.items[limit:] {
		unread[f.partition] = max(unread[f.partition], f.offset+1)
	}
	for p, offset := range unread {
		s.next[p] = offset
	}
	s.items = s.items[:limit]
}

// cursor names the partitions that have unread records; empty at the end.
func (s *scan[T]) cursor() string {
	var parts []string
	for p := range int32(len(s.layout.leaders)) {
		if s.next[p] > s.starts[p] {
			parts = append(parts, fmt.Sprintf("%d:%d", p, s.next[p]))
		}
	}
	return strings.Join(parts, ",")
}

func parseCursor(text string) (map[int32]int64, error) {
	at := map[int32]int64{}
	for part := range strings.SplitSeq(text, ",") {
		partition, offset, ok := strings.Cut(part, ":")
		p, err := strconv.ParseInt(partition, 10, 32)
		o, offsetErr := strconv.ParseInt(offset, 10, 64)
		if !ok || err != nil || offsetErr != nil || p < 0 || o < 0 {
			return nil, ErrBadCursor
		}
		at[int32(p)] = o
	}
	return at, nil
}
