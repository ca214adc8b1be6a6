package admin

import (
	"context"
	"strconv"
	"sync"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/history"
)

// fakeHistory answers with what a test gives it, and keeps the last query of each kind.
type fakeHistory struct {
	mu       sync.Mutex
	attempts []history.Attempt
	since    time.Time
	stats    history.Stats
	rejected []history.Rejected
	events   map[int64]*catalog.Event // by offset, of the topic debt
	fail     error
	// held, when set, is waited for by every scan.
	held chan struct{}

	recentQuery   history.RecentQuery
	attemptQuery  history.AttemptQuery
	statsQuery    history.StatsQuery
	rejectedQuery history.RejectedQuery
}

func (f *fakeHistory) Recent(_ context.Context, q history.RecentQuery) (history.RecentPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recentQuery = q
	if f.fail != nil {
		return history.RecentPage{}, f.fail
	}
	items, next, err := cut(f.attempts, q.Cursor, q.Limit)
	return history.RecentPage{Items: items, Next: next, Since: f.since}, err
}

func (f *fakeHistory) Attempts(_ context.Context, q history.AttemptQuery) ([]history.Attempt, string, error) {
	if f.held != nil {
		<-f.held
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attemptQuery = q
	if f.fail != nil {
		return nil, "", f.fail
	}
	return cut(f.attempts, q.Cursor, q.Limit)
}

func (f *fakeHistory) Stats(_ context.Context, q history.StatsQuery) (history.Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statsQuery = q
	return f.stats, f.fail
}

func (f *fakeHistory) Rejected(_ context.Context, q history.RejectedQuery) ([]history.Rejected, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rejectedQuery = q
	if f.fail != nil {
		return nil, "", f.fail
	}
	return cut(f.rejected, q.Cursor, q.Limit)
}

func (f *fakeHistory) Event(_ context.Context, topic string, _ int32, offset int64) (*catalog.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ev, ok := f.events[offset]
	switch {
	case f.fail != nil:
		return nil, f.fail
	case topic != "debt" || !ok:
		return nil, history.ErrNotFound
	case ev == nil:
		return nil, &history.RejectedError{Reason: "not_json", Detail: "the value is not JSON"}
	}
	return ev, nil
}

// cut pages through a list by index.
func cut[T any](list []T, cursor string, limit int) ([]T, string, error) {
	from, err := strconv.Atoi(cursor)
	if cursor != "" && (err != nil || from > len(list)) {
		return nil, "", history.ErrBadCursor
	}
	if to := from + limit; to < len(list) {
		return list[from:to], strconv.Itoa(to), nil
	}
	return list[from:], "", nil
}

// fakeTester answers with what a test gives it, and keeps what it was asked to send.
type fakeTester struct {
	mu       sync.Mutex
	exchange Exchange
	fail     error
	sent     []*catalog.Event
	webhook  *catalog.Webhook
	held     chan struct{}
}

func (f *fakeTester) Test(_ context.Context, w *catalog.Webhook, _ *catalog.Integration, ev *catalog.Event) (*Exchange, error) {
	if f.held != nil {
		<-f.held
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent, f.webhook = append(f.sent, ev), w
	if f.fail != nil {
		return nil, f.fail
	}
	x := f.exchange
	return &x, nil
}
