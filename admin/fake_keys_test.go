package admin

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/audit"
	"eventrelay/relay/registry"
)

// fakeKeys keeps API keys as the real registry does. The zero value is ready.
type fakeKeys struct {
	keysMu sync.Mutex
	keys   map[string]registry.APIKey
	stale  bool
	acted  []audit.Call // in whose name each write was made
}

// grant stores a key that never expires and gives it whole.
func (f *fakeKeys) grant(tenant string, scopes ...scope) string {
	made := newAPIKey()
	f.put(made, tenant, time.Time{}, scopes...)
	return made.whole().Reveal()
}

func (f *fakeKeys) put(made apiKey, tenant string, expires time.Time, scopes ...scope) {
	k := registry.APIKey{UID: made.uid(), Tenant: tenant, Hash: made.hashText(), Created: time.Now(), Expires: expires}
	for _, s := range scopes {
		k.Scopes = append(k.Scopes, string(s))
	}
	_, _ = f.CreateAPIKey(context.Background(), &k) // only fails for a key that is there
}

func (f *fakeKeys) APIKey(uid string) (*registry.APIKey, bool) {
	f.keysMu.Lock()
	defer f.keysMu.Unlock()
	k, ok := f.keys[uid]
	return &k, ok
}

func (f *fakeKeys) APIKeys(o registry.Owner, after string, limit int) (page []*registry.APIKey, next string) {
	f.keysMu.Lock()
	defer f.keysMu.Unlock()
	for _, uid := range slices.Sorted(maps.Keys(f.keys)) {
		k := f.keys[uid]
		if uid <= after || !o.Owns(&k) {
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].UID
		}
		page = append(page, &k)
	}
	return page, ""
}

func (f *fakeKeys) APIKeyMadeBy(o registry.Owner, request string) (*registry.APIKey, bool) {
	f.keysMu.Lock()
	defer f.keysMu.Unlock()
	for _, k := range f.keys {
		if request != "" && k.Request == request && o.Owns(&k) {
			return &k, true
		}
	}
	return nil, false
}

func (f *fakeKeys) CreateAPIKey(_ context.Context, k *registry.APIKey) (*registry.APIKey, error) {
	f.keysMu.Lock()
	defer f.keysMu.Unlock()
	if _, taken := f.keys[k.UID]; taken {
		return nil, registry.ErrExists
	}
	if f.keys == nil {
		f.keys = map[string]registry.APIKey{}
	}
	stored := *k
	if stored.Created.IsZero() {
		stored.Created = time.Now().UTC()
	}
	f.keys[k.UID] = stored
	return &stored, nil
}

func (f *fakeKeys) DeleteAPIKey(_ context.Context, o registry.Owner, uid string) error {
	f.keysMu.Lock()
	defer f.keysMu.Unlock()
	if k, ok := f.keys[uid]; !ok || !o.Owns(&k) {
		return registry.ErrNotFound
	}
	delete(f.keys, uid)
	return nil
}

func (f *fakeKeys) Fresh() bool { return !f.stale }

// MadeBy finds the webhook that a request made.
func (f *fakeRegistry) MadeBy(tenant, request string) (registry.View, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for uid, w := range f.webhooks {
		if request != "" && w.Request == request && w.Tenant == tenant {
			return f.view(uid), true
		}
	}
	return registry.View{}, false
}

// FindOn finds a webhook as dialects do.
func (f *fakeRegistry) FindOn(tenant string, platform catalog.Platform, id string) (registry.View, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for uid, w := range f.webhooks {
		if w.Tenant == tenant && w.Platform == platform && w.ID == id {
			return f.view(uid), nil
		}
	}
	return registry.View{}, registry.ErrNotFound
}

// fakeTrail keeps entries in a slice; the offset of the first is 1.
type fakeTrail struct {
	mu      sync.Mutex
	entries []audit.Entry
	fail    error
}

func (f *fakeTrail) Write(ctx context.Context, e audit.Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	e.Time, e.Call = time.Now().UTC(), audit.FromContext(ctx)
	f.entries = append(f.entries, e)
	return nil
}

func (f *fakeTrail) Read(_ context.Context, q audit.Query) (audit.Page, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var page audit.Page
	for i, e := range slices.Backward(f.entries) {
		offset := int64(i + 1)
		if (q.Before > 0 && offset >= q.Before) || (e.Tenant != q.Tenant && (e.Tenant != "" || !q.Ownerless)) || (q.Object != "" && q.Object != e.ID && q.Object != e.UID) {
			continue
		}
		if len(page.Entries) == q.Limit {
			page.Next = page.Entries[q.Limit-1].Offset
			break
		}
		page.Entries = append(page.Entries, audit.Listed{Offset: offset, Entry: e})
	}
	return page, f.fail
}
