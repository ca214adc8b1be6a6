package dialect

import (
	"context"
	"errors"
	"iter"
	"slices"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// shelf is the part of the registry that one dialect sees: the webhooks that were made through it.
type shelf struct {
	Services
	platform catalog.Platform
}

// find returns the tenant's webhook of that id, or registry.ErrNotFound.
func (s shelf) find(tenant, id string) (registry.View, error) {
	return s.Registry.FindOn(tenant, s.platform, id)
}

// pageOfAll is how many webhooks of the tenant are looked at under one lock of the registry.
const pageOfAll = 500

// all iterates over the tenant's webhooks, oldest first. The registry orders a tenant's webhooks whatever made them,
// so this costs as much as the tenant has in all.
func (s shelf) all(tenant string) iter.Seq[registry.View] {
	return func(yield func(registry.View) bool) {
		for after := ""; ; {
			page, next := s.Registry.List(tenant, after, pageOfAll)
			for _, v := range page {
				if v.Webhook.Platform == s.platform && !yield(v) {
					return
				}
			}
			if after = next; next == "" {
				return
			}
		}
	}
}

// rules are the validation rules for the tenant's webhooks.
func (s shelf) rules(tenant string) catalog.Rules {
	rules := s.Rules
	rules.KnownIntegration = func(name string) bool {
		_, ok := s.Registry.Integration(tenant, name)
		return ok
	}
	return rules
}

// create stores a new webhook. Its uid is generated, and is its id unless the client chose one. A request that has made
// one before gets that one, as it is now; the secret that was generated for the new one then is nobody's.
func (s shelf) create(ctx context.Context, tenant string, request Request, w *catalog.Webhook) (registry.View, error) {
	if before, ok := s.Registry.MadeBy(tenant, request.Digest); ok {
		return before, request.sameAs(before.Webhook.Fingerprint)
	}
	w.Tenant, w.Platform, w.UID = tenant, s.platform, catalog.NewUID("wh_")
	w.Request, w.Fingerprint = request.Digest, request.Fingerprint
	if w.ID == "" {
		w.ID = w.UID
	}
	if err := s.complete(w, nil); err != nil {
		return registry.View{}, err
	}
	view, err := s.Registry.CreateWebhook(ctx, w)
	if errors.Is(err, registry.ErrExists) {
		// The same request may have been under way twice.
		if before, ok := s.Registry.MadeBy(tenant, request.Digest); ok {
			return before, request.sameAs(before.Webhook.Fingerprint)
		}
	}
	return view, err
}

// holds reports whether a webhook has the secret that was generated for it, so that it may be shown: after a repeated
// request it has another one, which was shown when it was made.
func holds(v registry.View, generated catalog.Secret) bool {
	return slices.ContainsFunc(v.Webhook.Signing.Secrets, func(s catalog.SigningSecret) bool { return s.Value.Equal(generated) })
}

// edit changes the tenant's webhook of that id. change gets a view of the current webhook and a clone to change; it
// may run more than once, and what it refuses is not stored.
func (s shelf) edit(ctx context.Context, tenant, id string, change func(current registry.View, w *catalog.Webhook) error) (registry.View, error) {
	found, err := s.find(tenant, id)
	if err != nil {
		return registry.View{}, err
	}
	return s.Registry.UpdateWebhook(ctx, tenant, found.Webhook.UID, 0, func(w *catalog.Webhook) error {
		current := registry.View{Webhook: w.Clone()}
		if w.Integration != "" {
			current.Integration, _ = s.Registry.Integration(tenant, w.Integration)
		}
		if err := change(current, w); err != nil {
			return err
		}
		return s.complete(w, current.Webhook)
	})
}

// complete makes a webhook fit to be stored: redacted secrets are replaced by the stored ones, defaults filled in, and
// everything checked. stored is nil on creation.
func (s shelf) complete(w, stored *catalog.Webhook) error {
	if missing := catalog.KeepRedacted(w, stored); len(missing) > 0 {
		return &catalog.ValidationError{Fields: missing}
	}
	w.Normalize()
	_, err := w.Validate(s.rules(w.Tenant))
	return err
}

// remove deletes the tenant's webhook of that id and returns it as it was.
func (s shelf) remove(ctx context.Context, tenant, id string) (registry.View, error) {
	found, err := s.find(tenant, id)
	if err != nil {
		return registry.View{}, err
	}
	return found, s.Registry.DeleteWebhook(ctx, tenant, found.Webhook.UID, 0)
}

// endpointOf is where the webhook's deliveries go when no office override applies: its own endpoint or that of the
// integration it names. An integration that is not there reads as no URL and no credentials.
func endpointOf(v registry.View) (url string, auth catalog.Auth) {
	switch {
	case v.Webhook.Integration == "":
		return v.Webhook.URL, v.Webhook.Auth
	case v.Integration != nil:
		return v.Integration.URL, v.Integration.Auth
	default:
		return "", catalog.Auth{Type: catalog.AuthNone}
	}
}
