package registry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"eventrelay/catalog"
)

// ForceBreaker keeps the breaker of an endpoint open or closed, on every instance and over restarts, until it is reset.
// endpoint is the public spelling; reason is for reading. Forcing what is forced already changes nothing. ErrNotFound:
// the tenant has no such endpoint.
func (r *Registry) ForceBreaker(ctx context.Context, tenant, endpoint string, state catalog.BreakerState, reason string) (*catalog.ForcedBreaker, error) {
	next := &catalog.ForcedBreaker{Endpoint: endpoint, Tenant: tenant, State: state, Since: now(), Reason: reason}
	if err := checkForced(next); err != nil {
		return nil, fmt.Errorf("force breaker %q: %w", endpoint, ErrNotFound)
	}
	err := r.writer.write(ctx, func() ([]draft, error) {
		if !r.hasEndpoint(tenant, endpoint) {
			return nil, ErrNotFound
		}
		if was := r.ForcedBreaker(endpoint); was != nil && was.State == state {
			return nil, nil
		}
		return []draft{{key: breakerKey(next), content: next}}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("force breaker %q: %w", endpoint, err)
	}
	if forced := r.ForcedBreaker(endpoint); forced != nil && forced.Tenant == tenant {
		return forced, nil
	}
	return nil, fmt.Errorf("force breaker %q: %w", endpoint, ErrNotFound)
}

// ResetBreaker makes the breaker of an endpoint automatic again, as new, on every instance. It is written even when
// nothing is forced, because that is how the other instances hear of it. An endpoint that is gone can be reset while
// something is forced on it. ErrNotFound: the tenant has no such endpoint.
func (r *Registry) ResetBreaker(ctx context.Context, tenant, endpoint string) error {
	err := r.writer.write(ctx, func() ([]draft, error) {
		was := r.ForcedBreaker(endpoint)
		if !r.hasEndpoint(tenant, endpoint) && (was == nil || was.Tenant != tenant) {
			return nil, ErrNotFound
		}
		return []draft{{key: breakerKey(&catalog.ForcedBreaker{Endpoint: endpoint, Tenant: tenant})}}, nil
	})
	if err != nil {
		return fmt.Errorf("reset breaker %q: %w", endpoint, err)
	}
	return nil
}

// ForcedBreaker is what an operator decided about an endpoint, by its public spelling, or nil.
func (r *Registry) ForcedBreaker(endpoint string) *catalog.ForcedBreaker {
	r.snapshot.mu.RLock()
	defer r.snapshot.mu.RUnlock()
	return r.snapshot.breakers[endpoint]
}

// ForcedBreakers are those of a tenant, in the order of their endpoints. Operators force few, so they are sorted when
// asked for.
func (r *Registry) ForcedBreakers(tenant string) []*catalog.ForcedBreaker {
	r.snapshot.mu.RLock()
	defer r.snapshot.mu.RUnlock()
	var list []*catalog.ForcedBreaker
	for _, f := range r.snapshot.breakers {
		if f.Tenant == tenant {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b *catalog.ForcedBreaker) int { return strings.Compare(a.Endpoint, b.Endpoint) })
	return list
}

// OnBreaker registers f to be called with the public spelling of each endpoint whose breaker was forced or reset, when
// ForcedBreaker has it. A reset is told also when nothing was forced. The rules of OnChange apply.
func (r *Registry) OnBreaker(f func(endpoint string)) { r.onBreaker = append(r.onBreaker, f) }

// tellBreaker tells the callbacks of a record that was applied, if it is about a breaker.
func (r *Registry) tellBreaker(key recordKey) {
	if key.kind != KindBreaker {
		return
	}
	if endpoint, ok := endpointOf(key); ok {
		for _, f := range r.onBreaker {
			f(endpoint)
		}
	}
}

// hasEndpoint reports whether an endpoint is there and the tenant's.
func (r *Registry) hasEndpoint(tenant, endpoint string) bool {
	ref, ok := catalog.ParseEndpointID(endpoint)
	if !ok {
		return false
	}
	r.snapshot.mu.RLock()
	defer r.snapshot.mu.RUnlock()
	if ref.Integration != "" {
		t := r.snapshot.tenants[tenant]
		return t != nil && t.names[ref.Integration] != ""
	}
	v, ok := r.snapshot.views[ref.Webhook]
	return ok && v.Webhook.Tenant == tenant && v.Webhook.HasEndpoint(ref.Office)
}

// withoutBreakers are the tombstones of what was forced on the endpoints that are chosen.
func (r *Registry) withoutBreakers(chosen func(catalog.EndpointRef) bool) []draft {
	r.snapshot.mu.RLock()
	defer r.snapshot.mu.RUnlock()
	var drafts []draft
	for _, f := range r.snapshot.breakers {
		if ref, ok := catalog.ParseEndpointID(f.Endpoint); ok && chosen(ref) {
			drafts = append(drafts, draft{key: breakerKey(f)})
		}
	}
	return drafts
}

// setBreaker files what was forced, or takes it away for nil. Callers hold mu.
func (s *snapshot) setBreaker(key recordKey, forced *catalog.ForcedBreaker) {
	if forced != nil {
		s.breakers[forced.Endpoint] = forced
		return
	}
	if endpoint, ok := endpointOf(key); ok {
		delete(s.breakers, endpoint)
	}
}

// endpointOf is the public spelling of the endpoint that a breaker's record is about.
func endpointOf(key recordKey) (endpoint string, ok bool) {
	endpoint, err := url.PathUnescape(key.uid)
	return endpoint, err == nil
}

var errForced = errors.New("neither open nor closed, or of no endpoint")

// checkForced refuses what no breaker could follow.
func checkForced(f *catalog.ForcedBreaker) error {
	if _, ok := catalog.ParseEndpointID(f.Endpoint); !ok || f.State != catalog.BreakerOpen && f.State != catalog.BreakerClosed {
		return errForced
	}
	return nil
}

func breakerKey(f *catalog.ForcedBreaker) recordKey {
	return recordKey{kind: KindBreaker, tenant: f.Tenant, uid: f.RecordUID()}
}
