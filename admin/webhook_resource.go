package admin

import (
	"encoding/json"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// webhookResource is a webhook as the API shows it: without its tenant, secrets redacted, and in a form that may be
// sent back with PUT.
type webhookResource struct {
	ID              string                  `json:"id"`
	UID             string                  `json:"uid"`
	Platform        catalog.Platform        `json:"platform"`
	DisplayName     string                  `json:"displayName,omitempty"`
	Description     string                  `json:"description,omitempty"`
	Metadata        json.RawMessage         `json:"metadata,omitempty"`
	Enabled         bool                    `json:"enabled"`
	Suspension      *suspensionResource     `json:"suspension"`
	Events          []string                `json:"events"`
	Domains         []string                `json:"domains,omitempty"`
	Filter          json.RawMessage         `json:"filter,omitempty"`
	URL             string                  `json:"url,omitempty"`
	Integration     string                  `json:"integration,omitempty"`
	Format          catalog.Format          `json:"format"`
	Version         string                  `json:"version,omitempty"`
	Auth            catalog.Auth            `json:"auth"`
	Headers         map[string]string       `json:"headers,omitempty"`
	Signing         signingResource         `json:"signing"`
	TLS             catalog.TLS             `json:"tls,omitzero"`
	Retry           catalog.Retry           `json:"retry"`
	FailureHandling catalog.FailureHandling `json:"failureHandling"`
	Alert           *catalog.Alert          `json:"alert,omitempty"`
	Overrides       []catalog.Override      `json:"overrides,omitempty"`
	Delivery        catalog.DeliveryLimits  `json:"delivery"`
	Created         time.Time               `json:"created"`
	Updated         time.Time               `json:"updated"`
	Revision        int64                   `json:"revision"`
	Warnings        []fieldMessage          `json:"warnings,omitempty"`
}

// suspensionResource is what is shown of a suspension that is under way.
type suspensionResource struct {
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason"`
	LastFailure string    `json:"lastFailure,omitempty"`
}

// signingResource is signing with its secrets as text, so that one that was just generated can be shown.
type signingResource struct {
	Enabled bool                    `json:"enabled"`
	Secrets []signingSecretResource `json:"secrets,omitempty"`
}

type signingSecretResource struct {
	Value    string                 `json:"value"`
	Encoding catalog.SecretEncoding `json:"encoding"`
	Tag      string                 `json:"tag,omitempty"`
	Expires  time.Time              `json:"expires,omitzero"`
}

// newSigningResource redacts every secret but the generated one. This is the only place of the API that reveals a
// secret, and it reveals only what the caller of this very request could not have known.
func newSigningResource(s catalog.Signing, generated catalog.Secret) signingResource {
	shown := signingResource{Enabled: s.Enabled}
	for _, secret := range s.Secrets {
		value := secret.Value.String()
		if generated.IsSet() && secret.Value.Equal(generated) {
			value = generated.Reveal()
		}
		shown.Secrets = append(shown.Secrets, signingSecretResource{value, secret.Encoding, secret.Tag, secret.Expires})
	}
	return shown
}

// written is what a write has to say besides the resource.
type written struct {
	// generated is the signing secret that the write made, to be shown once; not set when it made none.
	generated catalog.Secret
	warnings  []catalog.Warning
}

func newWebhookResource(v registry.View, note written) webhookResource {
	w := v.Webhook
	shown := webhookResource{
		ID: w.ID, UID: w.UID, Platform: w.Platform, DisplayName: w.DisplayName, Description: w.Description,
		Metadata: w.Metadata, Enabled: w.Enabled, Events: w.Events, Domains: w.Domains, Filter: w.Filter, URL: w.URL,
		Integration: w.Integration, Format: w.Format, Version: w.Version, Auth: w.Auth, Headers: w.Headers,
		Signing: newSigningResource(w.Signing, note.generated), TLS: w.TLS, Retry: w.Retry,
		FailureHandling: w.FailureHandling, Alert: w.Alert, Overrides: w.Overrides, Delivery: w.Delivery,
		Created: w.Created, Updated: w.Updated, Revision: w.Revision, Warnings: warningMessages(note.warnings),
	}
	if shown.Events == nil {
		shown.Events = []string{}
	}
	if shown.FailureHandling.ActOnStatusCodes == nil {
		shown.FailureHandling.ActOnStatusCodes = []string{}
	}
	if s := v.Suspension; s != nil && s.Active {
		shown.Suspension = &suspensionResource{Since: s.Since, Reason: s.Reason, LastFailure: s.LastFailure}
	}
	return shown
}

func warningMessages(warnings []catalog.Warning) []fieldMessage {
	var messages []fieldMessage
	for _, w := range warnings {
		messages = append(messages, fieldMessage{w.Path, w.Message})
	}
	return messages
}

// webhookMembers is the webhook as a client would send it, for a patch to be applied to.
func webhookMembers(w *catalog.Webhook, readOnly []string) (members, error) {
	text, err := encodeJSON(newWebhookResource(registry.View{Webhook: w}, written{}))
	if err != nil {
		return nil, err
	}
	var m members
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	for _, name := range readOnly {
		delete(m, name)
	}
	return m, nil
}

// webhookOf makes a webhook of what a client sent, which satisfies the schema. stored is the webhook that it
// replaces, nil on creation.
//
// What is omitted gets its default, except what a client cannot send back: the stored signing secrets stay when
// signing is omitted, redacted secrets keep their value, and an omitted id keeps the stored one.
func webhookOf(m members, readOnly []string, stored *catalog.Webhook) (*catalog.Webhook, written, error) {
	w := catalog.NewWebhook()
	if err := fill(w, m, readOnly); err != nil {
		return nil, written{}, err
	}
	if stored != nil {
		w.UID, w.Tenant, w.Platform = stored.UID, stored.Tenant, stored.Platform
		w.Created, w.Updated, w.Revision, w.Fingerprint = stored.Created, stored.Updated, stored.Revision, stored.Fingerprint
		w.Request = stored.Request
		if w.ID == "" {
			w.ID = stored.ID
		}
	}
	_, signingSent := m["signing"]
	switch {
	case w.Integration != "" && !signingSent:
		w.Signing = catalog.Signing{} // the integration's applies
	case stored != nil && !signingSent && stored.Integration == "":
		w.Signing = stored.Clone().Signing
	}
	var note written
	if w.Integration == "" {
		var err error
		if note.generated, err = completeSigning(&w.Signing); err != nil {
			return nil, written{}, err
		}
	}
	if missing := catalog.KeepRedacted(w, stored); len(missing) > 0 {
		return nil, written{}, invalid(fieldMessages(missing))
	}
	w.Normalize()
	return w, note, nil
}

// completeSigning generates a secret for signing that is enabled and has none, and returns it.
func completeSigning(s *catalog.Signing) (catalog.Secret, error) {
	if !s.Enabled || len(s.Secrets) > 0 {
		return catalog.Secret{}, nil
	}
	secret, err := catalog.GenerateSecret()
	if err != nil {
		return catalog.Secret{}, err
	}
	s.Secrets = []catalog.SigningSecret{secret}
	return secret.Value, nil
}
