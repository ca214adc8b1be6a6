package divert

import (
	"context"
	"errors"
	"fmt"
)

// ListAt returns up to limit of a webhook's diverted events, the latest first, after the offset latest ones: for
// clients that count where List's go by cursor. What is diverted or removed between two pages shifts them; Page.Next
// is not set. Redis passes over the offset by walking a list, so a page costs more the further behind it lies.
//
// Limit is bounded as for List. It fails with ErrIndexBehind.
func (s *Store) ListAt(ctx context.Context, tenant, uid string, offset, limit int) (Page, error) {
	l, err := s.loadLayout(ctx)
	if err != nil {
		return Page{}, fmt.Errorf("%w: %w", ErrIndexBehind, err)
	}
	p := partitionOfUID(uid, l.partitions())
	covered, err := s.awaitIndexed(ctx, []int32{p})
	if err != nil {
		return Page{}, err
	}
	sp := span{order: orderWebhook, head: uid, reverse: true, skip: max(offset, 0), limit: min(max(limit, 1), maxPage)}
	found, total, err := s.index.page(ctx, p, covered[p], sp)
	if err != nil {
		return Page{}, err
	}
	if len(found) == 0 {
		return Page{}, nil // whose events they would be is not known, so not even their number is told
	}
	page := Page{Items: make([]Entry, len(found)), Total: total}
	for i, item := range found {
		if item.entry.Tenant != tenant {
			return Page{}, nil // as in List
		}
		page.Items[i] = item.entry
	}
	return page, nil
}

// Read returns the diverted event of an entry that a list gave, without looking the entry up again. ErrNotFound: it was
// resolved, deleted or diverted again since.
func (s *Store) Read(ctx context.Context, e Entry) (Detail, error) {
	detail, err := s.read(ctx, e)
	if errors.Is(err, errMoved) {
		return Detail{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return detail, err
}
