package catalog

import (
	"fmt"
	"time"
)

// AuthType is how the relay identifies itself to the receiver.
type AuthType string

// The auth types.
const (
	AuthNone   AuthType = "none"
	AuthBasic  AuthType = "basic"
	AuthBearer AuthType = "bearer"
	AuthHeader AuthType = "header"
	AuthOAuth2 AuthType = "oauth2"
	AuthMTLS   AuthType = "mtls"
)

// Auth is the credentials of an endpoint. Which fields are used follows from Type.
type Auth struct {
	Type     AuthType `json:"type"`
	Username string   `json:"username,omitempty"` // basic
	Password Secret   `json:"password,omitzero"`  // basic
	Token    Secret   `json:"token,omitzero"`     // bearer
	Name     string   `json:"name,omitempty"`     // header
	Value    Secret   `json:"value,omitzero"`     // header

	TokenURL     string   `json:"tokenUrl,omitempty"` // oauth2 client credentials
	ClientID     string   `json:"clientId,omitempty"`
	ClientSecret Secret   `json:"clientSecret,omitzero"`
	Scopes       []string `json:"scopes,omitempty"`
	Audience     string   `json:"audience,omitempty"` // a parameter that some token servers ask for

	Certificate string `json:"certificate,omitempty"` // mtls, PEM
	PrivateKey  Secret `json:"privateKey,omitzero"`   // mtls, PEM
}

func (a Auth) clone() Auth {
	a.Scopes = append([]string(nil), a.Scopes...)
	return a
}

// SecretEncoding says how the bytes of a signing key are written.
type SecretEncoding string

// The encodings: "whsec_" plus base64 (Standard Webhooks), or the characters themselves.
const (
	SecretWhsec SecretEncoding = "whsec"
	SecretRaw   SecretEncoding = "raw"
)

// SigningSecret is one active signing key.
type SigningSecret struct {
	Value    Secret         `json:"value"`
	Encoding SecretEncoding `json:"encoding"`
	Tag      string         `json:"tag,omitempty"`
	// Expires is when a secret that was rotated out stops being used. The newest secret has none.
	Expires time.Time `json:"expires,omitzero"`
}

// MaxSigningSecrets may be active at once while rotating.
const MaxSigningSecrets = 3

// Signing says whether and with which keys requests are signed, newest first.
type Signing struct {
	Enabled bool            `json:"enabled"`
	Secrets []SigningSecret `json:"secrets,omitempty"`
}

// TLS adjusts how the receiver's certificate is verified.
type TLS struct {
	CACert string `json:"caCert,omitempty"` // PEM, in addition to the system's
	// InsecureSkipVerify is accepted only where the operator set RELAY_ALLOW_INSECURE_TLS.
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// Integration is a named, reusable endpoint. Editing it takes effect for all its webhooks at once.
type Integration struct {
	Name        string            `json:"name"`
	UID         string            `json:"uid"`
	Tenant      string            `json:"tenant"`
	Type        string            `json:"type,omitempty"`
	URL         string            `json:"url"`
	Headers     map[string]string `json:"headers,omitempty"`
	Auth        Auth              `json:"auth"`
	Signing     Signing           `json:"signing"`
	TLS         TLS               `json:"tls"`
	Concurrency int               `json:"concurrency"`
	RateLimit   float64           `json:"rateLimit,omitempty"`
	Created     time.Time         `json:"created"`
	Updated     time.Time         `json:"updated"`
	Revision    int64             `json:"revision"`
	Fingerprint string            `json:"fingerprint,omitempty"` // see Webhook.Fingerprint
	Request     string            `json:"request,omitempty"`     // see Webhook.Request
}

// Endpoint is where the deliveries of a webhook go, with overrides and the integration resolved. Lane and breaker
// belong to it: one per integration, else one per webhook and office override. Equal URLs are not merged.
type Endpoint struct {
	// Key identifies the lane and breaker: "i/<integration uid>", "w/<webhook uid>" or "w/<webhook uid>/<office>".
	Key         string
	Tenant      string
	URL         string
	Headers     map[string]string
	Auth        Auth
	Signing     Signing
	TLS         TLS
	Timeout     time.Duration
	Concurrency int
	RateLimit   float64
	// Enabled is false where the office override disables the webhook for this office.
	Enabled bool
}

// ErrNoIntegration is returned when a webhook names an integration that is not there.
var ErrNoIntegration = fmt.Errorf("integration not found")

// ResolveEndpoint gives the endpoint for an event of the given office. integration is the one that the webhook
// names, nil when it names none.
func (w *Webhook) ResolveEndpoint(integration *Integration, office string) (Endpoint, error) {
	e := Endpoint{
		Key: "w/" + w.UID, Tenant: w.Tenant, URL: w.URL, Headers: w.Headers, Auth: w.Auth, Signing: w.Signing, TLS: w.TLS,
		Timeout: time.Duration(w.Delivery.Timeout), Concurrency: w.Delivery.Concurrency, RateLimit: w.Delivery.RateLimit,
		Enabled: true,
	}
	if w.Integration != "" {
		if integration == nil {
			return Endpoint{}, fmt.Errorf("webhook %q: integration %q: %w", w.ID, w.Integration, ErrNoIntegration)
		}
		e.Key, e.URL, e.Auth, e.Signing, e.TLS = "i/"+integration.UID, integration.URL, integration.Auth, integration.Signing, integration.TLS
		e.Concurrency, e.RateLimit = integration.Concurrency, integration.RateLimit
		e.Headers = mergeHeaders(integration.Headers, w.Headers)
	}
	for i := range w.Overrides {
		o := &w.Overrides[i]
		if office == "" || o.Office != office {
			continue
		}
		if o.URL != "" || o.Auth != nil {
			e.Key = "w/" + w.UID + "/" + o.Office
		}
		if o.URL != "" {
			e.URL = o.URL
		}
		if o.Auth != nil {
			e.Auth = *o.Auth
		}
		if o.Enabled != nil {
			e.Enabled = *o.Enabled
		}
		e.Headers = mergeHeaders(e.Headers, o.Headers)
		break
	}
	if e.Timeout <= 0 {
		e.Timeout = DefaultTimeout
	}
	if e.Concurrency <= 0 {
		e.Concurrency = DefaultConcurrency
	}
	return e, nil
}

func mergeHeaders(base, over map[string]string) map[string]string {
	if len(over) == 0 {
		return base
	}
	merged := make(map[string]string, len(base)+len(over))
	for k, v := range base {
		merged[k] = v
	}
	for k, v := range over {
		merged[k] = v
	}
	return merged
}

// EachSecret calls f with the path and address of every secret of the webhook, set or not. Sealing, redaction and
// "redacted means keep" all walk it, so that a new secret field has one place to be added.
func (w *Webhook) EachSecret(f func(path string, s *Secret)) {
	w.Auth.eachSecret("auth", f)
	w.Signing.eachSecret("signing", f)
	for i := range w.Overrides {
		if w.Overrides[i].Auth != nil {
			w.Overrides[i].Auth.eachSecret(fmt.Sprintf("overrides[%d].auth", i), f)
		}
	}
}

// EachSecret calls f with the path and address of every secret of the integration, set or not.
func (in *Integration) EachSecret(f func(path string, s *Secret)) {
	in.Auth.eachSecret("auth", f)
	in.Signing.eachSecret("signing", f)
}

func (a *Auth) eachSecret(path string, f func(string, *Secret)) {
	f(path+".password", &a.Password)
	f(path+".token", &a.Token)
	f(path+".value", &a.Value)
	f(path+".clientSecret", &a.ClientSecret)
	f(path+".privateKey", &a.PrivateKey)
}

func (s *Signing) eachSecret(path string, f func(string, *Secret)) {
	for i := range s.Secrets {
		f(fmt.Sprintf("%s.secrets[%d].value", path, i), &s.Secrets[i].Value)
	}
}
