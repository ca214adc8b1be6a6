package payload

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"sync"
	"time"

	"eventrelay/catalog"
)

const whsecPrefix = "whsec_"

var errNoSecret = fmt.Errorf("%w: signing is enabled and there is none; rotate the webhook's secret to make one", ErrSigningKey)

// standardWebhooks makes a format whose body and headers come from compose and whose signature is that of Standard
// Webhooks 1.0.0, when signing is enabled.
func standardWebhooks(compose composeFunc) compileFunc {
	return func(k Keys) (composeFunc, error) {
		if !k.Signing.Enabled {
			return compose, nil
		}
		keys, err := compileKeys(k.Signing.Secrets)
		if err != nil {
			return nil, err
		}
		return func(m *Message, a *attempt) error {
			if err := compose(m, a); err != nil {
				return err
			}
			m.add(headerSignature, m.signStandard(a, keys))
			return nil
		}, nil
	}
}

// signStandard gives "v1,<base64>" of HMAC-SHA256 over "id.timestamp.body" for each key, separated by spaces, newest
// key first: while keys rotate a receiver accepts the request with either.
func (m *Message) signStandard(a *attempt, keys []*macKey) string {
	b := append(m.text[:0], a.id...)
	b = append(b, '.')
	b = append(b, a.timestamp...)
	b = append(b, '.')
	prefix := len(b)
	for i, key := range keys {
		if i > 0 {
			if key.expired(a.now) {
				continue
			}
			b = append(b, ' ')
		}
		b = append(b, "v1,"...)
		sum := key.sum(b[:prefix], m.Body)
		b = base64.StdEncoding.AppendEncode(b, sum[:])
	}
	m.text = b
	return string(b[prefix:])
}

// macKey computes HMAC-SHA256 with one key. Starting from a keyed hash costs half of keying a new one, so idle states
// are pooled; the key itself is only in them and in the pool's New.
type macKey struct {
	states  sync.Pool
	expires time.Time // zero: never
}

// expired: a key that was rotated out is not used any more. The newest key is used in any case.
func (k *macKey) expired(now time.Time) bool { return !k.expires.IsZero() && !now.Before(k.expires) }

func newMACKey(key []byte, expires time.Time) *macKey {
	k := &macKey{expires: expires}
	k.states.New = func() any { return &macState{hash: hmac.New(sha256.New, key)} }
	return k
}

type macState struct {
	hash hash.Hash
	out  [sha256.Size]byte
}

// sum is the MAC of prefix followed by body.
func (k *macKey) sum(prefix, body []byte) [sha256.Size]byte {
	s := k.states.Get().(*macState)
	s.hash.Reset()
	s.hash.Write(prefix)
	s.hash.Write(body)
	s.hash.Sum(s.out[:0])
	out := s.out
	k.states.Put(s)
	return out
}

// compileKeys prepares the keys in the given order, newest first.
func compileKeys(secrets []catalog.SigningSecret) ([]*macKey, error) {
	if len(secrets) == 0 {
		return nil, errNoSecret
	}
	keys := make([]*macKey, len(secrets))
	for i, s := range secrets {
		key, err := decodeKey(s)
		if err != nil {
			return nil, fmt.Errorf("signing.secrets[%d]: %w", i, err)
		}
		keys[i] = newMACKey(key, s.Expires)
	}
	return keys, nil
}

// decodeKey gives the bytes of a key. Its errors name what is wrong and show nothing of the key.
func decodeKey(s catalog.SigningSecret) ([]byte, error) {
	// Signing with the public placeholder would let anyone forge deliveries.
	if s.Value.IsRedacted() {
		return nil, fmt.Errorf("%w: the value is the placeholder for a secret", ErrSigningKey)
	}
	var key []byte
	switch s.Encoding {
	case catalog.SecretRaw:
		key = []byte(s.Value.Reveal())
	case catalog.SecretWhsec:
		var err error
		if key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(s.Value.Reveal(), whsecPrefix)); err != nil {
			return nil, fmt.Errorf("%w: not %s followed by base64", ErrSigningKey, whsecPrefix)
		}
	default:
		return nil, fmt.Errorf("%w: unknown encoding %q", ErrSigningKey, s.Encoding)
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrSigningKey)
	}
	return key, nil
}

// compileCharacterKeys prepares the keys of a format whose keys are the characters of the secrets, newest first; none
// when signing is disabled.
func compileCharacterKeys(s catalog.Signing) ([]*macKey, error) {
	secrets, err := characterSecrets(s)
	if err != nil {
		return nil, err
	}
	keys := make([]*macKey, len(secrets))
	for i, secret := range secrets {
		keys[i] = newMACKey([]byte(secret), s.Secrets[i].Expires)
	}
	return keys, nil
}

// single chooses the key of a format that has room for one: while keys rotate the oldest that was rotated out and has
// not expired, so that a receiver has until then to learn the new one; else the newest. expires gives that of the i-th key.
func single(keys int, now time.Time, expires func(i int) time.Time) int {
	for i := keys - 1; i > 0; i-- {
		if at := expires(i); !at.IsZero() && now.Before(at) {
			return i
		}
	}
	return 0
}

// characterSecrets are the secrets as their owner was shown them, newest first; none when signing is disabled.
func characterSecrets(s catalog.Signing) ([]string, error) {
	if !s.Enabled {
		return nil, nil
	}
	if len(s.Secrets) == 0 {
		return nil, errNoSecret
	}
	secrets := make([]string, len(s.Secrets))
	for i, secret := range s.Secrets {
		switch {
		// Signing with the public placeholder would let anyone forge deliveries.
		case secret.Value.IsRedacted():
			return nil, fmt.Errorf("signing.secrets[%d]: %w: the value is the placeholder for a secret", i, ErrSigningKey)
		case !secret.Value.IsSet():
			return nil, fmt.Errorf("signing.secrets[%d]: %w: it is empty", i, ErrSigningKey)
		}
		secrets[i] = secret.Value.Reveal()
	}
	return secrets, nil
}
