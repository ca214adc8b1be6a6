package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"eventrelay/catalog"
)

// IfAbsent as the ifRevision of PutIntegration demands that there is none of that name.
const IfAbsent int64 = -1

// PutIntegration creates the integration of that name or replaces it, and returns it. ifRevision 0 does either;
// IfAbsent only creates, else ErrExists; another one must be the current revision, else ErrRevision. All webhooks
// that name it use the new one at once. in is not kept.
func (r *Registry) PutIntegration(ctx context.Context, in *catalog.Integration, ifRevision int64) (*catalog.Integration, error) {
	uid := in.UID
	if uid == "" {
		uid = catalog.NewUID("in_")
	}
	if err := checkKey(in.Tenant, uid, in.Name); err != nil {
		return nil, fmt.Errorf("put integration %q: %w", in.Name, err)
	}
	var stored *catalog.Integration // by the latest decision, which is the one that was committed
	err := r.writer.write(ctx, func() ([]draft, error) {
		was, exists := r.Integration(in.Tenant, in.Name)
		if err := checkIntegrationRevision(was, exists, ifRevision); err != nil {
			return nil, err
		}
		next := *in
		next.UID, next.Created, next.Revision = uid, now(), 1
		next.Updated = next.Created
		if exists {
			next.UID, next.Created, next.Revision = was.UID, was.Created, was.Revision+1
			next.Request, next.Fingerprint = was.Request, was.Fingerprint
		}
		next.Signing.DropExpired(next.Updated)
		stored = &next
		return []draft{{key: integrationKey(&next), content: &next}}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("put integration %q: %w", in.Name, err)
	}
	if now, there := r.Integration(in.Tenant, in.Name); there && now.UID == stored.UID && now.Revision == stored.Revision {
		return now, nil
	}
	return stored, nil // somebody else has changed or deleted it since
}

func checkIntegrationRevision(was *catalog.Integration, exists bool, ifRevision int64) error {
	switch {
	case ifRevision == IfAbsent && exists:
		return ErrExists
	case ifRevision > 0 && !exists:
		return fmt.Errorf("%w: there is none", ErrRevision)
	case ifRevision > 0 && was.Revision != ifRevision:
		return fmt.Errorf("%w: it is %d, not %d", ErrRevision, was.Revision, ifRevision)
	}
	return nil
}

// DeleteIntegration removes an integration that no webhook names, neither as its endpoint nor for alerts; else it
// returns an *InUseError. ifRevision is as for UpdateWebhook. ErrNotFound: there is none of that name.
func (r *Registry) DeleteIntegration(ctx context.Context, tenant, name string, ifRevision int64) error {
	err := r.writer.write(ctx, func() ([]draft, error) {
		in, ok := r.Integration(tenant, name)
		if !ok {
			return nil, ErrNotFound
		}
		if err := checkIntegrationRevision(in, true, ifRevision); err != nil {
			return nil, err
		}
		if ids := r.usersOf(tenant, name); len(ids) > 0 {
			return nil, &InUseError{Name: name, Webhooks: ids}
		}
		drafts := []draft{{key: integrationKey(in)}}
		return append(drafts, r.withoutBreakers(func(ref catalog.EndpointRef) bool { return ref.Integration == in.UID })...), nil
	})
	if err != nil {
		return fmt.Errorf("delete integration %q: %w", name, err)
	}
	return nil
}

// usersOf are the ids of the webhooks that name an integration, sorted, each once.
func (r *Registry) usersOf(tenant, name string) []string {
	s := r.snapshot
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.tenants[tenant]
	if !ok {
		return nil
	}
	uids := map[string]struct{}{}
	maps.Copy(uids, t.users[name])
	maps.Copy(uids, t.alerted[name])
	ids := make([]string, 0, len(uids))
	for uid := range uids {
		ids = append(ids, s.views[uid].Webhook.ID)
	}
	slices.Sort(ids)
	return ids
}

func integrationKey(in *catalog.Integration) recordKey {
	return recordKey{kind: KindIntegration, tenant: in.Tenant, uid: in.UID}
}
