package catalog

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
)

// NewWebhook gives the defaults that JSON cannot tell from "false": a request is decoded onto it, and Normalize
// fills in the rest.
func NewWebhook() *Webhook {
	return &Webhook{Enabled: true, Signing: Signing{Enabled: true}, FailureHandling: FailureHandling{ActOnTimeout: true}}
}

// NewIntegration is to Integration what NewWebhook is to Webhook.
func NewIntegration() *Integration { return &Integration{Signing: Signing{Enabled: true}} }

// Normalize fills in the defaults of what was left out, so that stored webhooks are complete, and gives header names
// their canonical form. It makes up no ids or secrets and repairs nothing that is wrong.
func (w *Webhook) Normalize() {
	if w.Platform == "" {
		w.Platform = PlatformV1
	}
	if w.Tenant == "" {
		w.Tenant = DefaultTenant
	}
	if w.Format == "" {
		w.Format = FormatStandard
	}
	if w.Events == nil {
		w.Events = []string{"*"} // an empty list was asked for and matches nothing
	}
	if w.Retry.Name == "" && w.Retry.Custom == nil {
		w.Retry = RetryStandard
	}
	w.FailureHandling.normalize()
	w.Auth.normalize()
	w.Headers = canonicalHeaders(w.Headers)
	for i := range w.Overrides {
		o := &w.Overrides[i]
		o.Headers = canonicalHeaders(o.Headers)
		if o.Auth != nil {
			o.Auth.normalize()
		}
	}
	if w.Delivery.Timeout == 0 {
		w.Delivery.Timeout = Duration(DefaultTimeout)
	}
	if w.Integration == "" {
		w.Signing.normalize()
		if w.Delivery.Concurrency == 0 {
			w.Delivery.Concurrency = DefaultConcurrency
		}
		return
	}
	// The integration decides these. What is merely their default does not count as set.
	if len(w.Signing.Secrets) == 0 {
		w.Signing.Enabled = false
	}
	if w.Delivery.Concurrency == DefaultConcurrency {
		w.Delivery.Concurrency = 0
	}
}

// Normalize fills in the defaults of what was left out.
func (in *Integration) Normalize() {
	if in.Tenant == "" {
		in.Tenant = DefaultTenant
	}
	in.Auth.normalize()
	in.Signing.normalize()
	in.Headers = canonicalHeaders(in.Headers)
	if in.Concurrency == 0 {
		in.Concurrency = DefaultConcurrency
	}
}

func (f *FailureHandling) normalize() {
	standard := DefaultFailureHandling()
	if f.Mode == "" && f.ActOnStatusCodes == nil && f.Otherwise == "" {
		f.ActOnTimeout = standard.ActOnTimeout // nothing was said at all
	}
	if f.Mode == "" {
		f.Mode = standard.Mode
	}
	if f.ActOnStatusCodes == nil {
		f.ActOnStatusCodes = standard.ActOnStatusCodes // an empty list was asked for and names no status
	}
	if f.Otherwise == "" {
		f.Otherwise = standard.Otherwise
	}
}

func (a *Auth) normalize() {
	if a.Type == "" {
		a.Type = AuthNone
	}
}

// normalize tells the encoding of secrets whose writer did not.
func (s *Signing) normalize() {
	for i := range s.Secrets {
		secret := &s.Secrets[i]
		if secret.Encoding != "" || secret.Value.IsRedacted() {
			continue
		}
		secret.Encoding = SecretRaw
		if strings.HasPrefix(secret.Value.Reveal(), whsecPrefix) {
			secret.Encoding = SecretWhsec
		}
	}
}

const (
	whsecPrefix = "whsec_"
	// generatedKeyLength is that of the key of GenerateSecret in bytes: the block of its hash, SHA-256.
	generatedKeyLength = 32
)

// GenerateSecret makes a signing key of Standard Webhooks' form.
func GenerateSecret() (SigningSecret, error) {
	key := make([]byte, generatedKeyLength)
	if _, err := rand.Read(key); err != nil {
		return SigningSecret{}, fmt.Errorf("generate signing secret: %w", err)
	}
	return SigningSecret{Value: NewSecret(whsecPrefix + base64.StdEncoding.EncodeToString(key)), Encoding: SecretWhsec}, nil
}

// NewUID makes an identifier that never occurs again: the prefix and 26 lower-case base32 characters (130 random
// bits). It contains no slash, which separates the parts of record keys.
func NewUID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }
