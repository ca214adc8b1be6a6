package admin

import (
	"time"

	"eventrelay/catalog"
)

// integrationResource is an integration as the API shows it.
type integrationResource struct {
	Name        string            `json:"name"`
	UID         string            `json:"uid"`
	Type        string            `json:"type,omitempty"`
	URL         string            `json:"url"`
	Headers     map[string]string `json:"headers,omitempty"`
	Auth        catalog.Auth      `json:"auth"`
	Signing     signingResource   `json:"signing"`
	TLS         catalog.TLS       `json:"tls,omitzero"`
	Concurrency int               `json:"concurrency"`
	RateLimit   float64           `json:"rateLimit,omitempty"`
	Created     time.Time         `json:"created"`
	Updated     time.Time         `json:"updated"`
	Revision    int64             `json:"revision"`
	Warnings    []fieldMessage    `json:"warnings,omitempty"`
}

func newIntegrationResource(in *catalog.Integration, note written) integrationResource {
	return integrationResource{
		Name: in.Name, UID: in.UID, Type: in.Type, URL: in.URL, Headers: in.Headers, Auth: in.Auth,
		Signing: newSigningResource(in.Signing, note.generated), TLS: in.TLS, Concurrency: in.Concurrency,
		RateLimit: in.RateLimit, Created: in.Created, Updated: in.Updated, Revision: in.Revision,
		Warnings: warningMessages(note.warnings),
	}
}

// integrationOf makes an integration of what a client sent. stored is the one that it replaces, nil on creation; the
// same is kept of it as webhookOf keeps of a webhook.
func integrationOf(m members, readOnly []string, stored *catalog.Integration) (*catalog.Integration, written, error) {
	in := catalog.NewIntegration()
	if err := fill(in, m, readOnly); err != nil {
		return nil, written{}, err
	}
	if stored != nil {
		in.UID, in.Tenant, in.Fingerprint = stored.UID, stored.Tenant, stored.Fingerprint
		in.Request = stored.Request
		if _, sent := m["signing"]; !sent {
			in.Signing = stored.Signing
			in.Signing.Secrets = append([]catalog.SigningSecret(nil), stored.Signing.Secrets...)
		}
	}
	var note written
	var err error
	if note.generated, err = completeSigning(&in.Signing); err != nil {
		return nil, written{}, err
	}
	if missing := catalog.KeepRedactedIntegration(in, stored); len(missing) > 0 {
		return nil, written{}, invalid(fieldMessages(missing))
	}
	in.Normalize()
	return in, note, nil
}
