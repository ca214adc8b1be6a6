package registry

import (
	"context"
	"fmt"
	"slices"

	"eventrelay/catalog"
)

// Suspend begins a new epoch in which the webhook's events are diverted, or returns the one that is under way. reason
// and lastFailure are for reading. ErrNotFound: there is no such webhook.
func (r *Registry) Suspend(ctx context.Context, uid, reason, lastFailure string) (*catalog.Suspension, error) {
	// A storm of failures asks for the same suspension from many lanes: only the first has to write.
	if v, ok := r.View(uid); ok && v.Suspension != nil && v.Suspension.Active {
		return v.Suspension, nil
	}
	err := r.writer.write(ctx, func() ([]draft, error) {
		v, ok := r.View(uid)
		if !ok {
			return nil, ErrNotFound
		}
		next, changed := suspended(v, reason, lastFailure)
		if !changed {
			return nil, nil
		}
		return []draft{{key: suspensionKey(next), content: next}}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("suspend webhook %s: %w", uid, err)
	}
	if v, ok := r.View(uid); ok && v.Suspension != nil {
		return v.Suspension, nil
	}
	return nil, fmt.Errorf("suspend webhook %s: %w", uid, ErrNotFound)
}

// Unsuspend ends the epoch that is under way, if one is. With resend, what was diverted in it is sent on; without, it
// stays diverted.
func (r *Registry) Unsuspend(ctx context.Context, tenant, uid string, resend bool) (View, error) {
	err := r.writer.write(ctx, func() ([]draft, error) {
		v, err := r.current(tenant, uid, 0)
		if err != nil {
			return nil, err
		}
		next, changed := unsuspended(v.Suspension, resend)
		if !changed {
			return nil, nil
		}
		return []draft{{key: suspensionKey(next), content: next}}, nil
	})
	if err != nil {
		return View{}, fmt.Errorf("unsuspend webhook %s: %w", uid, err)
	}
	return r.answer(uid)
}

// suspended is the suspension of a webhook after suspending it, and whether that differs from before.
func suspended(v View, reason, lastFailure string) (next *catalog.Suspension, changed bool) {
	next = &catalog.Suspension{
		UID: v.Webhook.UID, Tenant: v.Webhook.Tenant, Epoch: 1, Active: true, Since: now(), Reason: reason, LastFailure: lastFailure,
	}
	if s := v.Suspension; s != nil {
		if s.Active {
			return s, false
		}
		next.Epoch, next.Kept = s.Epoch+1, s.Kept
	}
	return next, true
}

// unsuspended is the suspension after ending it, and whether that differs from before.
func unsuspended(s *catalog.Suspension, resend bool) (next *catalog.Suspension, changed bool) {
	if s == nil || !s.Active {
		return s, false
	}
	ended := *s
	ended.Active, ended.Kept = false, slices.Clone(s.Kept)
	if !resend {
		ended.Kept = append(ended.Kept, s.Epoch)
	}
	return &ended, true
}

func suspensionKey(s *catalog.Suspension) recordKey {
	return recordKey{kind: KindSuspension, tenant: s.Tenant, uid: s.UID}
}
