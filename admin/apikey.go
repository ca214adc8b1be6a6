package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"

	"eventrelay/catalog"
)

// A key reads relay_<id>_<secret>, in lower-case base32:
//
//	relay_   lets people and scanners of source code know one when they see it
//	id       26 characters; with "key_" in front it is the uid, which is no secret
//	secret   52 characters of 260 random bits, then 7 of the CRC-32 of all before them: a key that was mistyped or cut
//	         off is told from one that is not known without a look at the store
const (
	keyPrefix         = "relay_"
	keyUIDPrefix      = "key_"
	keyIDLength       = 26
	keyRandomLength   = 52
	keyChecksumLength = 7
	keyLength         = len(keyPrefix) + keyIDLength + 1 + keyRandomLength + keyChecksumLength
)

// apiKey is a key that was just made, or presented.
type apiKey struct {
	id, secret string // the secret with its checksum
}

func newAPIKey() apiKey {
	k := apiKey{id: strings.ToLower(rand.Text())}
	random := strings.ToLower(rand.Text() + rand.Text())
	k.secret = random + keyChecksum(k.id, random)
	return k
}

func (k apiKey) uid() string { return keyUIDPrefix + k.id }

// whole is what is shown once.
func (k apiKey) whole() catalog.Secret { return catalog.NewSecret(keyPrefix + k.id + "_" + k.secret) }

// hash is what is stored of the key.
func (k apiKey) hash() [sha256.Size]byte { return sha256.Sum256([]byte(k.secret)) }

func (k apiKey) hashText() string {
	hash := k.hash()
	return hex.EncodeToString(hash[:])
}

func keyChecksum(id, random string) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(keyPrefix+id+"_"+random)))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum))
}

// parseAPIKey reads what a client presented: the whole key, under any name, or the secret under the key's uid.
func parseAPIKey(name, text string) (apiKey, bool) {
	var k apiKey
	if rest, whole := strings.CutPrefix(text, keyPrefix); whole && len(text) == keyLength {
		k.id, k.secret, _ = strings.Cut(rest, "_")
	} else {
		k.id, k.secret = strings.TrimPrefix(name, keyUIDPrefix), text
	}
	if len(k.id) != keyIDLength || len(k.secret) != keyRandomLength+keyChecksumLength {
		return apiKey{}, false
	}
	random, checksum := k.secret[:keyRandomLength], k.secret[keyRandomLength:]
	return k, checksum == keyChecksum(k.id, random)
}
