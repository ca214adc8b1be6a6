package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// RecentQuery selects from the latest attempts of a webhook.
type RecentQuery struct {
	Tenant, UID string
	// The filters below apply together; empty ones do not.
	EventID string
	Result  Result
	// To bounds the time, exclusive.
	To     time.Time
	Cursor string
	Limit  int
}

// RecentPage is a part of the latest attempts of a webhook, the latest first.
type RecentPage struct {
	Items []Attempt
	Next  string
	// Since is when the recent view began: it knows of nothing earlier.
	Since time.Time
}

// Recent lists the latest attempts of a webhook, as Redis remembers them; those of result failed reach further back than
// failures among all. ErrBadCursor, ErrUnavailable.
func (h *History) Recent(ctx context.Context, q RecentQuery) (RecentPage, error) {
	after, err := parsePosition(q.Cursor)
	if err != nil {
		return RecentPage{}, err
	}
	list := h.keys.all(q.UID)
	if q.Result == ResultFailed {
		list = h.keys.failed(q.UID)
	}
	var texts *redis.StringSliceCmd
	since, err := h.ask(ctx, func(p redis.Pipeliner) { texts = p.LRange(ctx, list, 0, kept-1) })
	if err != nil {
		return RecentPage{}, err
	}
	var attempts []Attempt
	for _, text := range texts.Val() {
		var a Attempt
		if json.Unmarshal([]byte(text), &a) != nil || a.UID != q.UID || a.Tenant != q.Tenant {
			continue // a cache may hold anything
		}
		if (q.EventID == "" || a.EventID == q.EventID) && q.Result.selects(&a) && within(a.At, time.Time{}, q.To) && after.before(&a) {
			attempts = append(attempts, a)
		}
	}
	// Several instances write, so the list is only nearly in order.
	slices.SortFunc(attempts, func(a, b Attempt) int { return positionOf(&a).compare(positionOf(&b)) })
	p := RecentPage{Items: attempts, Since: since}
	if len(attempts) > q.Limit {
		p.Items = attempts[:q.Limit]
		p.Next = positionOf(&p.Items[q.Limit-1]).String()
	}
	return p, nil
}

// ask sends reads in one round trip, with the time since when there is anything. Where Redis was emptied and nothing has
// been written since, that is now.
func (h *History) ask(ctx context.Context, reads func(redis.Pipeliner)) (since time.Time, err error) {
	var began *redis.StringCmd
	now := time.Now()
	_, err = h.o.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.SetNX(ctx, h.keys.since(), strconv.FormatInt(now.UnixMilli(), 10), 0)
		began = p.Get(ctx, h.keys.since())
		reads(p)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return time.Time{}, fmt.Errorf("%w: redis: %w", ErrUnavailable, err)
	}
	since = now
	if ms, err := strconv.ParseInt(began.Val(), 10, 64); err == nil && ms <= now.UnixMilli() {
		since = time.UnixMilli(ms)
	}
	if earliest := now.Add(-keptFor); since.Before(earliest) {
		since = earliest
	}
	return since.UTC(), nil
}

// position is where an attempt stands in the list: the latest first.
type position struct {
	at       int64 // Unix ns
	delivery string
	attempt  int
}

func positionOf(a *Attempt) position { return position{a.At.UnixNano(), a.DeliveryID, a.Attempt} }

func (p position) compare(q position) int {
	switch {
	case p.at != q.at:
		return int(max(min(q.at-p.at, 1), -1))
	case p.delivery != q.delivery:
		return strings.Compare(q.delivery, p.delivery)
	default:
		return q.attempt - p.attempt
	}
}

// before reports whether the position is in front of an attempt; the zero position is in front of all.
func (p position) before(a *Attempt) bool { return p == position{} || p.compare(positionOf(a)) < 0 }

func (p position) String() string { return fmt.Sprintf("%d/%d/%s", p.at, p.attempt, p.delivery) }

func parsePosition(text string) (position, error) {
	if text == "" {
		return position{}, nil
	}
	parts := strings.SplitN(text, "/", 3)
	if len(parts) != 3 {
		return position{}, ErrBadCursor
	}
	at, err := strconv.ParseInt(parts[0], 10, 64)
	attempt, attemptErr := strconv.Atoi(parts[1])
	if err != nil || attemptErr != nil {
		return position{}, ErrBadCursor
	}
	return position{at: at, attempt: attempt, delivery: parts[2]}, nil
}
