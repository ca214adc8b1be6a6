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

// idempotency is what a request's Idempotency-Key makes of it. Nothing is remembered for it: the uid of what is
// created derives from the key, so that a repeat finds it wherever and whenever it arrives, and the fingerprint of the
// body is stored with it.
type idempotency struct {
	uidDigest   string
	fingerprint string
}

// idempotency of a request with that body. Without a key every request is another one.
func (c *call) idempotency(body []byte) idempotency {
	key := c.Request().Header.Get("Idempotency-Key")
	if key == "" {
		return idempotency{}
	}
	// Both are keyed by what only the client knows, so that a stored fingerprint is no way to guess at a body, which
	// may hold secrets.
	operation := c.op.Method + " " + c.op.Path
	uid, print := hmac.New(sha256.New, []byte(key)), hmac.New(sha256.New, []byte(key))
	writeParts(uid, "uid", c.tenant, operation)
	writeParts(print, "body", c.tenant, operation, string(canonical(body)))
	return idempotency{
		uidDigest:   hex.EncodeToString(uid.Sum(nil)[:16]),
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

func (i idempotency) given() bool { return i.uidDigest != "" }

// uid is that of what the request creates.
func (i idempotency) uid(prefix string) string {
	if !i.given() {
		return catalog.NewUID(prefix)
	}
	return prefix + i.uidDigest
}

// sameAs refuses a key that was used for another body.
func (i idempotency) sameAs(fingerprint string) error {
	if !hmac.Equal([]byte(i.fingerprint), []byte(fingerprint)) {
		return newProblem(kindKeyReused, "use a new key for a new request")
	}
	return nil
}
