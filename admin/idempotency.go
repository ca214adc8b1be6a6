package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"eventrelay/admin/openapi"
	"eventrelay/catalog"
)

// headerReplayed marks the answer to a repeated request: the resource as it is now, not as it was made.
const headerReplayed = "Idempotency-Replayed"

// idempotency is what a request's Idempotency-Key makes of it. Nothing is remembered beside what is created: digest and
// fingerprint are stored with it, so that a repeat finds it wherever and whenever it arrives, whatever has become of
// Redis. When it is deleted, the request is forgotten with it: a repeat then creates anew, under a uid of its own, so
// that what is left of the former one's deliveries is never taken for the new one's.
type idempotency struct {
	digest      string // of tenant, operation and key; empty: no key was given
	fingerprint string // of the body
}

// idempotency of a request with that body. Without a key every request is another one.
func (c *call) idempotency(body []byte) idempotency {
	return newIdempotency(c.Request().Header.Get(headerIdempotencyKey), c.tenant, c.op.Method+" "+c.op.Path, body)
}

const headerIdempotencyKey = "Idempotency-Key"

func newIdempotency(key, tenant, operation string, body []byte) idempotency {
	if key == "" {
		return idempotency{}
	}
	// Both are keyed by what only the client knows, so that a stored fingerprint is no way to guess at a body, which
	// may hold secrets.
	digest, print := hmac.New(sha256.New, []byte(key)), hmac.New(sha256.New, []byte(key))
	writeParts(digest, "uid", tenant, operation)
	writeParts(print, "body", tenant, operation, string(canonical(body)))
	return idempotency{
		digest:      hex.EncodeToString(digest.Sum(nil)[:16]),
		fingerprint: hex.EncodeToString(print.Sum(nil)[:16]),
	}
}

// canonical is the same for bodies that differ only in white space and order of members.
func canonical(body []byte) []byte {
	value, err := openapi.Decode(body)
	if err != nil {
		return body
	}
	text, err := encodeJSON(value)
	if err != nil {
		return body
	}
	return text
}

// writeParts writes each part with its length before it, so that ("ab","c") and ("a","bc") differ.
func writeParts(h hash.Hash, parts ...string) {
	for _, part := range parts {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // a hash never fails
		_, _ = h.Write([]byte(part))
	}
}

func (i idempotency) given() bool { return i.digest != "" }

// uid is that of what remembers no request and is found by its uid alone. Nothing may outlive it that goes by the uid.
func (i idempotency) uid(prefix string) string {
	if !i.given() {
		return catalog.NewUID(prefix)
	}
	return prefix + i.digest
}

// sameAs refuses a key that was used for another body.
func (i idempotency) sameAs(fingerprint string) error {
	if !hmac.Equal([]byte(i.fingerprint), []byte(fingerprint)) {
		return newProblem(kindKeyReused, "use a new key for a new request")
	}
	return nil
}
