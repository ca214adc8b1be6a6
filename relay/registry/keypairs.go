package registry

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"eventrelay/catalog"
)

// KeyPair is what a tenant's deliveries are signed with in the format that takes an asymmetric signature. A tenant
// has at most one, made with its first webhook of that format and kept from then on, also when the webhook goes:
// receivers have the public half.
type KeyPair struct {
	UID    string `json:"uid"`
	Tenant string `json:"tenant"`
	// PublicKey is PEM of a SubjectPublicKeyInfo. It is no secret.
	PublicKey string `json:"publicKey"`
	// PrivateKey is PEM of PKCS #8.
	PrivateKey catalog.Secret `json:"privateKey"`
	Created    time.Time      `json:"created"`

	// private is PrivateKey, parsed once when the record is decoded.
	private *rsa.PrivateKey
}

const (
	// keyPairUID is that of every tenant's pair, so that a tenant cannot have two: the key of its record follows from
	// the tenant alone.
	keyPairUID = "signing"
	// keyPairBits is RSA's size. Making a pair takes some 100 ms, signing with it 1 ms.
	keyPairBits = 2048
	pemPublic   = "PUBLIC KEY"
	pemPrivate  = "PRIVATE KEY"
)

// EachSecret calls f with the private key.
func (p *KeyPair) EachSecret(f func(path string, s *catalog.Secret)) { f("privateKey", &p.PrivateKey) }

// PublicKey gives a tenant's public key as PEM, or false when the tenant has no key pair.
func (r *Registry) PublicKey(tenant string) (pem string, ok bool) {
	if p := r.keyPair(tenant); p != nil {
		return p.PublicKey, true
	}
	return "", false
}

// PrivateKey gives a tenant's private key for signing, or nil when the tenant has no key pair. It is made for the hot
// path: one read lock and one map lookup.
func (r *Registry) PrivateKey(tenant string) *rsa.PrivateKey {
	if p := r.keyPair(tenant); p != nil {
		return p.private
	}
	return nil
}

func (r *Registry) keyPair(tenant string) *KeyPair {
	r.snapshot.mu.RLock()
	defer r.snapshot.mu.RUnlock()
	return r.snapshot.keyPairs[tenant]
}

// pairMaker makes at most one pair, however often the write that needs it is decided anew.
func pairMaker(tenant string) func() (*KeyPair, error) {
	return sync.OnceValues(func() (*KeyPair, error) { return newKeyPair(tenant) })
}

// withKeyPair puts the tenant's key pair in front of a webhook that is signed with it, unless there is one. Both are
// written in one transaction, the pair first, so that nobody ever sees the webhook without it.
func (r *Registry) withKeyPair(w *catalog.Webhook, makePair func() (*KeyPair, error)) ([]draft, error) {
	drafts := []draft{{key: webhookKey(w), content: w}}
	if !needsKeyPair(w) || r.keyPair(w.Tenant) != nil {
		return drafts, nil
	}
	// A pair that only lacks its master key here is in use elsewhere: another one must not take its place.
	if id := r.snapshot.missingKey(recordKey{kind: KindKeyPair, tenant: w.Tenant, uid: keyPairUID}); id != "" {
		return nil, fmt.Errorf("key pair of tenant %q: %w", w.Tenant, &MissingKeyError{KeyID: id})
	}
	pair, err := makePair()
	if err != nil {
		return nil, err
	}
	return append([]draft{{key: keyPairKey(pair), content: pair}}, drafts...), nil
}

func needsKeyPair(w *catalog.Webhook) bool {
	return w.Format == catalog.FormatReceeve || w.Platform == catalog.PlatformReceeve
}

func keyPairKey(p *KeyPair) recordKey {
	return recordKey{kind: KindKeyPair, tenant: p.Tenant, uid: p.UID}
}

func newKeyPair(tenant string) (*KeyPair, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyPairBits)
	if err != nil {
		return nil, fmt.Errorf("make a key pair: %w", err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encode a private key: %w", err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode a public key: %w", err)
	}
	return &KeyPair{
		UID: keyPairUID, Tenant: tenant, Created: now(), private: private,
		PublicKey:  string(pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: publicDER})),
		PrivateKey: catalog.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: privateDER}))),
	}, nil
}

var errKeyPair = errors.New("not an RSA key pair in PEM whose halves belong together")

// parse makes the pair ready for signing. Its error says nothing of the key.
func (p *KeyPair) parse() error {
	private, _ := pem.Decode([]byte(p.PrivateKey.Reveal()))
	public, _ := pem.Decode([]byte(p.PublicKey))
	if private == nil || public == nil {
		return errKeyPair
	}
	key, err := x509.ParsePKCS8PrivateKey(private.Bytes)
	if err != nil {
		return errKeyPair
	}
	known, err := x509.ParsePKIXPublicKey(public.Bytes)
	if err != nil {
		return errKeyPair
	}
	pair, ok := key.(*rsa.PrivateKey)
	if !ok || !pair.PublicKey.Equal(known) {
		return errKeyPair
	}
	p.private = pair
	return nil
}
