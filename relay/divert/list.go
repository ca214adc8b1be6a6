package divert

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"sort"
	"strings"
	"time"
)

// Query selects from the diverted events of a tenant, or of one of its webhooks.
type Query struct {
	Tenant string
	// UID of a webhook; empty means all of the tenant's, deleted ones included.
	UID string
	// Cursor is Page.Next of the page before; empty means the first.
	Cursor string
	// Limit of the page. Default 50, at most 500.
	Limit int

	// The filters below apply together; empty ones do not.
	Type, Reason, TransactionID, EventID string
	// Transaction selects by Entry.Transaction: as TransactionID does, and an event without a transaction by its own id.
	// Both are looked up, not scanned for.
	Transaction string
	// From and To bound DivertedAt: From inclusive, To exclusive.
	From, To time.Time
}

// Page is a part of a list, the latest diverted first. Each entry that is listed throughout appears once, whatever is
// diverted or removed between two pages; one that is resent and diverted again between moves to the front.
type Page struct {
	Items []Entry
	// Next is the cursor of the next page; empty at the end. A page may hold fewer than Limit and still have a Next,
	// when a filter passes over many.
	Next string
	// Total counts the diverted events of the tenant or webhook, filters not applied. It is 0 for a list by transaction.
	Total int64
}

const (
	defaultPage = 50
	maxPage     = 500
	// maxScan bounds the entries that one page of a filtered list looks at, some 30 ms of Redis' time.
	maxScan = 5000
)

// List returns a page, newest first. It fails with ErrIndexBehind when the index cannot be confirmed to hold everything
// that was diverted before the call, and with ErrBadCursor.
func (s *Store) List(ctx context.Context, q Query) (Page, error) {
	if q.Limit <= 0 {
		q.Limit = defaultPage
	}
	q.Limit = min(q.Limit, maxPage)
	head, order := q.Tenant, orderTenant
	if q.UID != "" {
		head, order = q.UID, orderWebhook
	}
	if transaction := cmp.Or(q.TransactionID, q.Transaction); transaction != "" {
		head, order = transactionHead(q.Tenant, transaction), orderTransaction
	}
	after, err := decodeCursor(q.Cursor)
	if err != nil {
		return Page{}, err
	}
	l, err := s.loadLayout(ctx)
	if err != nil {
		return Page{}, fmt.Errorf("%w: %w", ErrIndexBehind, err)
	}
	partitions := allPartitions(l.partitions())
	if q.UID != "" {
		partitions = []int32{partitionOfUID(q.UID, l.partitions())}
	}
	covered, err := s.awaitIndexed(ctx, partitions)
	if err != nil {
		return Page{}, err
	}
	sp := span{order: order, head: head, reverse: true, from: lowerBound(head, q.From), to: upperBound(head, q.To, after)}
	return s.merge(ctx, q, partitions, covered, sp)
}

// merge pages through the partitions together, the latest first.
func (s *Store) merge(ctx context.Context, q Query, partitions []int32, covered map[int32]int64, sp span) (Page, error) {
	var page Page
	scanned := 0
	for {
		sp.limit = min(maxPage, q.Limit+1) // one more tells whether there is a next page
		if q.filtered() {
			sp.limit = maxPage
		}
		var batch []listed
		full := false // some partition has more than it gave
		page.Total = 0
		// A partition that gave all it was asked for says nothing about what lies below its last entry.
		floor := ""
		for _, p := range partitions {
			part, total, err := s.index.page(ctx, p, covered[p], sp)
			if err != nil {
				return Page{}, err
			}
			if sp.order != orderTransaction {
				page.Total += total
			}
			batch = append(batch, part...)
			if len(part) == sp.limit {
				full = true
				floor = max(floor, part[len(part)-1].member)
			}
		}
		sort.Slice(batch, func(i, j int) bool { return batch[i].member > batch[j].member })
		for _, item := range batch {
			if item.member < floor {
				break
			}
			if len(page.Items) == q.Limit {
				page.Next = encodeCursor(sp.to)
				return page, nil
			}
			if sp.order == orderWebhook && item.entry.Tenant != q.Tenant {
				return Page{}, nil // another tenant's webhook has nothing to see, not even a total
			}
			sp.to = "(" + item.member
			scanned++
			if q.selects(item.entry) {
				page.Items = append(page.Items, item.entry)
			}
		}
		switch {
		case !full:
			return page, nil
		case scanned >= maxScan:
			page.Next = encodeCursor(sp.to)
			return page, nil
		}
	}
}

func (q Query) filtered() bool {
	return q.Type != "" || q.Reason != "" || q.TransactionID != "" || q.EventID != "" || q.Transaction != ""
}

// selects decides for an entry that the range of the query already holds.
func (q Query) selects(e Entry) bool {
	return e.Tenant == q.Tenant && (q.UID == "" || e.UID == q.UID) &&
		(q.Type == "" || e.EventType == q.Type) &&
		(q.Transaction == "" || e.Transaction() == q.Transaction) &&
		(q.Reason == "" || string(e.Reason) == q.Reason) &&
		(q.TransactionID == "" || e.TransactionID == q.TransactionID) &&
		(q.EventID == "" || e.EventID == q.EventID)
}

func lowerBound(head string, from time.Time) string {
	if from.IsZero() {
		return ""
	}
	return "[" + head + separator + sortableTime(from)
}

// upperBound is the earlier of the end of the time range and of the page before.
func upperBound(head string, to time.Time, after string) string {
	bound := "(" + head + separatorAfter
	if !to.IsZero() {
		bound = "(" + head + separator + sortableTime(to)
	}
	if after != "" {
		bound = min(bound, "("+head+separator+after)
	}
	return bound
}

// A cursor is what follows the head in the member after which the page begins: "divertedAt/delivery". It names no
// tenant or webhook, so that one list's cursor cannot reach into another.
func encodeCursor(bound string) string {
	_, after, _ := strings.Cut(bound, separator)
	return base64.RawURLEncoding.EncodeToString([]byte(after))
}

func decodeCursor(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	after, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(after) == 0 || len(after) > 256 || strings.ContainsAny(string(after), separator+"\x00") {
		return "", fmt.Errorf("%w: %q", ErrBadCursor, shorten(text))
	}
	return string(after), nil
}
