package payload

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"eventrelay/catalog"
)

// This file is what a receiver does who has read nothing but the platform's page. It shares no code with the package.

// accept checks signature and shape of a request in a platform's format.
func accept(format catalog.Format, header http.Header, body []byte, secret string, public *rsa.PublicKey) error {
	if header.Get("content-type") != "application/json" {
		return errors.New("not JSON")
	}
	switch format {
	case catalog.FormatOphelos:
		return acceptOphelos(header, body, secret)
	case catalog.FormatSocotra:
		return acceptSocotra(header, body, secret)
	case catalog.FormatOcelot:
		return acceptOcelot(body)
	case catalog.FormatDonutwork:
		return acceptDonutwork(header, body, secret)
	case catalog.FormatReceeve:
		return acceptReceeve(body, public)
	}
	return errors.New("no page describes this format")
}

func hexMAC(secret, message string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

func acceptOphelos(header http.Header, body []byte, secret string) error {
	if _, err := time.Parse(time.DateOnly, header.Get("Ophelos-Version")); err != nil {
		return fmt.Errorf("version: %w", err)
	}
	var at string
	valid := false
	for part := range strings.SplitSeq(header.Get("Ophelos-Signature"), ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			at = value
		case "v1":
			valid = valid || hmac.Equal([]byte(value), []byte(hexMAC(secret, at+"."+string(body))))
		}
	}
	if _, err := strconv.ParseInt(at, 10, 64); err != nil || !valid {
		return errors.New("signature does not verify")
	}
	return members(body, map[string]kind{"id": text, "object": text, "type": text, "data": anything, "created_at": dateTime, "livemode": boolean})
}

func acceptSocotra(header http.Header, body []byte, secret string) error {
	if !hmac.Equal([]byte(header.Get("socotra-signature")), []byte(hexMAC(secret, string(body)))) {
		return errors.New("signature does not verify")
	}
	return members(body, map[string]kind{"id": text, "timestamp": epochMillis, "data": anything, "transactionId": text, "type": text, "username": maybeEmpty})
}

func acceptOcelot(body []byte) error {
	var event map[string]json.RawMessage
	if err := json.Unmarshal(body, &event); err != nil {
		return err
	}
	for name, is := range map[string]kind{"name": text, "eventId": text, "dateTime": dateTime} {
		if err := is(event[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func acceptDonutwork(header http.Header, body []byte, token string) error {
	if header.Get("X-Webhook-Token") != token {
		return errors.New("wrong token")
	}
	return members(body, map[string]kind{"id": text, "event": text, "created": dateTime, "data": anything})
}

func acceptReceeve(body []byte, public *rsa.PublicKey) error {
	var event struct {
		Payload                    json.RawMessage
		Signature, PayloadAsString string
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return err
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(event.Signature)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(event.PayloadAsString))
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature); err != nil {
		return err
	}
	if event.PayloadAsString != string(event.Payload) {
		return errors.New("payloadAsString is not payload")
	}
	want := map[string]kind{"details": anything, "messageId": text, "timestamp": dateTimeMillis}
	var payload struct {
		Details struct{ MessageType *string }
		User    *struct{ ID, PoolID, Originator *string }
	}
	if err := json.Unmarshal(event.Payload, &payload); err != nil {
		return err
	}
	if payload.Details.MessageType == nil {
		return errors.New("details.messageType is missing")
	}
	if u := payload.User; u != nil {
		want["user"] = anything
		if u.ID == nil && u.PoolID == nil && u.Originator == nil {
			return errors.New("the user is not known")
		}
	}
	return members(event.Payload, want)
}

// kind checks a member of a body.
type kind func(json.RawMessage) error

func anything(value json.RawMessage) error {
	if value == nil {
		return errors.New("it is missing")
	}
	return nil
}

func maybeEmpty(value json.RawMessage) error {
	var s *string
	if err := json.Unmarshal(value, &s); err != nil || s == nil {
		return fmt.Errorf("%s is not a string", value)
	}
	return nil
}

func text(value json.RawMessage) error {
	if string(value) == `""` {
		return errors.New("it is empty")
	}
	return maybeEmpty(value)
}

func boolean(value json.RawMessage) error {
	if s := string(value); s != "true" && s != "false" {
		return fmt.Errorf("%s is not a boolean", value)
	}
	return nil
}

func epochMillis(value json.RawMessage) error {
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return err
	}
	_, err := strconv.ParseInt(s, 10, 64)
	return err
}

func dateTime(value json.RawMessage) error {
	var at time.Time
	return json.Unmarshal(value, &at) // RFC 3339 and nothing else
}

func dateTimeMillis(value json.RawMessage) error {
	_, fraction, _ := strings.Cut(string(value), ".")
	if len(strings.TrimRight(fraction, `"Z`)) < len("000") {
		return fmt.Errorf("%s has no milliseconds", value)
	}
	return dateTime(value)
}

// members checks that an object has exactly these members.
func members(object []byte, want map[string]kind) error {
	var got map[string]json.RawMessage
	if err := json.Unmarshal(object, &got); err != nil {
		return err
	}
	for name := range got {
		if want[name] == nil {
			return fmt.Errorf("%s is not documented", name)
		}
	}
	for name, is := range want {
		if err := is(got[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
