package catalog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSigning_Rotate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	secret := func(name string, expires time.Time) SigningSecret {
		return SigningSecret{Value: NewSecret(name), Encoding: SecretRaw, Expires: expires}
	}
	never, soon, day, past := time.Time{}, now.Add(time.Hour), now.Add(24*time.Hour), now.Add(-time.Second)
	next := secret("new", never)
	for _, c := range []struct {
		name    string
		before  []SigningSecret
		overlap time.Duration
		want    []SigningSecret
		err     error
	}{
		{"the first", nil, DefaultOverlap, []SigningSecret{next}, nil},
		{"one", []SigningSecret{secret("a", never)}, DefaultOverlap, []SigningSecret{next, secret("a", day)}, nil},
		{"at once", []SigningSecret{secret("a", never), secret("b", soon)}, 0, []SigningSecret{next}, nil},
		{"an earlier end stays", []SigningSecret{secret("a", never), secret("b", soon)}, DefaultOverlap, []SigningSecret{next, secret("a", day), secret("b", soon)}, nil},
		{"a later end comes closer", []SigningSecret{secret("a", never), secret("b", day)}, time.Hour, []SigningSecret{next, secret("a", soon), secret("b", soon)}, nil},
		{"expired ones go", []SigningSecret{secret("a", never), secret("b", past), secret("c", now)}, DefaultOverlap, []SigningSecret{next, secret("a", day)}, nil},
		{"three are active", []SigningSecret{secret("a", never), secret("b", day), secret("c", day)}, DefaultOverlap, nil, ErrTooManySecrets},
		{"three are active, at once", []SigningSecret{secret("a", never), secret("b", day), secret("c", day)}, 0, []SigningSecret{next}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := Signing{Enabled: true, Secrets: c.before}
			got, err := before.Rotate(next, c.overlap, now)
			require.ErrorIs(t, err, c.err)
			if c.err == nil {
				require.Equal(t, Signing{Enabled: true, Secrets: c.want}, got)
			}
		})
	}
}

func TestSigning_DropExpired(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := Signing{Secrets: []SigningSecret{{Tag: "a", Expires: now}, {Tag: "b", Expires: now}, {Tag: "c"}, {Tag: "d", Expires: now.Add(1)}}}
	was := s.Secrets
	s.DropExpired(now)
	require.Equal(t, []SigningSecret{{Tag: "a", Expires: now}, {Tag: "c"}, {Tag: "d", Expires: now.Add(1)}}, s.Secrets, "the newest stays in any case")
	require.Equal(t, "b", was[1].Tag, "the snapshot's list is not touched")
}

// TestKeepRedacted_KeepsExpiries: a client that sends back what it knows of a secret does not make it last for ever.
func TestKeepRedacted_KeepsExpiries(t *testing.T) {
	expires := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stored := &Webhook{Signing: Signing{Secrets: []SigningSecret{{Value: NewSecret("a"), Encoding: SecretRaw}, {Value: NewSecret("b"), Encoding: SecretRaw, Expires: expires}}}}
	next := &Webhook{Signing: Signing{Secrets: []SigningSecret{{Value: NewSecret(Redacted)}, {Value: NewSecret(Redacted)}}}}
	require.Empty(t, KeepRedacted(next, stored))
	require.Equal(t, stored.Signing, next.Signing)
}
