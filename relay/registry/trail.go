package registry

import (
	"encoding/json"
	"slices"
	"strings"

	"eventrelay/catalog"
	"eventrelay/relay/audit"
)

// trailOf is the audit entry of one draft, which the writer commits in the draft's transaction: there is no change
// without its entry, and no entry without its change.
func (r *Registry) trailOf(call audit.Call, d draft) audit.Entry {
	was := r.snapshot.stored(d.key)
	e := audit.Entry{Time: now(), Tenant: d.key.tenant, Call: call, Kind: string(d.key.kind), UID: d.key.uid}
	if d.key.kind == KindSuspension {
		// A suspension goes by its webhook's uid, and by its name.
		if v, ok := r.View(d.key.uid); ok {
			e.ID = v.Webhook.ID
		}
	}
	if d.key.kind == KindBreaker {
		// A reset is told also where nothing was forced.
		e.ID, _ = endpointOf(d.key)
	}
	if was != nil {
		e.ID, e.Before = identify(was, e.ID)
	}
	if d.content != nil {
		e.ID, e.After = identify(d.content, e.ID)
	}
	switch {
	case d.content == nil:
		e.Outcome = audit.Deleted
	case was == nil:
		e.Outcome = audit.Created
	default:
		e.Outcome, e.Changed = audit.Updated, changedMembers(was, d.content)
	}
	return e
}

// stored is the content of a key as the snapshot has it, nil when there is none.
func (s *snapshot) stored(key recordKey) any {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch key.kind {
	case KindWebhook:
		if v, ok := s.views[key.uid]; ok {
			return v.Webhook
		}
	case KindSuspension:
		if suspension, ok := s.suspensions[key.uid]; ok {
			return suspension
		}
	case KindIntegration:
		if t, ok := s.tenants[key.tenant]; ok {
			if in, ok := t.integrations[t.names[key.uid]]; ok {
				return in
			}
		}
	case KindBreaker:
		endpoint, _ := endpointOf(key)
		if f, ok := s.breakers[endpoint]; ok {
			return f
		}
	case KindAPIKey:
		if k, ok := s.apiKeys[key.uid]; ok {
			return k
		}
	case KindKeyPair:
		if p, ok := s.keyPairs[key.tenant]; ok {
			return p
		}
	}
	return nil
}

// identify gives what the owner calls a resource, unless that is known, and its revision if it counts any.
func identify(content any, known string) (id string, revision int64) {
	switch c := content.(type) {
	case *catalog.Webhook:
		return c.ID, c.Revision
	case *catalog.Integration:
		return c.Name, c.Revision
	case *APIKey:
		return c.DisplayName, 0
	}
	return known, 0
}

// bookkeeping are members that every write changes.
var bookkeeping = []string{"created", "updated", "revision"}

// changedMembers names the members of a resource that differ, secrets included, and tells nothing of their values.
func changedMembers(was, is any) []string {
	before, after := membersOf(was), membersOf(is)
	var names []string
	for name := range before {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names = append(names, name)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(bookkeeping, name) })
	slices.Sort(names)
	return names
}

// membersOf is the text of each member, its secrets behind it. It never leaves this file.
func membersOf(resource any) map[string]string {
	text, err := marshal(resource)
	if err != nil {
		return nil // it was or will be encoded, which says so
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return nil
	}
	texts := make(map[string]string, len(members))
	for name, value := range members {
		texts[name] = string(value)
	}
	if holder, ok := resource.(secretive); ok {
		holder.EachSecret(func(path string, s *catalog.Secret) {
			name := path
			if end := strings.IndexAny(path, ".["); end >= 0 {
				name = path[:end]
			}
			texts[name] += "\x00" + path + "\x00" + s.Reveal()
		})
	}
	return texts
}
