package deliver

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/deliver/token"
	"eventrelay/relay/payload"
)

// ErrUnsendable is matched by the error of a target that no attempt can be made for: the webhook needs its owner.
var ErrUnsendable = errors.New("webhook cannot be sent to")

// target is a webhook compiled for sending: endpoint, encoding and fixed headers. It is immutable and valid as long
// as the webhook and integration it was made from are the current ones.
type target struct {
	webhook     *catalog.Webhook
	integration *catalog.Integration
	endpoint    catalog.Endpoint
	encoding    *payload.Encoding
	headers     []outbound.Header // auth, then custom ones
	// credentials are what a token is fetched with before each attempt; nil where the auth is not oauth2.
	credentials *token.Credentials
	secrets     []string // what a receiver may echo, see scrub
	err         error
}

// AuthTypes are the ways to authenticate that deliveries can use.
func AuthTypes() []catalog.AuthType {
	return []catalog.AuthType{catalog.AuthNone, catalog.AuthBasic, catalog.AuthBearer, catalog.AuthHeader, catalog.AuthOAuth2, catalog.AuthMTLS}
}

func compileTarget(w *catalog.Webhook, in *catalog.Integration, office string, pair *rsa.PrivateKey) *target {
	t := &target{webhook: w, integration: in}
	if t.endpoint, t.err = w.ResolveEndpoint(in, office); t.err != nil {
		t.err = fmt.Errorf("%w: %w", ErrUnsendable, t.err)
		return t
	}
	keys := payload.Keys{Signing: t.endpoint.Signing, Version: w.Version, Pair: pair}
	compile := payload.Compile
	if _, alerts := relay.AlertedUID(w.UID); alerts {
		compile = payload.CompileAlert
	}
	if t.encoding, t.err = compile(w.Format, keys); t.err != nil {
		t.err = fmt.Errorf("%w: %w", ErrUnsendable, t.err)
		return t
	}
	switch auth := t.endpoint.Auth; auth.Type {
	case catalog.AuthBasic:
		pair := auth.Username + ":" + auth.Password.Reveal()
		t.add("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case catalog.AuthBearer:
		t.add("Authorization", "Bearer "+auth.Token.Reveal())
	case catalog.AuthHeader:
		t.add(auth.Name, auth.Value.Reveal())
	case catalog.AuthOAuth2:
		t.credentials = token.CredentialsOf(&t.endpoint)
	case catalog.AuthNone, "", catalog.AuthMTLS: // mTLS belongs to the connection
	default:
		t.err = fmt.Errorf("%w: auth type %q", ErrUnsendable, auth.Type)
	}
	t.secrets = secretsOf(&t.endpoint)
	for _, name := range slices.Sorted(maps.Keys(t.endpoint.Headers)) {
		t.add(name, t.endpoint.Headers[name])
	}
	return t
}

func (t *target) add(name, value string) {
	t.headers = append(t.headers, outbound.Header{Name: name, Value: value})
}
