package registry

import (
	"maps"
	"slices"
	"sync"

	"eventrelay/catalog"
)

// View is a webhook with what belongs to it. What it points at is immutable: change a Clone.
type View struct {
	Webhook *catalog.Webhook
	// Suspension is nil for a webhook that never was suspended; see its Active.
	Suspension *catalog.Suspension
	// Integration is the one that the webhook names; nil when it names none, or one that is not there.
	Integration *catalog.Integration
}

// Change is one difference that a record made, told to the callbacks of OnChange.
type Change struct {
	UID, Tenant string
	// Offset of the record; 0 while the snapshot is loaded from the cache.
	Offset int64
	// Webhook is nil when it was deleted.
	Webhook     *catalog.Webhook
	Suspension  *catalog.Suspension
	Integration *catalog.Integration
}

// snapshot is what the topic says up to the applied offset. Its mutex guards every field. Only the applying
// goroutine writes; a change costs O(log n) whatever the number of webhooks, except that an edit of an integration
// visits the webhooks that use it.
type snapshot struct {
	mu sync.RWMutex

	views       map[string]View                // by uid
	suspensions map[string]*catalog.Suspension // by uid, also of webhooks that are not there (yet)
	ids         map[idKey]string               // uid that holds an id
	platforms   map[catalog.Platform]struct{}  // every platform that occurs in ids
	tenants     map[string]*tenantSnapshot
	keyPairs    map[string]*KeyPair               // by tenant
	apiKeys     map[string]*APIKey                // by uid
	requests    map[string]string                 // uid of the webhook that a request made, by Webhook.Request
	breakers    map[string]*catalog.ForcedBreaker // by the endpoint's public spelling

	// quarantined are the records that could not be applied, by key, each replaced or lifted by the next record
	// with that key.
	quarantined map[string]quarantine
}

// tenantSnapshot is what one tenant owns.
type tenantSnapshot struct {
	webhooks     order
	integrations map[string]*catalog.Integration // by name
	names        map[string]string               // integration name by uid, to notice a rename
	users        map[string]map[string]struct{}  // uids of the webhooks that name an integration as their endpoint
	alerted      map[string]map[string]struct{}  // uids of the webhooks that name one for alerts
}

// idKey is what an id is unique within.
type idKey struct {
	tenant   string
	platform catalog.Platform
	id       string
}

func idKeyOf(w *catalog.Webhook) idKey {
	return idKey{tenant: w.Tenant, platform: w.Platform, id: w.ID}
}

// quarantine says why a record was not applied.
type quarantine struct {
	err    error
	offset int64 // of the record; unknownOffset when it came from the cache
	// missingKey is the id of the master key that the record is sealed with, when that key is not configured.
	missingKey string
}

func newSnapshot() *snapshot {
	return &snapshot{
		views: map[string]View{}, suspensions: map[string]*catalog.Suspension{}, ids: map[idKey]string{},
		platforms: map[catalog.Platform]struct{}{}, tenants: map[string]*tenantSnapshot{}, keyPairs: map[string]*KeyPair{}, quarantined: map[string]quarantine{},
		apiKeys: map[string]*APIKey{}, requests: map[string]string{}, breakers: map[string]*catalog.ForcedBreaker{},
	}
}

// apply makes one record's difference and returns what changed.
func (s *snapshot) apply(r resource) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.quarantined, r.key.String())
	switch r.key.kind {
	case KindWebhook:
		if r.webhook == nil {
			return s.removeWebhook(r.key.uid)
		}
		return s.putWebhook(r.webhook)
	case KindSuspension:
		return s.setSuspension(r.key.uid, r.suspension)
	case KindIntegration:
		if r.integration == nil {
			return s.removeIntegration(r.key.tenant, r.key.uid)
		}
		return s.putIntegration(r.integration)
	case KindKeyPair:
		if r.keyPair == nil {
			delete(s.keyPairs, r.key.tenant)
		} else {
			s.keyPairs[r.key.tenant] = r.keyPair
		}
		return nil
	case KindAPIKey:
		if r.apiKey == nil {
			delete(s.apiKeys, r.key.uid)
		} else {
			s.apiKeys[r.key.uid] = r.apiKey
		}
		return nil
	case KindBreaker:
		s.setBreaker(r.key, r.breaker)
		return nil
	default:
		return nil
	}
}

// hold keeps a record that could not be decoded out of the snapshot: the last good version stays.
func (s *snapshot) hold(key string, q quarantine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quarantined[key] = q
}

// missingKey is the id of the master key for want of which a record is held, or empty.
func (s *snapshot) missingKey(key recordKey) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.quarantined[key.String()].missingKey
}

func (s *snapshot) tenant(name string) *tenantSnapshot {
	t, ok := s.tenants[name]
	if !ok {
		t = &tenantSnapshot{
			integrations: map[string]*catalog.Integration{}, names: map[string]string{},
			users: map[string]map[string]struct{}{}, alerted: map[string]map[string]struct{}{},
		}
		s.tenants[name] = t
	}
	return t
}

func (s *snapshot) putWebhook(w *catalog.Webhook) []Change {
	s.unlink(w.UID)
	t := s.tenant(w.Tenant)
	v := View{Webhook: w, Suspension: s.suspensions[w.UID]}
	if w.Integration != "" {
		v.Integration = t.integrations[w.Integration]
		link(t.users, w.Integration, w.UID)
	}
	if w.Alert != nil && w.Alert.Integration != "" {
		link(t.alerted, w.Alert.Integration, w.UID)
	}
	t.webhooks.insert(placeOf(w.Created, w.UID))
	s.ids[idKeyOf(w)] = w.UID
	if w.Request != "" {
		s.requests[w.Request] = w.UID
	}
	s.platforms[w.Platform] = struct{}{}
	s.views[w.UID] = v
	return []Change{v.change()}
}

func (s *snapshot) removeWebhook(uid string) []Change {
	v, ok := s.views[uid]
	if !ok {
		return nil
	}
	s.unlink(uid)
	delete(s.views, uid)
	return []Change{{UID: uid, Tenant: v.Webhook.Tenant}}
}

// unlink takes a webhook out of everything that points at it.
func (s *snapshot) unlink(uid string) {
	v, ok := s.views[uid]
	if !ok {
		return
	}
	w := v.Webhook
	t := s.tenant(w.Tenant)
	t.webhooks.remove(placeOf(w.Created, uid))
	if s.ids[idKeyOf(w)] == uid {
		delete(s.ids, idKeyOf(w))
	}
	if s.requests[w.Request] == uid {
		delete(s.requests, w.Request)
	}
	unlinkName(t.users, w.Integration, uid)
	if w.Alert != nil {
		unlinkName(t.alerted, w.Alert.Integration, uid)
	}
}

// setSuspension files a suspension, or nil for its tombstone. It may come before its webhook, because compaction
// keeps the last record of each key where it stands.
func (s *snapshot) setSuspension(uid string, suspension *catalog.Suspension) []Change {
	if suspension == nil {
		delete(s.suspensions, uid)
	} else {
		s.suspensions[uid] = suspension
	}
	v, ok := s.views[uid]
	if !ok {
		return nil
	}
	v.Suspension = suspension
	s.views[uid] = v
	return []Change{v.change()}
}

func (s *snapshot) putIntegration(in *catalog.Integration) []Change {
	t := s.tenant(in.Tenant)
	var changes []Change
	if old, ok := t.names[in.UID]; ok && old != in.Name {
		changes = s.removeIntegration(in.Tenant, in.UID)
	}
	t.names[in.UID] = in.Name
	t.integrations[in.Name] = in
	return append(changes, s.resolve(t, in.Name)...)
}

func (s *snapshot) removeIntegration(tenant, uid string) []Change {
	t := s.tenant(tenant)
	name, ok := t.names[uid]
	if !ok {
		return nil
	}
	delete(t.names, uid)
	// Another integration may have taken the name since.
	if in := t.integrations[name]; in != nil && in.UID == uid {
		delete(t.integrations, name)
	}
	return s.resolve(t, name)
}

// resolve points every webhook that names the integration at what the name means now.
func (s *snapshot) resolve(t *tenantSnapshot, name string) []Change {
	uids := slices.Sorted(maps.Keys(t.users[name]))
	changes := make([]Change, 0, len(uids))
	for _, uid := range uids {
		v := s.views[uid]
		v.Integration = t.integrations[name]
		s.views[uid] = v
		changes = append(changes, v.change())
	}
	return changes
}

func (v View) change() Change {
	return Change{
		UID: v.Webhook.UID, Tenant: v.Webhook.Tenant,
		Webhook: v.Webhook, Suspension: v.Suspension, Integration: v.Integration,
	}
}

func link(names map[string]map[string]struct{}, name, uid string) {
	if names[name] == nil {
		names[name] = map[string]struct{}{}
	}
	names[name][uid] = struct{}{}
}

func unlinkName(names map[string]map[string]struct{}, name, uid string) {
	delete(names[name], uid)
	if len(names[name]) == 0 {
		delete(names, name)
	}
}
