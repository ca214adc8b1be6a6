package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"eventrelay/catalog"
)

// scope is one permission of a key.
type scope string

// The scopes. scopePublic marks routes that need no key; a route without a scope is open to nobody.
const (
	scopePublic        scope = "public"
	scopeWebhooksRead  scope = "webhooks:read"
	scopeWebhooksWrite scope = "webhooks:write"
	scopeDivertedRead  scope = "diverted:read"
	scopeDivertedWrite scope = "diverted:write"
	scopeReplaysWrite  scope = "replays:write"
	scopeKeysAdmin     scope = "keys:admin"
	scopeAuditRead     scope = "audit:read"
)

var allScopes = []scope{
	scopeWebhooksRead, scopeWebhooksWrite, scopeDivertedRead, scopeDivertedWrite, scopeReplaysWrite, scopeKeysAdmin,
	scopeAuditRead,
}

// principal is who makes a request, as its key says.
type principal struct {
	// Name identifies the key in logs and rate limits; it is not secret.
	Name string
	// Tenant that the key is bound to; empty lets it choose one with Relay-Tenant.
	Tenant string
	Scopes []scope
}

func (p principal) may(needed scope) bool { return slices.Contains(p.Scopes, needed) }

// keyring knows the keys that are accepted. It holds digests, so that comparing takes the same time for every key of
// any length, and so that no dump shows a key.
type keyring struct {
	bootstrap [sha256.Size]byte
	set       bool
}

func newKeyring(bootstrap catalog.Secret) keyring {
	return keyring{bootstrap: sha256.Sum256([]byte(bootstrap.Reveal())), set: bootstrap.IsSet()}
}

// authenticate says whose key the request carries.
func (k keyring) authenticate(r *http.Request) (principal, bool) {
	presented, ok := presentedKey(r)
	digest := sha256.Sum256([]byte(presented))
	if !ok || !k.set || subtle.ConstantTimeCompare(digest[:], k.bootstrap[:]) != 1 {
		return principal{}, false
	}
	return principal{Name: "bootstrap", Scopes: allScopes}, true
}

// presentedKey reads a bearer token, or the password of Basic authentication.
func presentedKey(r *http.Request) (string, bool) {
	header := r.Header.Get("Authorization")
	if kind, token, ok := strings.Cut(header, " "); ok && strings.EqualFold(kind, "Bearer") {
		token = strings.TrimSpace(token)
		return token, token != ""
	}
	_, password, ok := r.BasicAuth()
	return password, ok && password != ""
}

const headerTenant = "Relay-Tenant"

// tenantGrammar keeps tenants usable in record keys, Redis keys and URLs.
var tenantGrammar = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// tenantOf decides which tenant a request acts for.
func tenantOf(p principal, header string) (string, error) {
	switch {
	case header != "" && !tenantGrammar.MatchString(header):
		return "", badParameter(headerTenant, "must be 1 to 128 letters, digits, '.', '_' or '-', beginning with a letter or digit")
	case p.Tenant != "" && header != "" && header != p.Tenant:
		return "", newProblem(kindForbidden, "the key is bound to another tenant than "+headerTenant+" names")
	case p.Tenant != "":
		return p.Tenant, nil
	case header != "":
		return header, nil
	default:
		return catalog.DefaultTenant, nil
	}
}
