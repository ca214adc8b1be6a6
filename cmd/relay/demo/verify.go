package demo

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"eventrelay/catalog"
)

// Verifier checks who sent a request. Each is what a receiver of that platform has, written from the platform's page,
// and may be copied from here.
type Verifier func(ctx context.Context, header http.Header, body []byte) error

// verifier is the one for a webhook's format. publicKey gives the tenant's key as PEM; it is asked at the first
// request, because the key is made with the webhook that needs it.
func (w Webhook) verifier(secret string, publicKey func(context.Context) (string, error)) (Verifier, error) {
	switch w.Format {
	case catalog.FormatOphelos:
		return verifyOphelos(secret), nil
	case catalog.FormatSocotra:
		return verifySocotra(secret), nil
	case catalog.FormatOcelot:
		return verifyBasic(basicUser, secret), nil
	case catalog.FormatDonutwork:
		return verifyToken(secret), nil
	case catalog.FormatReceeve:
		return verifyReceeve(publicKey), nil
	default:
		return verifyStandard(secret)
	}
}

var errSignature = errors.New("the signature does not verify")

// verifyStandard uses the library of Standard Webhooks, as receivers do.
func verifyStandard(secret string) (Verifier, error) {
	library, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, errors.New("the secret is not base64") // the library's error quotes it
	}
	return func(_ context.Context, header http.Header, body []byte) error { return library.Verify(body, header) }, nil
}

func hexHMAC(secret string, message []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(message)
	return hex.AppendEncode(nil, mac.Sum(nil))
}

// ophelosTolerance is how old a request may be, so that a recorded one cannot be sent again later.
const ophelosTolerance = 300 * time.Second

// verifyOphelos checks Ophelos-Signature, "t=<seconds>,v1=<hex>".
func verifyOphelos(secret string) Verifier {
	return func(_ context.Context, header http.Header, body []byte) error {
		var at string
		var signatures [][]byte
		for part := range strings.SplitSeq(header.Get("Ophelos-Signature"), ",") {
			switch name, value, _ := strings.Cut(part, "="); name {
			case "t":
				at = value
			case "v1":
				signatures = append(signatures, []byte(value))
			}
		}
		seconds, err := strconv.ParseInt(at, 10, 64)
		if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > ophelosTolerance {
			return errors.New("the signature's time is missing or too far from now")
		}
		want := hexHMAC(secret, append([]byte(at+"."), body...))
		for _, signature := range signatures {
			if hmac.Equal(signature, want) {
				return nil
			}
		}
		return errSignature
	}
}

// verifySocotra checks socotra-signature, a hex HMAC of the body.
func verifySocotra(secret string) Verifier {
	return func(_ context.Context, header http.Header, body []byte) error {
		if !hmac.Equal([]byte(header.Get("socotra-signature")), hexHMAC(secret, body)) {
			return errSignature
		}
		return nil
	}
}

// basicUser is the user name of the demo's webhook with Basic authentication.
const basicUser = "demo"

// verifyBasic checks credentials: Ocelot signs nothing.
func verifyBasic(user, password string) Verifier {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	return func(_ context.Context, header http.Header, _ []byte) error {
		if subtle.ConstantTimeCompare([]byte(header.Get("Authorization")), []byte(want)) != 1 {
			return errors.New("wrong user or password")
		}
		return nil
	}
}

// verifyToken checks X-Webhook-Token.
func verifyToken(token string) Verifier {
	return func(_ context.Context, header http.Header, _ []byte) error {
		if subtle.ConstantTimeCompare([]byte(header.Get("X-Webhook-Token")), []byte(token)) != 1 {
			return errors.New("wrong token")
		}
		return nil
	}
}

// verifyReceeve checks the signature inside the body, and that payloadAsString says the same as payload.
func verifyReceeve(publicKey func(context.Context) (string, error)) Verifier {
	keys := keyring{fetch: publicKey}
	return func(ctx context.Context, _ http.Header, body []byte) error {
		var event struct {
			Payload                    json.RawMessage
			Signature, PayloadAsString string
		}
		if err := json.Unmarshal(body, &event); err != nil {
			return err
		}
		key, err := keys.key(ctx)
		if err != nil {
			return err
		}
		signature, err := base64.StdEncoding.DecodeString(event.Signature)
		if err != nil {
			return fmt.Errorf("the signature is not base64: %w", err)
		}
		sum := sha256.Sum256([]byte(event.PayloadAsString))
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
			return errSignature
		}
		if event.PayloadAsString != string(event.Payload) {
			return errors.New("payloadAsString is not payload")
		}
		return nil
	}
}

// keyring fetches a public key once.
type keyring struct {
	fetch func(context.Context) (string, error)

	mu     sync.Mutex // guards public; held during the fetch, so that a burst of requests fetches once
	public *rsa.PublicKey
}

func (k *keyring) key(ctx context.Context) (*rsa.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.public != nil {
		return k.public, nil
	}
	text, err := k.fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetch the public key: %w", err)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the public key is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse the public key: %w", err)
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the public key is not RSA")
	}
	k.public = public
	return public, nil
}
