package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"eventrelay/catalog"
)

// Kind says what a record of the topic is about. It is the first part of the record's key.
type Kind string

// The kinds. A kind that this version does not know is left alone, so that versions can run side by side while a
// new kind is introduced.
const (
	KindWebhook     Kind = "webhook"
	KindIntegration Kind = "integration"
	KindSuspension  Kind = "suspension"
	KindKeyPair     Kind = "keypair"
	KindAPIKey      Kind = "key"
	KindBreaker     Kind = "breaker"
	// kindBarrier marks a record without content, written to make the end of the topic visible.
	kindBarrier Kind = "barrier"
)

// recordVersion is the version of the values that this code writes and reads. Fields may be added without changing
// it; a change that older code would misread needs the next one, which older code quarantines.
const recordVersion = 1

// ErrBadRecord is matched by a record that is not one of ours, or damaged.
var ErrBadRecord = errors.New("bad registry record")

// recordKey is the key of a record: kind/tenant/uid. Kind and uid hold no slash, a tenant may, or is empty for what
// belongs to none.
type recordKey struct {
	kind        Kind
	tenant, uid string
}

func (k recordKey) String() string { return string(k.kind) + "/" + k.tenant + "/" + k.uid }

func parseRecordKey(text string) (recordKey, error) {
	first, last := strings.IndexByte(text, '/'), strings.LastIndexByte(text, '/')
	if first <= 0 || last <= first || last == len(text)-1 {
		return recordKey{}, fmt.Errorf("%w: key %.80q is not kind/tenant/uid", ErrBadRecord, text)
	}
	return recordKey{kind: Kind(text[:first]), tenant: text[first+1 : last], uid: text[last+1:]}, nil
}

// resource is the decoded content of a record: the field of its kind is set, or none for a tombstone and for a kind
// that this version does not know.
type resource struct {
	key         recordKey
	webhook     *catalog.Webhook
	integration *catalog.Integration
	suspension  *catalog.Suspension
	keyPair     *KeyPair
	apiKey      *APIKey
	breaker     *catalog.ForcedBreaker
}

// stored is the value of a record. Resource holds no secret: they read as "redacted" there and are in Sealed.
type stored struct {
	Version  int             `json:"v"`
	Kind     Kind            `json:"kind"`
	Resource json.RawMessage `json:"resource"`
	Sealed   *sealed         `json:"sealed,omitempty"`
}

// secretive is a resource that holds secrets.
type secretive interface {
	EachSecret(f func(path string, s *catalog.Secret))
}

// encodeRecord gives the value of a record.
func encodeRecord(keys *Keyring, key recordKey, content any) ([]byte, error) {
	value := stored{Version: recordVersion, Kind: key.kind}
	if holder, ok := content.(secretive); ok {
		secrets, err := collectSecrets(holder)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", key, err)
		}
		if value.Sealed, err = keys.seal(key.String(), secrets); err != nil {
			return nil, err
		}
	}
	var err error
	if value.Resource, err = marshal(content); err != nil {
		return nil, fmt.Errorf("encode %s: %w", key, err)
	}
	encoded, err := marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", key, err)
	}
	return encoded, nil
}

// ErrPlaceholder is returned for a resource that would store the word that stands for a secret as the secret.
var ErrPlaceholder = errors.New("a secret is the placeholder " + catalog.Redacted)

func collectSecrets(holder secretive) (secretsByPath, error) {
	var (
		secrets     = secretsByPath{}
		placeholder string
	)
	holder.EachSecret(func(path string, s *catalog.Secret) {
		switch {
		case s.IsRedacted():
			placeholder = path
		case s.IsSet():
			secrets[path] = s.Reveal()
		}
	})
	if placeholder != "" {
		return nil, fmt.Errorf("%s: %w", placeholder, ErrPlaceholder)
	}
	return secrets, nil
}

// marshal is json.Marshal that leaves <, > and & as the client wrote them in filter and metadata.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeRecord reads one record; an empty value is a tombstone. It is pure: what becomes of a record that does not
// decode is up to the caller. Errors are a *MissingKeyError, or match ErrBadRecord or ErrSealed.
func decodeRecord(keys *Keyring, keyText, value string) (resource, error) {
	key, err := parseRecordKey(keyText)
	if err != nil {
		return resource{}, err
	}
	res := resource{key: key}
	if len(value) == 0 {
		return res, nil
	}
	var content any
	switch key.kind {
	case KindWebhook:
		res.webhook = &catalog.Webhook{}
		content = res.webhook
	case KindIntegration:
		res.integration = &catalog.Integration{}
		content = res.integration
	case KindSuspension:
		res.suspension = &catalog.Suspension{}
		content = res.suspension
	case KindKeyPair:
		res.keyPair = &KeyPair{}
		content = res.keyPair
	case KindAPIKey:
		res.apiKey = &APIKey{}
		content = res.apiKey
	case KindBreaker:
		res.breaker = &catalog.ForcedBreaker{}
		content = res.breaker
	default:
		return res, nil
	}
	if err := decodeContent(keys, key, value, content); err != nil {
		return resource{key: key}, err
	}
	if err := res.checkIdentity(); err != nil {
		return resource{key: key}, err
	}
	if res.webhook != nil {
		res.webhook.Intern()
	}
	if res.breaker != nil {
		if err := checkForced(res.breaker); err != nil {
			return resource{key: key}, fmt.Errorf("%w: %s: %w", ErrBadRecord, key, err)
		}
	}
	if res.keyPair != nil {
		if err := res.keyPair.parse(); err != nil {
			return resource{key: key}, fmt.Errorf("%w: %s: %w", ErrBadRecord, key, err)
		}
	}
	return res, nil
}

func decodeContent(keys *Keyring, key recordKey, value string, content any) error {
	s, err := openEnvelope(value)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBadRecord, key, err)
	}
	if s.Version != recordVersion {
		return fmt.Errorf("%w: %s: version %d, this relay reads %d", ErrBadRecord, key, s.Version, recordVersion)
	}
	if s.Kind != key.kind {
		return fmt.Errorf("%w: %s: value is of kind %.40q", ErrBadRecord, key, s.Kind)
	}
	if err := json.Unmarshal(s.Resource, content); err != nil {
		return fmt.Errorf("%w: %s: resource: %w", ErrBadRecord, key, err)
	}
	holder, ok := content.(secretive)
	if !ok {
		return nil
	}
	secrets, err := keys.open(key.String(), s.Sealed)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return restoreSecrets(key, holder, secrets)
}

// openEnvelope reads the outer members of a value in one pass. A start opens a hundred thousand, and encoding/json
// would go over the resource twice more; what is inside the members is validated when it is decoded.
func openEnvelope(value string) (stored, error) {
	var (
		s   stored
		err error
	)
	gjson.Parse(value).ForEach(func(name, member gjson.Result) bool {
		switch name.Str {
		case "v":
			s.Version = int(member.Int())
		case "kind":
			s.Kind = Kind(member.Str)
		case "resource":
			s.Resource = json.RawMessage(member.Raw)
		case "sealed":
			err = json.Unmarshal([]byte(member.Raw), &s.Sealed)
		}
		return err == nil
	})
	return s, err
}

// restoreSecrets puts the plaintexts back. A placeholder without a plaintext is an error: requests must never be
// signed with the word "redacted".
func restoreSecrets(key recordKey, holder secretive, secrets secretsByPath) error {
	var missing string
	holder.EachSecret(func(path string, s *catalog.Secret) {
		if plain, ok := secrets[path]; ok {
			*s = catalog.NewSecret(plain)
		} else if s.IsSet() {
			missing = path
		}
	})
	if missing != "" {
		return fmt.Errorf("%w: %s: no sealed value for %s", ErrBadRecord, key, missing)
	}
	return nil
}

// checkIdentity compares what the value says of itself with the key, which is what the snapshot files it under.
func (r resource) checkIdentity() error {
	var tenant, uid string
	switch {
	case r.webhook != nil:
		tenant, uid = r.webhook.Tenant, r.webhook.UID
	case r.integration != nil:
		tenant, uid = r.integration.Tenant, r.integration.UID
	case r.suspension != nil:
		tenant, uid = r.suspension.Tenant, r.suspension.UID
	case r.keyPair != nil:
		tenant, uid = r.keyPair.Tenant, r.keyPair.UID
	case r.apiKey != nil:
		tenant, uid = r.apiKey.Tenant, r.apiKey.UID
	case r.breaker != nil:
		tenant, uid = r.breaker.Tenant, r.breaker.RecordUID()
	}
	if tenant != r.key.tenant || uid != r.key.uid {
		return fmt.Errorf("%w: %s: value belongs to %.80q/%.80q", ErrBadRecord, r.key, tenant, uid)
	}
	return nil
}
