// Package match finds the webhooks that want an event: by type pattern, then domain, office override and filter.
//
// It is a compiled index, kept up to date by the registry, one change at a time; it is not a store, and it reads
// nothing. The cost of a match grows with the webhooks that match, not with those registered.
//
// # Ownership
//
// One RWMutex guards the maps. The slices in them are immutable: a change replaces those it concerns, so that the
// candidates of an event stay what they were when it was matched, however long their expansion takes.
package match

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"eventrelay/catalog"
)

// Index holds the subscriptions of all tenants.
type Index struct {
	mu      sync.RWMutex
	tenants map[string]*tenantIndex
	byUID   map[string]*Subscription
}

// tenantIndex lists subscriptions under each of their patterns. No subscription is in two lists that match the same
// event type, so that none is found twice.
type tenantIndex struct {
	exact  map[string][]*Subscription
	prefix map[string][]*Subscription // "debt." for the pattern "debt.*"
	all    []*Subscription
}

// Subscription is a webhook, compiled for matching. It does not change, except that its filter is compiled when the
// first event asks: most webhooks of many are idle, and a compiled filter is as large as the rest of a subscription.
type Subscription struct {
	Webhook *catalog.Webhook
	// Known is the registry offset from which an instance knows this version of the webhook.
	Known int64

	filtered bool                           // it has a filter, which compiles
	filter   atomic.Pointer[catalog.Filter] // nil: not compiled yet
}

// wanted is the compiled filter.
func (s *Subscription) wanted() (*catalog.Filter, error) {
	if f := s.filter.Load(); f != nil {
		return f, nil
	}
	f, err := catalog.CompileFilter(s.Webhook.Filter)
	if err != nil {
		return nil, err
	}
	s.filter.Store(f) // whoever else compiled it meanwhile made the same
	return f, nil
}

// NewIndex returns an empty index.
func NewIndex() *Index {
	return &Index{tenants: map[string]*tenantIndex{}, byUID: map[string]*Subscription{}}
}

// Put adds a webhook or replaces its former version. known is the registry offset after its record. An error means
// that the webhook cannot be compiled; the former version stays.
func (x *Index) Put(w *catalog.Webhook, known int64) error {
	filter, err := catalog.CompileFilter(w.Filter)
	if err != nil {
		return fmt.Errorf("webhook %s: %w", w.UID, err)
	}
	patterns, err := patternsOf(w)
	if err != nil {
		return fmt.Errorf("webhook %s: %w", w.UID, err)
	}
	sub := &Subscription{Webhook: w, Known: known, filtered: filter != nil}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(w.UID)
	if !w.Enabled || len(patterns) == 0 {
		return nil
	}
	x.byUID[w.UID] = sub
	t := x.tenants[w.Tenant]
	if t == nil {
		t = &tenantIndex{exact: map[string][]*Subscription{}, prefix: map[string][]*Subscription{}}
		x.tenants[w.Tenant] = t
	}
	for _, p := range patterns {
		t.edit(p, func(list []*Subscription) []*Subscription {
			// Appending may write behind the end of a list that candidates hold, which they cannot see; nobody
			// appends to a former list again. Copying would make the registration of n webhooks cost n².
			return append(list, sub)
		})
	}
	return nil
}

// Remove forgets a webhook.
func (x *Index) Remove(uid string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(uid)
}

func (x *Index) remove(uid string) {
	old := x.byUID[uid]
	if old == nil {
		return
	}
	delete(x.byUID, uid)
	t := x.tenants[old.Webhook.Tenant]
	// Not kept, as they are as large as the rest of a subscription. What is no pattern is in no list.
	patterns, _ := patternsOf(old.Webhook)
	for _, p := range patterns {
		t.edit(p, func(list []*Subscription) []*Subscription {
			return slices.DeleteFunc(slices.Clone(list), func(s *Subscription) bool { return s == old })
		})
	}
	if len(t.exact)+len(t.prefix)+len(t.all) == 0 {
		delete(x.tenants, old.Webhook.Tenant)
	}
}

// edit replaces one list by what change makes of it. change must not modify the list it gets.
func (t *tenantIndex) edit(p catalog.Pattern, change func([]*Subscription) []*Subscription) {
	lists, key := t.exact, p.Text()
	switch p.Kind() {
	case catalog.PatternAll:
		t.all = change(t.all)
		return
	case catalog.PatternPrefix:
		lists = t.prefix
	}
	if list := change(lists[key]); len(list) > 0 {
		lists[key] = list
	} else {
		delete(lists, key)
	}
}

// patternsOf are the webhook's patterns under which it is listed, and an error that names what is none.
func patternsOf(w *catalog.Webhook) ([]catalog.Pattern, error) {
	patterns := make([]catalog.Pattern, 0, len(w.Events))
	var invalid error
	for _, text := range w.Events {
		p, err := catalog.ParsePattern(text)
		if err != nil {
			invalid = errors.Join(invalid, err)
			continue
		}
		patterns = append(patterns, p)
	}
	return reduce(patterns), invalid
}

// reduce drops patterns that another one of the same webhook covers, so that an event finds the webhook once.
func reduce(patterns []catalog.Pattern) []catalog.Pattern {
	kept := make([]catalog.Pattern, 0, len(patterns))
	for i, p := range patterns {
		covered := slices.ContainsFunc(patterns[:i], func(q catalog.Pattern) bool { return q == p })
		for _, q := range patterns {
			covered = covered || q != p && covers(q, p)
		}
		if !covered {
			kept = append(kept, p)
		}
	}
	return kept
}

// covers reports whether q matches every type that p matches.
func covers(q, p catalog.Pattern) bool {
	if p.Kind() == catalog.PatternExact {
		return q.Match(p.Text())
	}
	switch q.Kind() {
	case catalog.PatternAll:
		return p.Kind() == catalog.PatternPrefix
	case catalog.PatternPrefix:
		return p.Kind() == catalog.PatternPrefix && strings.HasPrefix(p.Text(), q.Text())
	}
	return false
}

// Candidates are the subscriptions whose patterns match an event, as they were when it was matched. Filters are
// evaluated one by one, when Next comes to them.
type Candidates struct {
	event *catalog.Event
	read  *catalog.EventReader // made when the first filter asks
	lists [][]*Subscription
	pos   int
}

// Match looks up the candidates for an event.
func (x *Index) Match(ev *catalog.Event) Candidates {
	c := Candidates{event: ev}
	x.mu.RLock()
	defer x.mu.RUnlock()
	t := x.tenants[ev.Tenant]
	if t == nil {
		return c
	}
	c.add(t.exact[ev.Type])
	if base, versioned := catalog.VersionBase(ev.Type); versioned {
		c.add(t.exact[base])
	}
	if catalog.IsRelayEvent(ev.Type) {
		return c
	}
	if len(t.prefix) > 0 {
		for i := 0; i < len(ev.Type); i++ {
			if ev.Type[i] == '.' {
				c.add(t.prefix[ev.Type[:i+1]])
			}
		}
	}
	c.add(t.all)
	return c
}

func (c *Candidates) add(list []*Subscription) {
	if len(list) > 0 {
		c.lists = append(c.lists, list)
	}
}

// Next returns the next subscription that wants the event; nil when there is none left. An error comes with the
// subscription whose filter could not be evaluated: that is not a non-match.
func (c *Candidates) Next() (*Subscription, error) {
	for len(c.lists) > 0 {
		if c.pos == len(c.lists[0]) {
			c.lists, c.pos = c.lists[1:], 0
			continue
		}
		sub := c.lists[0][c.pos]
		c.pos++
		switch wanted, err := c.wants(sub); {
		case err != nil:
			return sub, fmt.Errorf("filter: %w", err)
		case wanted:
			return sub, nil
		}
	}
	return nil, nil
}

// wants decides everything that the pattern does not: domain, office, filter.
func (c *Candidates) wants(s *Subscription) (bool, error) {
	w, ev := s.Webhook, c.event
	// The relay's own events are named one by one, which says enough.
	if len(w.Domains) > 0 && ev.Domain != catalog.DomainRelay && !slices.Contains(w.Domains, ev.Domain) {
		return false, nil
	}
	if ev.Office != "" {
		for i := range w.Overrides {
			if o := &w.Overrides[i]; o.Office == ev.Office && o.Enabled != nil && !*o.Enabled {
				return false, nil
			}
		}
	}
	if !s.filtered {
		return true, nil
	}
	filter, err := s.wanted()
	if err != nil {
		return false, err
	}
	if c.read == nil {
		c.read = catalog.NewEventReader(ev)
	}
	return filter.MatchReader(c.read)
}
