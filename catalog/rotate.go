package catalog

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// DefaultOverlap is how long rotated secrets stay valid: time for receivers to learn the new one.
	DefaultOverlap = 24 * time.Hour
	// MaxOverlap bounds it, so that no rotation is forgotten half done.
	MaxOverlap = 7 * 24 * time.Hour
)

// ErrTooManySecrets is returned by Rotate while as many secrets as may be are active.
var ErrTooManySecrets = errors.New("too many signing secrets are active")

// Expired reports whether the secret is out of use at a time.
func (s *SigningSecret) Expired(now time.Time) bool {
	return !s.Expires.IsZero() && !now.Before(s.Expires)
}

// DropExpired removes the secrets that are out of use. The newest stays in any case.
func (s *Signing) DropExpired(now time.Time) {
	if len(s.Secrets) < 2 {
		return
	}
	kept := slices.Clone(s.Secrets[:1])
	for _, secret := range s.Secrets[1:] {
		if !secret.Expired(now) {
			kept = append(kept, secret)
		}
	}
	s.Secrets = kept
}

// Rotate puts a new secret in front of the others, which stay valid until the overlap ends, or until they expire if that
// is earlier; without an overlap they go at once. ErrTooManySecrets: MaxSigningSecrets are active.
func (s Signing) Rotate(next SigningSecret, overlap time.Duration, now time.Time) (Signing, error) {
	rotated := Signing{Enabled: s.Enabled, Secrets: []SigningSecret{next}}
	if overlap <= 0 {
		return rotated, nil
	}
	end := now.Add(overlap).UTC().Truncate(time.Second)
	for _, secret := range s.Secrets {
		if secret.Expired(now) {
			continue
		}
		if secret.Expires.IsZero() || secret.Expires.After(end) {
			secret.Expires = end
		}
		rotated.Secrets = append(rotated.Secrets, secret)
	}
	if len(rotated.Secrets) > MaxSigningSecrets {
		return s, fmt.Errorf("%w: at most %d at once", ErrTooManySecrets, MaxSigningSecrets)
	}
	return rotated, nil
}
