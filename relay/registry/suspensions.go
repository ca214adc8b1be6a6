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
	return r.SuspendAfter(ctx, uid, "", reason, lastFailure)
}

// SuspendAfter is Suspend because of the delivery of an event of that type.
func (r *Registry) SuspendAfter(ctx context.Context, uid, eventType, reason, lastFailure string) (*catalog.Suspension, error) {
	// A storm of failures asks for the same suspension from many lanes: only the first has to write.
	if v, ok := r.View(uid); ok && v.Suspension != nil && v.Suspension.Active {
		return v.Suspension, nil
	}
	err := r.writer.write(ctx, func() ([]draft, error) {
		v, ok := r.View(uid)
		if !ok {
			return nil, ErrNotFound
		}
		next, changed := suspended(v, eventType, reason, lastFailure)
		if !changed {
			return nil, nil
		}
		return r.announced(v.Webhook, next), nil
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
		return r.announced(v.Webhook, next), nil
	})
	if err != nil {
		return View{}, fmt.Errorf("unsuspend webhook %s: %w", uid, err)
	}
	return r.answer(uid)
}

// suspended is the suspension of a webhook after suspending it, and whether that differs from before.
func suspended(v View, eventType, reason, lastFailure string) (next *catalog.Suspension, changed bool) {
	next = &catalog.Suspension{
		UID: v.Webhook.UID, Tenant: v.Webhook.Tenant, Epoch: 1, Active: true, Since: now(), Reason: reason, LastFailure: lastFailure, EventType: eventType,
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

// announced are the drafts of a suspension that changed: the announcement of it, then the suspension.
func (r *Registry) announced(w *catalog.Webhook, s *catalog.Suspension) []draft {
	drafts := []draft{{key: suspensionKey(s), content: s}}
	if r.opts.Announce == nil {
		return drafts
	}
	if rec := r.opts.Announce(w, s, r.Applied()); rec != nil {
		return []draft{{announcement: rec}, drafts[0]}
	}
	return drafts
}

func suspensionKey(s *catalog.Suspension) recordKey {
	return recordKey{kind: KindSuspension, tenant: s.Tenant, uid: s.UID}
}
