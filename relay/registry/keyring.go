package registry

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
)

// masterKeyBytes is the size of an AES-256 key.
const masterKeyBytes = 32

// ErrKeyring is matched by every error of ParseKeyring.
var ErrKeyring = errors.New("invalid master key")

// Keyring holds the master keys that wrap the data keys of records. The first one wraps what is written from now
// on; all of them open what was written before, so that keys rotate by putting the new one first. It is immutable.
type Keyring struct {
	keys []masterKey
}

// masterKey is one key with its name. check tells two keys of the same id apart without saying anything of use
// about either: a record sealed by a key that this process does not hold is another matter than a damaged one.
type masterKey struct {
	id    string
	check string
	aead  cipher.AEAD
}

var masterKeyID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)

// ParseKeyring reads master keys as RELAY_MASTER_KEY holds them: "id:base64 of 32 bytes", separated by commas or
// white space, the current one first. A key without an id is called "1". Errors name the position of a bad key and
// never its value.
func ParseKeyring(text string) (*Keyring, error) {
	ring := &Keyring{}
	entries := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
	for i, entry := range entries {
		id, encoded, named := strings.Cut(entry, ":")
		if !named {
			id, encoded = "1", entry
		}
		if !masterKeyID.MatchString(id) {
			return nil, fmt.Errorf("%w: number %d: an id is up to 32 letters, digits, dots, dashes and underscores", ErrKeyring, i+1)
		}
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
		if err != nil || len(raw) != masterKeyBytes {
			return nil, fmt.Errorf("%w: number %d is not the base64 of %d bytes; make one with: openssl rand -base64 %d",
				ErrKeyring, i+1, masterKeyBytes, masterKeyBytes)
		}
		for _, other := range ring.keys {
			if other.id == id {
				return nil, fmt.Errorf("%w: number %d has the id of another one; ids must differ", ErrKeyring, i+1)
			}
		}
		ring.keys = append(ring.keys, masterKey{id: id, check: keyCheck(raw), aead: newAEAD(raw)})
	}
	if len(ring.keys) == 0 {
		return nil, fmt.Errorf("%w: none given", ErrKeyring)
	}
	return ring, nil
}

// GenerateMasterKey returns a new random key in the form that ParseKeyring reads, without an id.
func GenerateMasterKey() string {
	return base64.StdEncoding.EncodeToString(randomBytes(masterKeyBytes))
}

// current wraps new data keys.
func (k *Keyring) current() masterKey { return k.keys[0] }

// find returns the key that wrapped a data key, or false when this process does not hold it.
func (k *Keyring) find(id, check string) (masterKey, bool) {
	for _, key := range k.keys {
		if key.id == id && key.check == check {
			return key, true
		}
	}
	return masterKey{}, false
}

// String names the keys without saying anything about their values.
func (k *Keyring) String() string {
	ids := make([]string, len(k.keys))
	for i, key := range k.keys {
		ids[i] = key.id
	}
	return "master keys " + strings.Join(ids, ", ")
}

// GoString is String, so that %#v does not print the fields.
func (k *Keyring) GoString() string { return k.String() }

// LogValue is String, so that a handler does not print the fields.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }

// keyCheck is 48 bits of a MAC under the key: enough to tell the keys of one operator apart, and useless against a
// random key of 256 bits.
func keyCheck(key []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("relay registry master key"))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil)[:6])
}

// newAEAD is AES-256-GCM with the random nonce in front of the ciphertext. Both steps fail only for a wrong key
// size, which callers have checked.
func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("registry: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("registry: " + err.Error())
	}
	return aead
}

// randomBytes never fails: crypto/rand ends the program when the system has no randomness.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// Equal reports whether both hold the same keys under the same ids in the same order.
func (k *Keyring) Equal(other *Keyring) bool {
	return slices.EqualFunc(k.keys, other.keys, func(a, b masterKey) bool { return a.id == b.id && a.check == b.check })
}
