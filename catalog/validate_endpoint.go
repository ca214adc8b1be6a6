package catalog

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Bounds of an endpoint's fields.
const (
	MaxCredentialLength = 4 << 10  // bytes of a user name, password, token or header value
	MaxPEMSize          = 64 << 10 // bytes
	MaxScopes           = 64
	MaxRawSecretLength  = 1 << 10 // bytes
	MaxTagLength        = 256     // bytes

	// Standard Webhooks asks for keys of 24 to 64 bytes.
	minWhsecKeyLength = 24
	maxWhsecKeyLength = 64
)

// Validate says everything that is wrong with a normalized integration, as a *ValidationError.
func (in *Integration) Validate(r Rules) ([]Warning, error) {
	c := &checker{rules: r}
	c.name("name", in.Name)
	c.text("type", in.Type, MaxIDLength)
	if in.URL == "" {
		c.fail("url", "it is empty")
	} else {
		c.url("url", in.URL)
	}
	c.headers("headers", in.Headers)
	c.auth("auth", &in.Auth)
	c.signing("signing", &in.Signing)
	c.tls("tls", &in.TLS)
	c.limits("", in.Concurrency, in.RateLimit)
	return c.warnings, c.err()
}

func (c *checker) headers(path string, headers map[string]string) {
	c.require(len(headers) <= MaxHeaders, path, "there are more than %d", MaxHeaders)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		at := joinPath(path, name)
		if err := CheckHeader(name, headers[name]); err != nil {
			c.fail(at, "%v", err)
			continue
		}
		c.require(textproto.CanonicalMIMEHeaderKey(name) == name, at, "the same header is given in another spelling")
	}
}

func (c *checker) limits(prefix string, concurrency int, rateLimit float64) {
	c.require(1 <= concurrency && concurrency <= MaxConcurrency, prefix+"concurrency", "%d is not between 1 and %d", concurrency, MaxConcurrency)
	c.require(!math.IsNaN(rateLimit) && 0 <= rateLimit && rateLimit <= MaxRateLimit, prefix+"rateLimit", "it is not between 0 (none) and %d", MaxRateLimit)
}

func (c *checker) auth(path string, a *Auth) {
	if c.rules.AuthTypes != nil && a.Type == AuthOAuth2 && !slices.Contains(c.rules.AuthTypes, a.Type) {
		c.fail(path+".type", "%q is not available yet: use one of %v", a.Type, c.rules.AuthTypes)
		return
	}
	switch a.Type {
	case AuthNone:
	case AuthBasic:
		c.required(path+".username", a.Username)
		c.require(!strings.Contains(a.Username, ":"), path+".username", "basic authentication allows no colon here")
		c.secret(path+".password", a.Password)
	case AuthBearer:
		c.secret(path+".token", a.Token)
		c.require(httpguts.ValidHeaderFieldValue(a.Token.Reveal()), path+".token", "it has characters that a header cannot carry")
	case AuthHeader:
		c.secret(path+".value", a.Value)
		if err := CheckAuthHeader(a.Name, a.Value.Reveal()); err != nil {
			c.fail(path+".name", "%v", err)
		}
	case AuthOAuth2:
		c.url(path+".tokenUrl", a.TokenURL)
		c.required(path+".clientId", a.ClientID)
		c.secret(path+".clientSecret", a.ClientSecret)
		c.require(len(a.Scopes) <= MaxScopes, path+".scopes", "there are more than %d", MaxScopes)
		for i, scope := range a.Scopes {
			c.require(isScope(scope), fmt.Sprintf("%s.scopes[%d]", path, i), "%q is not an OAuth scope", scope)
		}
		c.text(path+".audience", a.Audience, MaxCredentialLength)
	case AuthMTLS:
		c.keyPair(path, a)
	default:
		choice(c, path+".type", a.Type, AuthNone, AuthBasic, AuthBearer, AuthHeader, AuthOAuth2, AuthMTLS)
	}
}

// required checks a credential that is not secret.
func (c *checker) required(path, text string) {
	c.require(text != "", path, "it is required")
	c.text(path, text, MaxCredentialLength)
	c.require(!strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), path, "it has a control character")
}

// secret checks one that is. The messages must not repeat it.
func (c *checker) secret(path string, s Secret) {
	switch plain := s.Reveal(); {
	case !s.IsSet():
		c.fail(path, "it is required")
	case s.IsRedacted():
		c.fail(path, "there is no stored value that %q could stand for", Redacted)
	case len(plain) > MaxCredentialLength:
		c.fail(path, "it is longer than %d bytes", MaxCredentialLength)
	case strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r == 0x7f }):
		c.fail(path, "it has a control character")
	}
}

// isScope is the grammar of RFC 6749.
func isScope(scope string) bool {
	for i := range len(scope) {
		if c := scope[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return scope != ""
}

func (c *checker) keyPair(path string, a *Auth) {
	switch {
	case a.Certificate == "":
		c.fail(path+".certificate", "it is required")
	case !a.PrivateKey.IsSet():
		c.fail(path+".privateKey", "it is required")
	case a.PrivateKey.IsRedacted():
		c.fail(path+".privateKey", "there is no stored value that %q could stand for", Redacted)
	case len(a.Certificate) > MaxPEMSize || len(a.PrivateKey.Reveal()) > MaxPEMSize:
		c.fail(path+".certificate", "certificate or key is larger than %d bytes", MaxPEMSize)
	default:
		if _, err := tls.X509KeyPair([]byte(a.Certificate), []byte(a.PrivateKey.Reveal())); err != nil {
			// The error of the standard library is about both and may describe the key.
			c.fail(path+".certificate", "certificate and private key are not a PEM pair that belongs together")
		}
	}
}

func (c *checker) signing(path string, s *Signing) {
	c.require(len(s.Secrets) <= MaxSigningSecrets, path+".secrets", "there are more than %d", MaxSigningSecrets)
	c.require(!s.Enabled || len(s.Secrets) > 0, path+".secrets", "signing needs a secret")
	for i := range s.Secrets {
		secret, at := &s.Secrets[i], fmt.Sprintf("%s.secrets[%d]", path, i)
		c.text(at+".tag", secret.Tag, MaxTagLength)
		c.require(i > 0 || secret.Expires.IsZero(), at+".expires", "the newest secret does not expire: rotate it")
		if secret.Value.IsRedacted() {
			c.fail(at+".value", "there is no stored value that %q could stand for", Redacted)
			continue
		}
		switch secret.Encoding {
		case SecretWhsec:
			c.require(isWhsec(secret.Value.Reveal()), at+".value", "it is not %q and the base64 of %d to %d bytes",
				whsecPrefix, minWhsecKeyLength, maxWhsecKeyLength)
		case SecretRaw:
			n := len(secret.Value.Reveal())
			c.require(1 <= n && n <= MaxRawSecretLength, at+".value", "it is not between 1 and %d bytes", MaxRawSecretLength)
		default:
			choice(c, at+".encoding", secret.Encoding, SecretWhsec, SecretRaw)
		}
	}
}

func isWhsec(text string) bool {
	encoded, found := strings.CutPrefix(text, whsecPrefix)
	if !found || strings.ContainsAny(encoded, "\r\n") { // which the decoder would skip
		return false
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	return err == nil && minWhsecKeyLength <= len(key) && len(key) <= maxWhsecKeyLength
}

func (c *checker) tls(path string, t *TLS) {
	if t.InsecureSkipVerify && !c.rules.Egress.AllowInsecureTLS {
		c.fail(path+".insecureSkipVerify", "certificates are always verified here, unless the relay is started with RELAY_ALLOW_INSECURE_TLS")
	}
	if t.CACert == "" {
		return
	}
	if len(t.CACert) > MaxPEMSize {
		c.fail(path+".caCert", "it is larger than %d bytes", MaxPEMSize)
		return
	}
	c.require(isCertificates(t.CACert), path+".caCert", "it is not one or more certificates in PEM")
}

func isCertificates(text string) bool {
	n := 0
	for rest := []byte(text); ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return n > 0 && strings.TrimSpace(string(rest)) == ""
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil || block.Type != "CERTIFICATE" {
			return false
		}
	}
}
