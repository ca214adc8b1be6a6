package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"eventrelay/relay/registry"
)

// Keys is what the API needs of the stored keys.
type Keys interface {
	APIKey(uid string) (*registry.APIKey, bool)
	APIKeys(o registry.Owner, after string, limit int) (page []*registry.APIKey, next string)
	APIKeyMadeBy(o registry.Owner, request string) (*registry.APIKey, bool)
	CreateAPIKey(ctx context.Context, k *registry.APIKey) (*registry.APIKey, error)
	DeleteAPIKey(ctx context.Context, o registry.Owner, uid string) error
	// Fresh reports whether revocations elsewhere are known here.
	Fresh() bool
}

// keyResource is a key as the API shows it. Key is the key itself, in the one answer that made it.
type keyResource struct {
	ID          string     `json:"id"`
	Tenant      *string    `json:"tenant"`
	DisplayName string     `json:"displayName,omitempty"`
	Scopes      []string   `json:"scopes"`
	Created     time.Time  `json:"created"`
	Expires     *time.Time `json:"expires"`
	Expired     bool       `json:"expired"`
	Key         string     `json:"key,omitempty"`
}

func newKeyResource(k *registry.APIKey) keyResource {
	shown := keyResource{ID: k.UID, DisplayName: k.DisplayName, Scopes: k.Scopes, Created: k.Created, Expired: k.ExpiredAt(time.Now())}
	if k.Tenant != "" {
		shown.Tenant = &k.Tenant
	}
	if !k.Expires.IsZero() {
		shown.Expires = &k.Expires
	}
	return shown
}

func (s *Server) listKeys(c *call) error {
	after, err := c.cursor(listOfKeys)
	if err != nil {
		return err
	}
	owner := c.principal.owner(c.tenant)
	keys, next := pageOf(after, c.limit(), c.wantedKeys(time.Now()), func(k *registry.APIKey) string { return k.UID },
		func(after string) ([]*registry.APIKey, string) {
			return s.opts.Registry.APIKeys(owner, after, pageLooked)
		})
	items := make([]keyResource, len(keys))
	for i, k := range keys {
		items[i] = newKeyResource(k)
	}
	return c.answer(http.StatusOK, newPage(c, listOfKeys, items, next))
}

// key finds the key that the path names. One of another owner is not there.
func (c *call) key(s *Server) (*registry.APIKey, registry.Owner, error) {
	uid, err := c.param("id")
	if err != nil {
		return nil, registry.Owner{}, err
	}
	owner := c.principal.owner(c.tenant)
	k, ok := s.opts.Registry.APIKey(uid)
	if !ok || !owner.Owns(k) {
		return nil, owner, newProblem(kindNotFound, "")
	}
	return k, owner, nil
}

func (s *Server) getKey(c *call) error {
	k, _, err := c.key(s)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, newKeyResource(k))
}

// createKeyRequest is what a client says of a new key.
type createKeyRequest struct {
	DisplayName string    `json:"displayName"`
	Scopes      []scope   `json:"scopes"`
	Expires     time.Time `json:"expires"`
	Unbound     bool      `json:"unbound"`
}

// check refuses what would give a key more than its maker has.
func (r createKeyRequest) check(maker principal, now time.Time) error {
	for _, granted := range r.Scopes {
		if !maker.may(granted) {
			return newProblem(kindForbidden, "the key lacks the scope "+string(granted)+", so it cannot grant it")
		}
	}
	switch {
	case r.Unbound && maker.Tenant != "":
		return newProblem(kindForbidden, "the key is bound to a tenant, so it cannot make one that is bound to none")
	case !r.Expires.IsZero() && !r.Expires.After(now):
		return invalid([]fieldMessage{{"expires", "has passed"}})
	}
	return nil
}

func (s *Server) createKey(c *call) error {
	sent, text, err := c.body()
	if err != nil {
		return err
	}
	var want createKeyRequest
	if err := fill(&want, sent, nil); err != nil {
		return err
	}
	if err := want.check(c.principal, time.Now()); err != nil {
		return err
	}
	made, request := newAPIKey(), c.idempotency(text)
	k := &registry.APIKey{
		UID: made.uid(), Tenant: c.tenant, DisplayName: want.DisplayName, Expires: want.Expires.UTC(), Hash: made.hashText(),
		Request: request.digest, Fingerprint: request.fingerprint,
	}
	if want.Unbound {
		k.Tenant = ""
	}
	for _, granted := range want.Scopes {
		k.Scopes = append(k.Scopes, string(granted))
	}
	slices.Sort(k.Scopes)
	owner := registry.Owner{Tenant: k.Tenant, Unbound: want.Unbound}
	if before, ok := s.opts.Registry.APIKeyMadeBy(owner, request.digest); ok {
		return s.answerKeyRepeat(c, before, request)
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	stored, err := s.opts.Registry.CreateAPIKey(ctx, k)
	if errors.Is(err, registry.ErrExists) {
		// The same request may have been under way twice.
		if before, ok := s.opts.Registry.APIKeyMadeBy(owner, request.digest); ok {
			return s.answerKeyRepeat(c, before, request)
		}
	}
	if err != nil {
		return storeProblem(err)
	}
	shown := newKeyResource(stored)
	shown.Key = made.whole().Reveal() // this once
	c.Response().Header().Set("Location", "/v1/keys/"+stored.UID)
	return c.answer(http.StatusCreated, shown)
}

func (s *Server) answerKeyRepeat(c *call, k *registry.APIKey, request idempotency) error {
	if err := request.sameAs(k.Fingerprint); err != nil {
		return err
	}
	c.Response().Header().Set(headerReplayed, "true")
	return c.answer(http.StatusOK, newKeyResource(k))
}

func (s *Server) deleteKey(c *call) error {
	k, owner, err := c.key(s)
	if err != nil {
		return err
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	if err := s.opts.Registry.DeleteAPIKey(ctx, owner, k.UID); err != nil {
		return storeProblem(err)
	}
	return c.NoContent(http.StatusNoContent)
}
