package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"eventrelay/catalog"
)

// Errors of reads and writes, matched by errors.Is.
var (
	// ErrNotFound: the tenant has no such webhook or integration.
	ErrNotFound = errors.New("not found")
	// ErrExists: the id, uid or name is taken.
	ErrExists = errors.New("already exists")
	// ErrRevision: it was changed since the revision that the caller saw.
	ErrRevision = errors.New("revision does not match")
)

// AmbiguousError is returned by Find for an id that webhooks of several platforms share.
type AmbiguousError struct {
	ID   string
	UIDs []string
}

// Error names the uids, one of which tells the webhooks apart.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("webhook id %q is shared by uids %s: use one of them", e.ID, strings.Join(e.UIDs, ", "))
}

// InUseError is returned by DeleteIntegration. It names the webhooks, by id.
type InUseError struct {
	Name     string
	Webhooks []string
}

// Error names the webhooks.
func (e *InUseError) Error() string {
	return fmt.Sprintf("integration %q is used by webhooks %s", e.Name, strings.Join(e.Webhooks, ", "))
}

// View returns the webhook of that uid. It is made for the hot path: one read lock and one map lookup.
func (r *Registry) View(uid string) (View, bool) {
	s := r.snapshot
	s.mu.RLock()
	v, ok := s.views[uid]
	s.mu.RUnlock()
	return v, ok
}

// Find looks a tenant's webhook up by uid or by id. It returns ErrNotFound, or an *AmbiguousError for an id that
// webhooks of several platforms share.
func (r *Registry) Find(tenant, idOrUID string) (View, error) {
	s := r.snapshot
	s.mu.RLock()
	defer s.mu.RUnlock()
	if v, ok := s.views[idOrUID]; ok && v.Webhook.Tenant == tenant {
		return v, nil
	}
	var uids []string
	for platform := range s.platforms {
		if uid, ok := s.ids[idKey{tenant: tenant, platform: platform, id: idOrUID}]; ok {
			uids = append(uids, uid)
		}
	}
	switch len(uids) {
	case 0:
		return View{}, fmt.Errorf("webhook %q: %w", idOrUID, ErrNotFound)
	case 1:
		return s.views[uids[0]], nil
	default:
		slices.Sort(uids)
		return View{}, &AmbiguousError{ID: idOrUID, UIDs: uids}
	}
}

// FindOn looks up the webhook that a tenant calls id on one platform, where ids are unique. It returns ErrNotFound
// when there is none.
func (r *Registry) FindOn(tenant string, platform catalog.Platform, id string) (View, error) {
	s := r.snapshot
	s.mu.RLock()
	defer s.mu.RUnlock()
	uid, ok := s.ids[idKey{tenant: tenant, platform: platform, id: id}]
	if !ok {
		return View{}, fmt.Errorf("webhook %q on %s: %w", id, platform, ErrNotFound)
	}
	return s.views[uid], nil
}

// MadeBy returns the webhook that a request made under an Idempotency-Key, as long as it is there: when it is deleted,
// the request is forgotten with it.
func (r *Registry) MadeBy(tenant, request string) (View, bool) {
	s := r.snapshot
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.views[s.requests[request]]
	if !ok || v.Webhook.Tenant != tenant {
		return View{}, false
	}
	return v, true
}

// List returns up to limit of a tenant's webhooks, oldest first, behind the cursor after; next is the cursor of the
// following page, empty at the end. An empty after starts at the beginning; one that List did not make gives an
// empty page.
func (r *Registry) List(tenant, after string, limit int) (page []View, next string) {
	from := place{created: minCreated}
	if after != "" {
		var ok bool
		if from, ok = parseCursor(after); !ok {
			return nil, ""
		}
	}
	s := r.snapshot
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.tenants[tenant]
	if !ok || limit <= 0 {
		return nil, ""
	}
	places, more := t.webhooks.after(from, limit)
	page = make([]View, len(places))
	for i, p := range places {
		page[i] = s.views[p.uid]
	}
	if more {
		next = places[len(places)-1].cursor()
	}
	return page, next
}

// selectChunk is how many webhooks Select looks at under one lock: some 50 µs.
const selectChunk = 1000

// Select is List for the webhooks that keep wants. It looks at all of a tenant's webhooks behind the cursor until the
// page is full, which for 100 000 takes some milliseconds; nobody waits for it meanwhile. Its cursors are those of List.
func (r *Registry) Select(tenant, after string, limit int, keep func(View) bool) (page []View, next string) {
	if limit <= 0 {
		return nil, ""
	}
	for {
		var chunk []View
		chunk, after = r.List(tenant, after, selectChunk)
		for _, v := range chunk {
			switch {
			case !keep(v):
			case len(page) < limit:
				page = append(page, v)
			default: // there is another one
				last := page[limit-1].Webhook
				return page, placeOf(last.Created, last.UID).cursor()
			}
		}
		if after == "" {
			return page, ""
		}
	}
}

// Count is the number of webhooks of all tenants.
func (r *Registry) Count() int {
	r.snapshot.mu.RLock()
	defer r.snapshot.mu.RUnlock()
	return len(r.snapshot.views)
}

// Each calls f with every webhook, in no order, until it returns false. It works on a copy of the list, so f may
// take its time and may call the registry.
func (r *Registry) Each(f func(View) bool) {
	s := r.snapshot
	s.mu.RLock()
	views := slices.Collect(maps.Values(s.views))
	s.mu.RUnlock()
	for _, v := range views {
		if !f(v) {
			return
		}
	}
}

// Suspension returns the suspension of a uid and its webhook; either may be nil.
func (r *Registry) Suspension(uid string) (*catalog.Suspension, *catalog.Webhook) {
	s := r.snapshot
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.suspensions[uid], s.views[uid].Webhook
}

// EachSuspension calls f with every suspension, ended ones included, in no order. It works on a copy.
func (r *Registry) EachSuspension(f func(uid string, s *catalog.Suspension)) {
	s := r.snapshot
	s.mu.RLock()
	suspensions := maps.Clone(s.suspensions)
	s.mu.RUnlock()
	for uid, suspension := range suspensions {
		f(uid, suspension)
	}
}

// Integration returns a tenant's integration by name.
func (r *Registry) Integration(tenant, name string) (*catalog.Integration, bool) {
	s := r.snapshot
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.tenants[tenant]
	if !ok {
		return nil, false
	}
	in, ok := t.integrations[name]
	return in, ok
}

// Integrations returns up to limit of a tenant's integrations in the order of their names, behind the name after;
// next continues, empty at the end. Integrations are few, so they are sorted when asked for.
func (r *Registry) Integrations(tenant, after string, limit int) (page []*catalog.Integration, next string) {
	s := r.snapshot
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.tenants[tenant]
	if !ok || limit <= 0 {
		return nil, ""
	}
	names := slices.Sorted(maps.Keys(t.integrations))
	from, found := slices.BinarySearch(names, after)
	if found {
		from++
	}
	for _, name := range names[from:] {
		if len(page) == limit {
			return page, page[limit-1].Name
		}
		page = append(page, t.integrations[name])
	}
	return page, ""
}
