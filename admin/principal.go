package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/audit"
	"eventrelay/relay/registry"
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
	// Name is the uid of the key, or "bootstrap", in logs, rate limits and the audit trail; it is not secret.
	Name string
	// Tenant that the key is bound to; empty lets it choose one with Relay-Tenant.
	Tenant string
	Scopes []scope
}

func (p principal) may(needed scope) bool { return slices.Contains(p.Scopes, needed) }

// owner is what the principal may see of keys: those of the tenant that it acts for, and those that are bound to none
// if it is bound to none itself.
func (p principal) owner(tenant string) registry.Owner {
	return registry.Owner{Tenant: tenant, Unbound: p.Tenant == ""}
}

// authenticator knows the keys that are accepted: the bootstrap key, and those that the registry holds. It compares
// digests, so that comparing takes the same time for every key of any length, and so that no dump shows a key.
type authenticator struct {
	bootstrap [sha256.Size]byte
	set       bool
	stored    Keys
}

func newAuthenticator(bootstrap catalog.Secret, stored Keys) authenticator {
	return authenticator{bootstrap: sha256.Sum256([]byte(bootstrap.Reveal())), set: bootstrap.IsSet(), stored: stored}
}

// authenticate says whose key the request carries. A stored key is only believed in while the registry is fresh: an
// instance that has not heard of Kafka for a while cannot know whether the key was revoked.
func (a authenticator) authenticate(r *http.Request, now time.Time) (principal, error) {
	name, presented, ok := presentedKey(r)
	digest := sha256.Sum256([]byte(presented))
	if ok && a.set && subtle.ConstantTimeCompare(digest[:], a.bootstrap[:]) == 1 {
		return principal{Name: audit.ActorBootstrap, Scopes: allScopes}, nil
	}
	key, ok := parseAPIKey(name, presented)
	if !ok {
		return principal{}, newProblem(kindUnauthenticated, needsKey)
	}
	stored, known := a.stored.APIKey(key.uid())
	hash, want := key.hash(), make([]byte, sha256.Size)
	if known {
		var err error
		want, err = hex.DecodeString(stored.Hash)
		known = err == nil
	}
	if subtle.ConstantTimeCompare(hash[:], want) != 1 || !known {
		return principal{}, newProblem(kindUnauthenticated, needsKey)
	}
	switch {
	case stored.ExpiredAt(now):
		return principal{}, newProblem(kindUnauthenticated, "the key has expired")
	case !a.stored.Fresh():
		return principal{}, &problem{kind: kindUnavailable, detail: "whether the key is still valid cannot be confirmed at present", retryAfter: retrySoon}
	}
	p := principal{Name: stored.UID, Tenant: stored.Tenant}
	for _, granted := range stored.Scopes {
		p.Scopes = append(p.Scopes, scope(granted))
	}
	return p, nil
}

const needsKey = "a valid key is needed, as a bearer token or as the password of Basic authentication"

// presentedKey reads a bearer token, or name and password of Basic authentication.
func presentedKey(r *http.Request) (name, key string, ok bool) {
	header := r.Header.Get("Authorization")
	if kind, token, ok := strings.Cut(header, " "); ok && strings.EqualFold(kind, "Bearer") {
		token = strings.TrimSpace(token)
		return "", token, token != ""
	}
	name, password, ok := r.BasicAuth()
	return name, password, ok && password != ""
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
