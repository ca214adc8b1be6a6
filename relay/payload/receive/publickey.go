package receive

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

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
		return nil, fmt.Errorf("fetch it: %w", err)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse it: %w", err)
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("it is not an RSA key")
	}
	k.public = public
	return public, nil
}

const (
	// keyTimeout bounds a fetch, while which no request is answered.
	keyTimeout = 10 * time.Second
	// maxKey is far more than a PEM of 16 384 bits.
	maxKey = 64 << 10
)

// PublicKeyAt gives a public key in PEM from an http:// or https:// URL, or from a file. The relay has it at
// /receeve/public-key as soon as the tenant has a webhook of that format, so it is asked for when it is needed.
func PublicKeyAt(source string) func(context.Context) (string, error) {
	if !strings.HasPrefix(source, "http://") && !strings.HasPrefix(source, "https://") {
		return func(context.Context) (string, error) {
			pem, err := os.ReadFile(source) //nolint:gosec // the file that the caller names
			return string(pem), err
		}
	}
	return func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, keyTimeout, fmt.Errorf("%s did not answer within %s", source, keyTimeout))
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, http.NoBody)
		if err != nil {
			return "", err
		}
		req.Close = true // once in the life of a receiver: no connection is kept for another
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return "", fmt.Errorf("%s answered %d", source, resp.StatusCode)
		}
		pem, err := io.ReadAll(io.LimitReader(resp.Body, maxKey))
		return string(pem), err
	}
}
