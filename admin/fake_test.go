package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/audit"
	"eventrelay/relay/divert"
	"eventrelay/relay/registry"
)

// fakeRegistry keeps what the real one keeps, in memory and without fencing.
type fakeRegistry struct {
	writing      sync.Mutex                  // serialises updates, as the real one does; taken before mu
	mu           sync.Mutex                  // never held while an edit runs, which may read
	webhooks     map[string]*catalog.Webhook // by uid
	suspensions  map[string]*catalog.Suspension
	integrations map[string]*catalog.Integration // by tenant/name
	breakers     []*catalog.ForcedBreaker
	// fail is returned by every write; beforeWrite runs ahead of each.
	fail        error
	beforeWrite func()
	fakeKeys
}

func newFakeRegistry() *fakeRegistry {
	return &fakeRegistry{
		webhooks: map[string]*catalog.Webhook{}, suspensions: map[string]*catalog.Suspension{}, integrations: map[string]*catalog.Integration{},
	}
}

// write begins a write: it returns holding the lock unless it fails.
func (f *fakeRegistry) write(ctx context.Context) error {
	if f.beforeWrite != nil {
		f.beforeWrite()
	}
	if f.fail != nil {
		return f.fail
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.mu.Lock()
	f.acted = append(f.acted, audit.FromContext(ctx))
	return nil
}

func (f *fakeRegistry) view(uid string) registry.View {
	w := f.webhooks[uid]
	return registry.View{Webhook: w, Suspension: f.suspensions[uid], Integration: f.integrations[w.Tenant+"/"+w.Integration]}
}

func (f *fakeRegistry) Find(tenant, idOrUID string) (registry.View, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w := f.webhooks[idOrUID]; w != nil && w.Tenant == tenant {
		return f.view(idOrUID), nil
	}
	var uids []string
	for uid, w := range f.webhooks {
		if w.Tenant == tenant && w.ID == idOrUID {
			uids = append(uids, uid)
		}
	}
	slices.Sort(uids)
	switch len(uids) {
	case 0:
		return registry.View{}, fmt.Errorf("webhook %q: %w", idOrUID, registry.ErrNotFound)
	case 1:
		return f.view(uids[0]), nil
	}
	return registry.View{}, &registry.AmbiguousError{ID: idOrUID, UIDs: uids}
}

func (f *fakeRegistry) List(tenant, after string, limit int) (page []registry.View, next string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, uid := range slices.Sorted(maps.Keys(f.webhooks)) {
		if uid <= after || f.webhooks[uid].Tenant != tenant {
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].Webhook.UID
		}
		page = append(page, f.view(uid))
	}
	return page, ""
}

func (f *fakeRegistry) Select(tenant, after string, limit int, keep func(registry.View) bool) ([]registry.View, string) {
	var kept []registry.View
	all, _ := f.List(tenant, after, len(f.webhooks)+1)
	for _, v := range all {
		if keep(v) {
			kept = append(kept, v)
		}
	}
	if len(kept) > limit {
		return kept[:limit], kept[limit-1].Webhook.UID
	}
	return kept, ""
}

func (f *fakeRegistry) CreateWebhook(ctx context.Context, w *catalog.Webhook) (registry.View, error) {
	if err := f.write(ctx); err != nil {
		return registry.View{}, err
	}
	defer f.mu.Unlock()
	if f.webhooks[w.UID] != nil || f.taken(w) || f.madeOne(w) {
		return registry.View{}, fmt.Errorf("create webhook %q: %w", w.ID, registry.ErrExists)
	}
	stored := w.Clone()
	stored.Created = time.Now().UTC()
	stored.Updated, stored.Revision = stored.Created, 1
	f.webhooks[w.UID] = stored
	return f.view(w.UID), nil
}

func (f *fakeRegistry) madeOne(w *catalog.Webhook) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(f.webhooks)), func(other *catalog.Webhook) bool {
		return w.Request != "" && other.Request == w.Request && other.Tenant == w.Tenant
	})
}

func (f *fakeRegistry) taken(w *catalog.Webhook) bool {
	for uid, other := range f.webhooks {
		if uid != w.UID && other.Tenant == w.Tenant && other.Platform == w.Platform && other.ID == w.ID {
			return true
		}
	}
	return false
}

func (f *fakeRegistry) UpdateWebhook(ctx context.Context, tenant, uid string, ifRevision int64, edit func(*catalog.Webhook) error) (registry.View, error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	if err := f.write(ctx); err != nil {
		return registry.View{}, err
	}
	defer f.mu.Unlock()
	w := f.webhooks[uid]
	if w == nil || w.Tenant != tenant {
		return registry.View{}, registry.ErrNotFound
	}
	if ifRevision != 0 && ifRevision != w.Revision {
		return registry.View{}, fmt.Errorf("update: %w", registry.ErrRevision)
	}
	next := w.Clone()
	f.mu.Unlock()
	err := edit(next)
	f.mu.Lock()
	if err != nil {
		return registry.View{}, err
	}
	if f.taken(next) {
		return registry.View{}, fmt.Errorf("update: %w", registry.ErrExists)
	}
	next.Updated, next.Revision = time.Now().UTC(), w.Revision+1
	f.webhooks[uid] = next
	return f.view(uid), nil
}

func (f *fakeRegistry) DeleteWebhook(ctx context.Context, tenant, uid string, ifRevision int64) error {
	if err := f.write(ctx); err != nil {
		return err
	}
	defer f.mu.Unlock()
	w := f.webhooks[uid]
	switch {
	case w == nil || w.Tenant != tenant:
		return registry.ErrNotFound
	case ifRevision != 0 && ifRevision != w.Revision:
		return registry.ErrRevision
	}
	delete(f.webhooks, uid)
	delete(f.suspensions, uid)
	return nil
}

func (f *fakeRegistry) Suspend(ctx context.Context, uid, reason, lastFailure string) (*catalog.Suspension, error) {
	if err := f.write(ctx); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	if s := f.suspensions[uid]; s != nil && s.Active {
		return s, nil
	}
	f.suspensions[uid] = &catalog.Suspension{UID: uid, Epoch: 1, Active: true, Since: time.Now().UTC(), Reason: reason, LastFailure: lastFailure}
	return f.suspensions[uid], nil
}

func (f *fakeRegistry) Unsuspend(ctx context.Context, _, uid string, resend bool) (registry.View, error) {
	if err := f.write(ctx); err != nil {
		return registry.View{}, err
	}
	defer f.mu.Unlock()
	if s := f.suspensions[uid]; s != nil && s.Active {
		ended := *s
		ended.Active = false
		if !resend {
			ended.Kept = append(ended.Kept, s.Epoch)
		}
		f.suspensions[uid] = &ended
	}
	return f.view(uid), nil
}

func (f *fakeRegistry) Integration(tenant, name string) (*catalog.Integration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in, ok := f.integrations[tenant+"/"+name]
	return in, ok
}

func (f *fakeRegistry) Integrations(tenant, after string, limit int) (page []*catalog.Integration, next string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(f.integrations)) {
		in := f.integrations[key]
		if in.Tenant != tenant || in.Name <= after {
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].Name
		}
		page = append(page, in)
	}
	return page, ""
}

func (f *fakeRegistry) PutIntegration(ctx context.Context, in *catalog.Integration, ifRevision int64) (*catalog.Integration, error) {
	if err := f.write(ctx); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	was, exists := f.integrations[in.Tenant+"/"+in.Name]
	switch {
	case ifRevision == registry.IfAbsent && exists:
		return nil, registry.ErrExists
	case ifRevision > 0 && (!exists || was.Revision != ifRevision):
		return nil, registry.ErrRevision
	}
	stored := *in
	stored.Created, stored.Revision = time.Now().UTC(), 1
	if exists {
		stored.UID, stored.Created, stored.Revision = was.UID, was.Created, was.Revision+1
	}
	stored.Updated = time.Now().UTC()
	f.integrations[in.Tenant+"/"+in.Name] = &stored
	return &stored, nil
}

func (f *fakeRegistry) DeleteIntegration(ctx context.Context, tenant, name string, ifRevision int64) error {
	if err := f.write(ctx); err != nil {
		return err
	}
	defer f.mu.Unlock()
	in, ok := f.integrations[tenant+"/"+name]
	if !ok {
		return registry.ErrNotFound
	}
	if ifRevision != 0 && ifRevision != in.Revision {
		return registry.ErrRevision
	}
	var users []string
	for _, w := range f.webhooks {
		if w.Tenant == tenant && w.Integration == name {
			users = append(users, w.ID)
		}
	}
	if len(users) > 0 {
		slices.Sort(users)
		return fmt.Errorf("delete: %w", &registry.InUseError{Name: name, Webhooks: users})
	}
	delete(f.integrations, tenant+"/"+name)
	return nil
}

// fakeDiverted keeps diverted events in a slice, newest first.
type fakeDiverted struct {
	mu     sync.Mutex
	events []divert.Detail
	last   divert.Query
	fail   error
	jobs   *fakeJobs
}

// add diverts an event for a webhook.
func (f *fakeDiverted) add(tenant, uid, deliveryID string, ev *catalog.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entry := divert.Entry{
		DeliveryID: deliveryID, UID: uid, Tenant: tenant, EventID: ev.ID, EventType: ev.Type, TransactionID: ev.TransactionID,
		DivertedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Reason: divert.ReasonExhausted, Attempts: 4, LastStatus: 503,
		State: divert.StateDiverted,
	}
	f.events = append(f.events, divert.Detail{
		Entry: entry, Delivery: &relay.Delivery{Event: ev, UID: uid, ID: deliveryID},
		Why: divert.Why{Reason: divert.ReasonExhausted, Status: 503, Error: "503 Service Unavailable"},
	})
}

func (f *fakeDiverted) List(_ context.Context, q divert.Query) (divert.Page, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = q
	if f.fail != nil {
		return divert.Page{}, f.fail
	}
	from, err := strconv.Atoi(q.Cursor)
	if err != nil && q.Cursor != "" {
		return divert.Page{}, fmt.Errorf("cursor %q: %w", q.Cursor, divert.ErrBadCursor)
	}
	var page divert.Page
	for i, d := range f.events {
		if d.Tenant != q.Tenant || (q.UID != "" && d.UID != q.UID) || (q.Type != "" && d.EventType != q.Type) {
			continue
		}
		page.Total++
		if i < from {
			continue
		}
		if len(page.Items) == q.Limit {
			page.Next = strconv.Itoa(i)
			break
		}
		page.Items = append(page.Items, d.Entry)
	}
	return page, nil
}

// find returns the index of a diverted event, holding the lock if there is one.
func (f *fakeDiverted) find(tenant, uid, deliveryID string) (int, error) {
	f.mu.Lock()
	i := slices.IndexFunc(f.events, func(d divert.Detail) bool {
		return d.Tenant == tenant && d.UID == uid && d.DeliveryID == deliveryID
	})
	err := f.fail
	if err == nil && i < 0 {
		err = fmt.Errorf("delivery %s: %w", deliveryID, divert.ErrNotFound)
	}
	if err != nil {
		f.mu.Unlock()
	}
	return i, err
}

func (f *fakeDiverted) Get(_ context.Context, tenant, uid, deliveryID string) (divert.Detail, error) {
	i, err := f.find(tenant, uid, deliveryID)
	if err != nil {
		return divert.Detail{}, err
	}
	defer f.mu.Unlock()
	return f.events[i], nil
}

func (f *fakeDiverted) Delete(_ context.Context, tenant, uid, deliveryID string) error {
	i, err := f.find(tenant, uid, deliveryID)
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	f.events = slices.Delete(f.events, i, i+1)
	return nil
}

func (f *fakeDiverted) ResendOne(_ context.Context, tenant, uid, deliveryID string) (divert.Entry, error) {
	i, err := f.find(tenant, uid, deliveryID)
	if err != nil {
		return divert.Entry{}, err
	}
	defer f.mu.Unlock()
	if f.events[i].State == divert.StateResending {
		return divert.Entry{}, divert.ErrResending
	}
	f.events[i].State = divert.StateResending
	return f.events[i].Entry, nil
}
