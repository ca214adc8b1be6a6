package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// APIKey is what is known of a key of the admin API: not the key itself, of which only a hash is kept. A revoked key
// is a deleted record.
type APIKey struct {
	UID string `json:"uid"`
	// Tenant that the key is bound to; empty for one that is bound to none.
	Tenant      string    `json:"tenant"`
	DisplayName string    `json:"displayName,omitempty"`
	Scopes      []string  `json:"scopes"`
	Created     time.Time `json:"created"`
	// Expires is when the key stops working; zero: it does not.
	Expires time.Time `json:"expires,omitzero"`
	// Hash is the SHA-256 of the secret half, in hexadecimal. The secret has 256 random bits, so a hash that is quick
	// to compute tells nothing of it.
	Hash string `json:"hash"`
	// Request and Fingerprint are as those of a webhook.
	Request     string `json:"request,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

// ExpiredAt reports whether the key has stopped working at a time.
func (k *APIKey) ExpiredAt(t time.Time) bool { return !k.Expires.IsZero() && !t.Before(k.Expires) }

// Owner selects keys: those of a tenant, and with Unbound those that are bound to none.
type Owner struct {
	Tenant  string
	Unbound bool
}

// Owns reports whether a key is among them.
func (o Owner) Owns(k *APIKey) bool {
	if k.Tenant == "" {
		return o.Unbound
	}
	return k.Tenant == o.Tenant
}

// APIKey returns the key of that uid, whoever owns it, for authentication. What it points at is immutable.
func (r *Registry) APIKey(uid string) (*APIKey, bool) {
	r.snapshot.mu.RLock()
	defer r.snapshot.mu.RUnlock()
	k, ok := r.snapshot.apiKeys[uid]
	return k, ok
}

// APIKeys returns up to limit of an owner's keys in the order of their uids, behind the uid after; next continues,
// empty at the end. Keys are few, so they are sorted when asked for.
func (r *Registry) APIKeys(o Owner, after string, limit int) (page []*APIKey, next string) {
	r.snapshot.mu.RLock()
	defer r.snapshot.mu.RUnlock()
	for _, uid := range slices.Sorted(maps.Keys(r.snapshot.apiKeys)) {
		k := r.snapshot.apiKeys[uid]
		if uid <= after || !o.Owns(k) {
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].UID
		}
		page = append(page, k)
	}
	return page, ""
}

// APIKeyMadeBy returns the key that a request made under an Idempotency-Key, as long as it is there.
func (r *Registry) APIKeyMadeBy(o Owner, request string) (*APIKey, bool) {
	r.snapshot.mu.RLock()
	defer r.snapshot.mu.RUnlock()
	for _, k := range r.snapshot.apiKeys {
		if request != "" && k.Request == request && o.Owns(k) {
			return k, true
		}
	}
	return nil, false
}

// CreateAPIKey stores a new key and returns it; created is set. ErrExists: its uid is taken, or its request has made
// one. k is not kept.
func (r *Registry) CreateAPIKey(ctx context.Context, k *APIKey) (*APIKey, error) {
	next := *k
	next.Scopes, next.Created = slices.Clone(k.Scopes), now()
	if next.UID == "" || strings.Contains(next.UID, "/") || next.Hash == "" {
		return nil, fmt.Errorf("create key %q: %w", next.UID, ErrInvalid)
	}
	err := r.writer.write(ctx, func() ([]draft, error) {
		if _, taken := r.APIKey(next.UID); taken {
			return nil, ErrExists
		}
		if _, made := r.APIKeyMadeBy(Owner{Tenant: next.Tenant, Unbound: next.Tenant == ""}, next.Request); made {
			return nil, fmt.Errorf("the request was made before: %w", ErrExists)
		}
		return []draft{{key: apiKeyKey(&next), content: &next}}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("create key %s: %w", next.UID, err)
	}
	return &next, nil
}

// DeleteAPIKey revokes a key. Every instance refuses it as soon as its snapshot has the change. ErrNotFound: the owner
// has no such key.
func (r *Registry) DeleteAPIKey(ctx context.Context, o Owner, uid string) error {
	err := r.writer.write(ctx, func() ([]draft, error) {
		k, ok := r.APIKey(uid)
		if !ok || !o.Owns(k) {
			return nil, ErrNotFound
		}
		return []draft{{key: apiKeyKey(k)}}, nil
	})
	if err != nil {
		return fmt.Errorf("delete key %s: %w", uid, err)
	}
	return nil
}

func apiKeyKey(k *APIKey) recordKey {
	return recordKey{kind: KindAPIKey, tenant: k.Tenant, uid: k.UID}
}
