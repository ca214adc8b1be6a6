package divert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"eventrelay/relay/jobs"
)

// Bulk asks for something to be done to many diverted events of a webhook.
type Bulk struct {
	// ID of the job that it becomes; asking twice for one id is asking once.
	ID          string
	Tenant      string
	Kind        jobs.Kind
	Selection   jobs.Selection
	Fingerprint string
}

// ErrNoJobs: this process keeps no jobs.
var ErrNoJobs = errors.New("bulk operations are not configured")

// Start makes a job of b and returns when that is durable; the sweeper of some process carries it out. What is diverted
// after the call is not selected. ErrNotFound: the tenant has neither such a webhook nor diverted events of one.
// ErrInactive, ErrIndexBehind, jobs.ErrTooMany, jobs.ErrBehind.
func (s *Store) Start(ctx context.Context, b Bulk) (jobs.Job, error) {
	if s.o.Jobs == nil {
		return jobs.Job{}, ErrNoJobs
	}
	job, err := s.o.Jobs.Get(ctx, b.Tenant, b.ID)
	if !errors.Is(err, jobs.ErrNotFound) { // asked before, or not to be known
		return job, err
	}
	if err := s.known(ctx, b.Tenant, b.Selection.UID); err != nil {
		return jobs.Job{}, err
	}
	if _, _, active := s.active(b.Selection.UID); b.Kind == jobs.KindResend && !active {
		return jobs.Job{}, fmt.Errorf("resend to webhook %s: %w", shorten(b.Selection.UID), ErrInactive)
	}
	l, err := s.loadLayout(ctx)
	if err != nil {
		return jobs.Job{}, fmt.Errorf("%w: %w", ErrIndexBehind, err)
	}
	p := partitionOfUID(b.Selection.UID, l.partitions())
	ends, err := s.endOffsets(ctx, []int32{p})
	if err != nil {
		return jobs.Job{}, fmt.Errorf("%w: %w", ErrIndexBehind, err)
	}
	job, err = s.o.Jobs.Create(ctx, jobs.Definition{
		ID: b.ID, Tenant: b.Tenant, Kind: b.Kind, Selection: b.Selection, Below: ends[p], Created: time.Now(), Fingerprint: b.Fingerprint,
	})
	if err != nil {
		return jobs.Job{}, err
	}
	s.Kick()
	return job, nil
}

// known fails with ErrNotFound unless the tenant has that webhook, or diverted events of it after it was deleted.
func (s *Store) known(ctx context.Context, tenant, uid string) error {
	if _, webhook := s.o.Webhooks.Suspension(uid); webhook != nil && webhook.Tenant == tenant {
		return nil
	}
	page, err := s.List(ctx, Query{Tenant: tenant, UID: uid, Limit: 1})
	if err == nil && len(page.Items) == 0 {
		err = fmt.Errorf("%w: none of webhook %s", ErrNotFound, shorten(uid))
	}
	return err
}

// countStep bounds the entries that one script looks at while counting, some 20 ms of Redis' time.
const countStep = 5000

// Count is how many diverted events a job with this selection would find now. ErrNotFound as for Start; ErrIndexBehind.
func (s *Store) Count(ctx context.Context, tenant string, sel jobs.Selection) (int64, error) {
	if err := s.known(ctx, tenant, sel.UID); err != nil {
		return 0, err
	}
	x, err := s.walk(ctx, jobs.Definition{Tenant: tenant, Selection: sel, Below: math.MaxInt64, Created: time.Now()})
	if err != nil {
		return 0, err
	}
	if sel.Type == "" && sel.Reason == "" && sel.TransactionID == "" && sel.EventID == "" {
		// All of a webhook's are of one tenant, so the first one tells and no other is looked at.
		first, err := x.next(ctx, "", 1)
		if err != nil || len(first.entries) == 0 {
			return 0, err
		}
		return s.index.size(ctx, x.partition, x.covered, x.span.bounded())
	}
	return x.count(ctx, func() error { return context.Cause(ctx) })
}
