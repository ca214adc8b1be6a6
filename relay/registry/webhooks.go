package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"eventrelay/catalog"
)

// ErrInvalid: the resource lacks what its record's key is made of. Everything else is validated by the catalog.
var ErrInvalid = errors.New("invalid")

// CreateWebhook stores a new webhook and returns it. The uid is generated unless w has one; created, updated and
// revision are set. ErrExists: its uid, or its id on its platform, is taken, or its request has made one. catalog.ErrNoIntegration: it names an
// integration that is not there. The tenant's key pair is made with the first webhook that is signed with it. w is not kept.
func (r *Registry) CreateWebhook(ctx context.Context, w *catalog.Webhook) (View, error) {
	w = w.Clone()
	if w.UID == "" {
		w.UID = catalog.NewUID("wh_")
	}
	if err := checkKey(w.Tenant, w.UID, w.ID); err != nil {
		return View{}, fmt.Errorf("create webhook %q: %w", w.ID, err)
	}
	w.Created = now()
	w.Updated, w.Revision = w.Created, 1
	makePair := pairMaker(w.Tenant)
	err := r.writer.write(ctx, func() ([]draft, error) {
		if _, taken := r.View(w.UID); taken {
			return nil, fmt.Errorf("uid %s: %w", w.UID, ErrExists)
		}
		if _, made := r.MadeBy(w.Tenant, w.Request); made {
			return nil, fmt.Errorf("the request was made before: %w", ErrExists)
		}
		if err := r.checkFree(w); err != nil {
			return nil, err
		}
		if err := r.checkReferences(w, nil); err != nil {
			return nil, err
		}
		return r.withKeyPair(w, makePair)
	})
	if err != nil {
		return View{}, fmt.Errorf("create webhook %q: %w", w.ID, err)
	}
	return r.asWritten(w), nil
}

// UpdateWebhook applies edit to a clone of the current webhook and stores the result. ifRevision 0 matches any
// revision, another one must be the current, else ErrRevision. edit may be called more than once, each time with a
// fresh clone; its error is returned as it is and nothing is written. What it does to uid, tenant, platform, created,
// updated, revision and the request that made it is undone. ErrNotFound: the tenant has no such webhook; ErrExists: the new id is taken.
func (r *Registry) UpdateWebhook(ctx context.Context, tenant, uid string, ifRevision int64, edit func(*catalog.Webhook) error) (View, error) {
	var (
		refused error
		stored  *catalog.Webhook // by the latest decision, which is the one that was committed
	)
	makePair := pairMaker(tenant)
	err := r.writer.write(ctx, func() ([]draft, error) {
		refused = nil
		current, err := r.current(tenant, uid, ifRevision)
		if err != nil {
			return nil, err
		}
		next := current.Webhook.Clone()
		if refused = edit(next); refused != nil {
			return nil, refused
		}
		was := current.Webhook
		next.UID, next.Tenant, next.Platform, next.Created = was.UID, was.Tenant, was.Platform, was.Created
		next.Request, next.Fingerprint = was.Request, was.Fingerprint
		next.Updated, next.Revision = now(), was.Revision+1
		next.Signing.DropExpired(next.Updated)
		if err := checkKey(next.Tenant, next.UID, next.ID); err != nil {
			return nil, err
		}
		if err := r.checkFree(next); err != nil {
			return nil, err
		}
		if err := r.checkReferences(next, was); err != nil {
			return nil, err
		}
		stored = next
		return r.withKeyPair(next, makePair)
	})
	switch {
	case refused != nil:
		return View{}, refused
	case err != nil:
		return View{}, fmt.Errorf("update webhook %s: %w", uid, err)
	}
	return r.asWritten(stored), nil
}

// DeleteWebhook removes a webhook, its suspension and what was forced on its breakers. ifRevision is as for UpdateWebhook.
func (r *Registry) DeleteWebhook(ctx context.Context, tenant, uid string, ifRevision int64) error {
	err := r.writer.write(ctx, func() ([]draft, error) {
		current, err := r.current(tenant, uid, ifRevision)
		if err != nil {
			return nil, err
		}
		drafts := []draft{{key: webhookKey(current.Webhook)}}
		if current.Suspension != nil {
			drafts = append(drafts, draft{key: suspensionKey(current.Suspension)})
		}
		drafts = append(drafts, r.withoutBreakers(func(ref catalog.EndpointRef) bool { return ref.Webhook == uid })...)
		return drafts, nil
	})
	if err != nil {
		return fmt.Errorf("delete webhook %s: %w", uid, err)
	}
	return nil
}

// asWritten is the answer to a write of a webhook: what it made, also when somebody else has changed or deleted that
// since. With the revision of another one's change, the writer would go on from what it has not seen.
func (r *Registry) asWritten(w *catalog.Webhook) View {
	v, there := r.View(w.UID)
	if there && v.Webhook.Revision == w.Revision {
		return v
	}
	v.Webhook = w
	v.Integration, _ = r.Integration(w.Tenant, w.Integration)
	return v
}

// answer is the webhook as the snapshot has it, or ErrNotFound when somebody deleted it since.
func (r *Registry) answer(uid string) (View, error) {
	if v, ok := r.View(uid); ok {
		return v, nil
	}
	return View{}, fmt.Errorf("webhook %s: %w", uid, ErrNotFound)
}

// current is the webhook that a write is about.
func (r *Registry) current(tenant, uid string, ifRevision int64) (View, error) {
	v, ok := r.View(uid)
	if !ok || v.Webhook.Tenant != tenant {
		return View{}, ErrNotFound
	}
	if ifRevision != 0 && ifRevision != v.Webhook.Revision {
		return View{}, fmt.Errorf("%w: it is %d, not %d", ErrRevision, v.Webhook.Revision, ifRevision)
	}
	return v, nil
}

// checkFree refuses an id that another webhook of the tenant and platform holds.
func (r *Registry) checkFree(w *catalog.Webhook) error {
	r.snapshot.mu.RLock()
	defer r.snapshot.mu.RUnlock()
	if holder, ok := r.snapshot.ids[idKeyOf(w)]; ok && holder != w.UID {
		return fmt.Errorf("id %q: %w", w.ID, ErrExists)
	}
	return nil
}

// checkReferences refuses names of integrations that are not there. A name that was there before the edit is left
// alone, so that a dangling one never blocks another edit.
func (r *Registry) checkReferences(next, was *catalog.Webhook) error {
	if next.Integration != "" && (was == nil || was.Integration != next.Integration) {
		if _, ok := r.Integration(next.Tenant, next.Integration); !ok {
			return fmt.Errorf("integration %q: %w", next.Integration, catalog.ErrNoIntegration)
		}
	}
	if name := alertOf(next); name != "" && (was == nil || alertOf(was) != name) {
		if _, ok := r.Integration(next.Tenant, name); !ok {
			return fmt.Errorf("alert.integration %q: %w", name, catalog.ErrNoIntegration)
		}
	}
	return nil
}

// alertOf is the name of the integration that is told of given-up deliveries, or empty.
func alertOf(w *catalog.Webhook) string {
	if w.Alert == nil {
		return ""
	}
	return w.Alert.Integration
}

func webhookKey(w *catalog.Webhook) recordKey {
	return recordKey{kind: KindWebhook, tenant: w.Tenant, uid: w.UID}
}

// checkKey refuses what a record's key cannot be made of.
func checkKey(tenant, uid, name string) error {
	switch {
	case tenant == "":
		return fmt.Errorf("%w: no tenant", ErrInvalid)
	case uid == "" || strings.Contains(uid, "/"):
		return fmt.Errorf("%w: uid %q is empty or holds a slash", ErrInvalid, uid)
	case name == "":
		return fmt.Errorf("%w: no id", ErrInvalid)
	}
	return nil
}

// now is the time of a write, at the precision that JSON keeps and APIs show.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
