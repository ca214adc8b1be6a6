package receive

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

func receeve(publicKey func(context.Context) (string, error)) format {
	keys := &keyring{fetch: publicKey}
	return format{
		authenticate: func(ctx context.Context, _ http.Header, body []byte) error {
			return verifyReceeve(ctx, keys, body)
		},
		open: openReceeve,
	}
}

// errOtherPayload is a payload that nobody signed beside a text that somebody did. A receiver may parse either; that they
// are equal to the byte is more than it needs.
var errOtherPayload = errors.New("payloadAsString is not payload")

// verifyReceeve checks the signature inside the body, as crypto.createVerify("SHA256") of Node does.
func verifyReceeve(ctx context.Context, keys *keyring, body []byte) error {
	var event struct {
		Payload                    json.RawMessage
		Signature, PayloadAsString string
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return fmt.Errorf("%w: there is no signature: %w", ErrSender, err)
	}
	key, err := keys.key(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(event.Signature)
	if err != nil {
		return fmt.Errorf("%w: the signature is not base64", ErrSender)
	}
	sum := sha256.Sum256([]byte(event.PayloadAsString))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
		return fmt.Errorf("%w: the signature does not verify", ErrSender)
	}
	if event.PayloadAsString != string(event.Payload) {
		return fmt.Errorf("%w: %w", ErrSender, errOtherPayload)
	}
	return nil
}

func openReceeve(header http.Header, body []byte) (Event, error) {
	if err := isJSON(header); err != nil {
		return Event{}, err
	}
	outer, err := read(body, members{"payload": object, "signature": text, "payloadAsString": text})
	if err != nil {
		return Event{}, err
	}
	if unquote(outer["payloadAsString"]) != string(outer["payload"]) {
		return Event{}, errOtherPayload
	}
	payload, err := read(outer["payload"], members{
		"details": object, "messageId": text, "timestamp": dateTimeMillis, "user": optional(object),
	})
	if err != nil {
		return Event{}, fmt.Errorf("payload: %w", err)
	}
	if user, known := payload["user"]; known {
		one, err := read(user, members{"id": optional(text), "poolId": optional(text), "originator": optional(text)})
		if err == nil && len(one) == 0 {
			err = errors.New("it says nothing about the user")
		}
		if err != nil {
			return Event{}, fmt.Errorf("payload.user: %w", err)
		}
	}
	var details map[string]json.RawMessage
	if err := json.Unmarshal(payload["details"], &details); err != nil {
		return Event{}, err
	}
	if err := text(details["messageType"]); err != nil {
		return Event{}, fmt.Errorf("payload.details.messageType: %w", err)
	}
	return Event{ID: unquote(payload["messageId"]), Type: unquote(details["messageType"]), Data: payload["details"]}, nil
}
