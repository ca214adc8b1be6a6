package payload

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"unicode/utf8"
)

const (
	receeveMessageType = "messageType"
	// minPairBytes is RSA with 2048 bits.
	minPairBytes = 2048 / 8
	// receeveOverhead is the room for the names of both copies and the time: 200 B, rounded up.
	receeveOverhead = 256
)

// compileReceeve makes the format that is signed inside its body, with the tenant's key pair: always, because without
// signature and payloadAsString the body is not of this format. Signing costs about 1 ms of CPU with 2048 bits, a
// hundred times an HMAC; the signing secrets of the webhook are not used.
func compileReceeve(k Keys) (composeFunc, error) {
	switch {
	case k.Pair == nil:
		return nil, fmt.Errorf("%w: the tenant has no key pair; save the webhook again to have one made", ErrSigningKey)
	case k.Pair.Size() < minPairBytes:
		return nil, fmt.Errorf("%w: the tenant's key pair has fewer than %d bits", ErrSigningKey, minPairBytes*8)
	}
	return func(m *Message, a *attempt) error { return composeReceeve(m, a, k.Pair) }, nil
}

// composeReceeve builds {"payload", "signature", "payloadAsString"}. The payload's bytes are built once and used three
// times: spliced in as an object, signed, and spliced in as a string, which therefore parses to exactly the object.
func composeReceeve(m *Message, a *attempt, pair *rsa.PrivateKey) error {
	payload, err := appendReceevePayload(m.text[:0], a)
	if err != nil {
		return err
	}
	m.text = payload
	// A string of JSON has no way to say which bytes were not UTF-8, so that the receiver would verify others.
	if !utf8.Valid(payload) {
		return fmt.Errorf("%w: data is not UTF-8, which payloadAsString cannot hold", ErrFormat)
	}
	sum := sha256.Sum256(payload)
	// PKCS #1 v1.5 needs no randomness: the same payload has the same signature on every attempt.
	signature, err := rsa.SignPKCS1v15(nil, pair, crypto.SHA256, sum[:])
	if err != nil { // the library checks each signature and finds a fault of the machine so
		return fmt.Errorf("%w: sign the payload: %w", ErrFormat, err)
	}
	b := slices.Grow(m.body[:0], receeveOverhead+len(payload)*9/4+base64.StdEncoding.EncodedLen(len(signature)))
	b = append(b, `{"payload":`...)
	b = append(b, payload...)
	b = append(b, `,"signature":"`...)
	b = base64.StdEncoding.AppendEncode(b, signature)
	b = append(b, '"')
	b = appendField(b, "payloadAsString", string(payload))
	m.own(append(b, '}'))
	m.add(headerContentType, mediaJSON)
	return nil
}

// appendReceevePayload builds {"details","messageId","timestamp","user"?}. details is the data, with messageType in
// front when it has none; no data leaves messageType alone. The timestamp has at least milliseconds.
func appendReceevePayload(dst []byte, a *attempt) ([]byte, error) {
	ev := a.Event
	details, err := objectData(ev)
	if err != nil {
		return nil, err
	}
	b := slices.Grow(dst, receeveOverhead+len(details)+len(ev.Type))
	b = append(b, `{"details":`...)
	if details.has(receeveMessageType) {
		b = append(b, details...)
	} else {
		b = append(b, `{"messageType":`...)
		b = appendString(b, ev.Type)
		if !details.empty() {
			b = append(b, ',')
		}
		b = append(b, details[1:]...)
	}
	b = appendField(b, "messageId", a.eventID())
	b = append(b, `,"timestamp":"`...)
	if b, err = appendOriginalTime(b, ev, len("848")); err != nil {
		return nil, err
	}
	b = append(b, '"')
	b = appendReceeveUser(b, a)
	return append(b, '}'), nil
}

// appendReceeveUser appends what is known of the user among the fields that the platform documents: not a mere name,
// which is no such field. Nothing known leaves user out.
func appendReceeveUser(dst []byte, a *attempt) []byte {
	start := len(dst)
	for _, field := range [...]struct{ name, value string }{
		{"id", a.Event.User.ID}, {"poolId", a.Event.User.PoolID}, {"originator", a.Event.User.Originator},
	} {
		switch {
		case field.value == "":
		case len(dst) == start:
			dst = append(dst, `,"user":{"`...)
			dst = append(dst, field.name...)
			dst = append(dst, `":`...)
			dst = appendString(dst, field.value)
		default:
			dst = appendField(dst, field.name, field.value)
		}
	}
	if len(dst) > start {
		dst = append(dst, '}')
	}
	return dst
}
