package dialect

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"eventrelay/catalog"
	"eventrelay/relay/registry"
)

// socotraIntegration is an ExternalServiceIntegrationResponse.
type socotraIntegration struct {
	Name         string               `json:"name"`
	URL          string               `json:"url"`
	Headers      map[string]string    `json:"headers"`
	Type         string               `json:"type"`
	Tenant       string               `json:"tenantLocator"`
	SecuritySpec *socotraSecuritySpec `json:"securitySpec,omitempty"`
}

// socotraSecuritySpec is a SecuritySpecification.
type socotraSecuritySpec struct {
	HMACEnabled bool   `json:"hmacEnabled"`
	Secret      string `json:"secret,omitempty"`
	SecureSSL   bool   `json:"secureSSL"`
	Tag         string `json:"tag,omitempty"`
}

const (
	// socotraType is that of an integration whose creator named none.
	socotraType = "webhook"
	// headerAuthorization is an ordinary header to the platform. It holds a credential, so it is kept as one.
	headerAuthorization = "Authorization"
)

// shownSocotraIntegration is an integration as the platform shows it. generated is the secret that this very request
// made, which is shown once. An http URL has no security specification, as the platform allows none.
func shownSocotraIntegration(in *catalog.Integration, generated catalog.Secret) socotraIntegration {
	shown := socotraIntegration{Name: in.Name, URL: in.URL, Headers: map[string]string{}, Type: in.Type, Tenant: in.Tenant}
	for name, value := range in.Headers {
		shown.Headers[name] = value
	}
	if isAuthorizationHeader(in.Auth) {
		shown.Headers[headerAuthorization] = in.Auth.Value.String()
	}
	if shown.Type == "" {
		shown.Type = socotraType
	}
	if !isHTTPS(in.URL) {
		return shown
	}
	shown.SecuritySpec = &socotraSecuritySpec{HMACEnabled: in.Signing.Enabled, SecureSSL: !in.TLS.InsecureSkipVerify}
	if len(in.Signing.Secrets) > 0 {
		first := in.Signing.Secrets[0]
		shown.SecuritySpec.Secret, shown.SecuritySpec.Tag = first.Value.String(), first.Tag
		if generated.IsSet() && first.Value.Equal(generated) {
			shown.SecuritySpec.Secret = generated.Reveal()
		}
	}
	return shown
}

func isAuthorizationHeader(a catalog.Auth) bool {
	return a.Type == catalog.AuthHeader && strings.EqualFold(a.Name, headerAuthorization)
}

func isHTTPS(url string) bool {
	scheme, _, _ := strings.Cut(url, "://")
	return strings.EqualFold(scheme, "https")
}

// integrations is what every call about them answers: all of the tenant's, whatever made them. written is the name of
// the one whose generated secret is shown.
func (d socotra) integrations(tenant, written string, generated catalog.Secret) Reply {
	shown := []socotraIntegration{}
	for after := ""; ; {
		page, next := d.Registry.Integrations(tenant, after, pageOfAll)
		for _, in := range page {
			once := catalog.Secret{}
			if in.Name == written {
				once = generated
			}
			shown = append(shown, shownSocotraIntegration(in, once))
		}
		if after = next; next == "" {
			return Reply{Body: map[string]any{"externalServiceIntegrations": shown}}
		}
	}
}

func (d socotra) listIntegrations(_ context.Context, c *Call) (Reply, error) {
	return d.integrations(c.Tenant, "", catalog.Secret{}), nil
}

func (d socotra) createIntegration(ctx context.Context, c *Call) (Reply, error) {
	sent, err := readSocotraIntegration(c, "name", "url")
	if err != nil {
		return Reply{}, err
	}
	in := &catalog.Integration{Name: sent.name, Tenant: c.Tenant, UID: catalog.NewUID("in_"), Request: c.Request.Digest, Fingerprint: c.Request.Fingerprint}
	generated, err := d.completeIntegration(in, sent)
	if err != nil {
		return Reply{}, err
	}
	_, err = d.Registry.PutIntegration(ctx, in, registry.IfAbsent)
	if before, ok := d.Registry.Integration(c.Tenant, in.Name); errors.Is(err, registry.ErrExists) && ok && c.Request.made(before) {
		return d.integrations(c.Tenant, "", catalog.Secret{}), c.Request.sameAs(before.Fingerprint)
	}
	if errors.Is(err, registry.ErrExists) {
		return Reply{}, Refuse(http.StatusConflict, "There is an integration %q already", shorten(in.Name))
	}
	if err != nil {
		return Reply{}, err
	}
	return d.integrations(c.Tenant, in.Name, generated), nil
}

// replaceTries bounds how often a replacement is done again because the integration was changed between reading its
// secrets and writing.
const replaceTries = 5

func (d socotra) replaceIntegration(ctx context.Context, c *Call) (Reply, error) {
	sent, err := readSocotraIntegration(c, "url")
	if err != nil {
		return Reply{}, err
	}
	for try := 1; ; try++ {
		stored, ok := d.Registry.Integration(c.Tenant, c.Params["integrationName"])
		if !ok {
			return Reply{}, noSuchIntegration(c)
		}
		in := *stored // apply replaces what it changes and writes through nothing that is shared
		generated, err := d.completeIntegration(&in, sent)
		if err != nil {
			return Reply{}, err
		}
		_, err = d.Registry.PutIntegration(ctx, &in, stored.Revision)
		switch {
		case errors.Is(err, registry.ErrRevision) && try < replaceTries:
			continue
		case err != nil:
			return Reply{}, err
		}
		return d.integrations(c.Tenant, in.Name, generated), nil
	}
}

// completeIntegration applies the request to an integration and checks the result. It returns the secret that it generated.
func (d socotra) completeIntegration(in *catalog.Integration, sent socotraIntegrationRequest) (generated catalog.Secret, err error) {
	if generated, err = sent.apply(in); err != nil {
		return catalog.Secret{}, err
	}
	in.Normalize()
	_, err = in.Validate(d.rules(in.Tenant))
	return generated, err
}

func (d socotra) deleteIntegration(ctx context.Context, c *Call) (Reply, error) {
	err := d.Registry.DeleteIntegration(ctx, c.Tenant, c.Params["integrationName"], 0)
	var inUse *registry.InUseError
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return Reply{}, noSuchIntegration(c)
	case errors.As(err, &inUse):
		return Reply{}, Refuse(http.StatusConflict, "The integration is in use by %s", strings.Join(inUse.Webhooks, ", "))
	case err != nil:
		return Reply{}, err
	}
	return d.integrations(c.Tenant, "", catalog.Secret{}), nil
}

func noSuchIntegration(c *Call) error {
	return Refuse(http.StatusNotFound, "There is no integration %q", shorten(c.Params["integrationName"]))
}

// socotraIntegrationRequest is an ExternalServiceIntegrationAddRequest or -UpdateRequest whose types are right. What
// was left out has its default: an update replaces everything that the platform has.
type socotraIntegrationRequest struct {
	name, url, kind string
	headers         map[string]string
	authorization   catalog.Secret // of the header
	security        bool           // there is a specification
	hmacEnabled     bool
	secureSSL       bool
	secret          catalog.Secret
	tag             string
}

func readSocotraIntegration(c *Call, required ...string) (socotraIntegrationRequest, error) {
	o, err := c.Object()
	if err != nil {
		return socotraIntegrationRequest{}, err
	}
	r := socotraIntegrationRequest{kind: socotraType, secureSSL: true, headers: map[string]string{}}
	o.Require(required...)
	r.name, _ = o.String("name")
	r.url, _ = o.String("url")
	if kind, ok := o.String("type"); ok && kind != "" {
		r.kind = kind
	}
	if headers, ok := o.Object("headers"); ok {
		for _, name := range slices.Sorted(maps.Keys(headers.members)) {
			value, ok := headers.String(name)
			switch {
			case !ok:
			case strings.EqualFold(name, headerAuthorization):
				r.authorization = catalog.NewSecret(value)
			default:
				r.headers[name] = value
			}
		}
	}
	if spec, ok := o.Object("securitySpec"); ok {
		r.security = true
		r.hmacEnabled, _ = spec.Bool("hmacEnabled")
		r.secret, _ = spec.Secret("secret")
		r.tag, _ = spec.String("tag")
		if secure, ok := spec.Bool("secureSSL"); ok {
			r.secureSSL = secure
		}
		if r.tag != "" && !r.secret.IsSet() {
			spec.Fail("tag", "it needs a secret")
		}
		if r.url != "" && !isHTTPS(r.url) {
			o.Fail("securitySpec", "it needs an https:// URL")
		}
	}
	return r, o.Err()
}

// apply replaces what the platform has of an integration and leaves the rest: other credentials, a CA certificate and
// limits. It returns the secret that it generated, if any.
func (r socotraIntegrationRequest) apply(in *catalog.Integration) (generated catalog.Secret, err error) {
	expressible := isHTTPS(in.URL) || isHTTPS(r.url) // before or after: what http has of it, the platform never showed
	in.URL, in.Type, in.Headers = r.url, r.kind, r.headers
	if err := r.applyAuthorization(in); err != nil {
		return catalog.Secret{}, err
	}
	if !expressible {
		return catalog.Secret{}, nil
	}
	in.TLS.InsecureSkipVerify = !r.secureSSL
	in.Signing.Enabled = r.hmacEnabled
	switch {
	case r.secret.IsRedacted() && len(in.Signing.Secrets) == 0:
		return catalog.Secret{}, nothingStored("securitySpec.secret")
	case r.secret.IsRedacted(): // kept, with those beside it that are being phased out
		in.Signing.Secrets = slices.Clone(in.Signing.Secrets)
		in.Signing.Secrets[0].Tag = r.tag
	case r.secret.IsSet():
		in.Signing.Secrets = []catalog.SigningSecret{{Value: r.secret, Encoding: catalog.SecretRaw, Tag: r.tag}}
	case r.hmacEnabled:
		generated = generateKey("")
		in.Signing.Secrets = []catalog.SigningSecret{{Value: generated, Encoding: catalog.SecretRaw}}
	default:
		in.Signing.Secrets = nil
	}
	return generated, nil
}

func (r socotraIntegrationRequest) applyAuthorization(in *catalog.Integration) error {
	switch {
	case r.authorization.IsRedacted() && isAuthorizationHeader(in.Auth):
		// kept
	case r.authorization.IsRedacted():
		return nothingStored("headers." + headerAuthorization)
	case r.authorization.IsSet():
		in.Auth = catalog.Auth{Type: catalog.AuthHeader, Name: headerAuthorization, Value: r.authorization}
	case isAuthorizationHeader(in.Auth):
		in.Auth = catalog.Auth{}
	}
	return nil
}

func nothingStored(field string) error {
	return Invalid([]catalog.FieldError{{Path: field, Message: "there is no stored value that \"" + catalog.Redacted + "\" could stand for"}})
}
