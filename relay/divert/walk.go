package divert

import (
	"context"
	"fmt"
	"strings"
	"time"

	"eventrelay/relay/jobs"
)

// clockSkew is how far the clocks of two processes may be apart for a job to find everything that was diverted before
// it was created: the walk goes on for so long behind that moment. What is selected is decided by offset.
const clockSkew = time.Minute

// walk visits what a job selects, the oldest first, as one partition's index has it. It holds no more than a page.
type walk struct {
	s         *Store
	job       jobs.Definition
	partition int32
	covered   int64
	span      span
}

// stretch is one part of a walk.
type stretch struct {
	entries []Entry
	// position is behind the last entry that was looked at; the next stretch begins there.
	position string
	end      bool
}

// walk begins one in an index that covers everything diverted before the call.
func (s *Store) walk(ctx context.Context, job jobs.Definition) (*walk, error) {
	l, err := s.loadLayout(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndexBehind, err)
	}
	sel := job.Selection
	x := &walk{s: s, job: job, partition: partitionOfUID(sel.UID, l.partitions()), span: span{order: orderWebhook, head: sel.UID}}
	if sel.TransactionID != "" {
		x.span.order, x.span.head = orderTransaction, transactionHead(job.Tenant, sel.TransactionID)
	}
	to := job.Created.Add(clockSkew)
	if !sel.To.IsZero() && sel.To.Before(to) {
		to = sel.To
	}
	x.span.from, x.span.to = lowerBound(x.span.head, sel.From), upperBound(x.span.head, to, "")
	covered, err := s.awaitIndexed(ctx, []int32{x.partition})
	x.covered = covered[x.partition]
	return x, err
}

// next looks at one page behind a position and returns what is selected of it, but no more than most.
func (x *walk) next(ctx context.Context, position string, most int) (stretch, error) {
	sp := x.span
	sp.limit = maxPage
	if position != "" {
		sp.from = "(" + sp.head + separator + position
	}
	page, _, err := x.s.index.page(ctx, x.partition, x.covered, sp)
	if err != nil {
		return stretch{}, err
	}
	part := stretch{position: position}
	for _, item := range page {
		if len(part.entries) == most {
			return part, nil
		}
		_, part.position, _ = strings.Cut(item.member, separator)
		if x.selects(item.entry) {
			part.entries = append(part.entries, item.entry)
		}
	}
	part.end = len(page) < sp.limit
	return part, nil
}

func (x *walk) selects(e Entry) bool {
	sel := x.job.Selection
	q := Query{Tenant: x.job.Tenant, UID: sel.UID, Type: sel.Type, Reason: sel.Reason, TransactionID: sel.TransactionID, EventID: sel.EventID}
	return e.Offset < x.job.Below && q.selects(e)
}

// positionOf is the position behind an entry.
func positionOf(e Entry) string { return sortableTime(e.DivertedAt) + "/" + e.DeliveryID }

// count is how many are selected now. between is called now and then; its error ends the count.
func (x *walk) count(ctx context.Context, between func() error) (int64, error) {
	sp := x.span.bounded()
	total := int64(0)
	for {
		n, last, err := x.s.index.count(ctx, x.partition, x.covered, sp, x.job)
		if err != nil {
			return 0, err
		}
		if total += n; last == "" {
			return total, nil
		}
		sp.from = "(" + last
		if err := between(); err != nil {
			return 0, err
		}
	}
}

// bounded is the span with its open ends closed.
func (sp span) bounded() span {
	from, to := sp.whole()
	if sp.from == "" {
		sp.from = from
	}
	if sp.to == "" {
		sp.to = to
	}
	return sp
}
