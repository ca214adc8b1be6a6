package payload

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// TestRotation_ByTheClock: one encoding, compiled once, signs with a rotated secret until it expires and not after; a
// format with room for one signature uses the old secret until then, so that the receiver has the time to learn the new.
func TestRotation_ByTheClock(t *testing.T) {
	end := fixedNow.Add(time.Hour)
	signing := catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{
		{Value: catalog.NewSecret("the-newest-secret"), Encoding: catalog.SecretRaw},
		{Value: catalog.NewSecret("the-secret-before"), Encoding: catalog.SecretRaw, Expires: end},
		{Value: catalog.NewSecret("the-oldest-secret"), Encoding: catalog.SecretRaw, Expires: end.Add(-30 * time.Minute)},
	}}
	names := map[string]string{"the-newest-secret": "newest", "the-secret-before": "before", "the-oldest-secret": "oldest"}
	mac := func(key, text string) string {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(text))
		return hex.EncodeToString(h.Sum(nil))
	}
	// used tells which secrets a request was made with, in order.
	used := map[catalog.Format]func(m *Message) []string{
		catalog.FormatStandard: func(m *Message) []string {
			h, list := m.received(), []string(nil)
			for _, s := range strings.Fields(h.Get(headerSignature)) {
				for secret, name := range names {
					alone := compile(t, catalog.FormatStandard, catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{{Value: catalog.NewSecret(secret), Encoding: catalog.SecretRaw}}})
					other := &Message{}
					require.NoError(t, alone.Compose(other, delivery(event(`{}`)), m.attempt.now))
					if other.received().Get(headerSignature) == s {
						list = append(list, name)
					}
				}
			}
			return list
		},
		catalog.FormatOphelos: func(m *Message) (list []string) {
			parts := strings.Split(m.received().Get(headerOphelosSignature), ",v1=")
			for _, s := range parts[1:] {
				for secret, name := range names {
					if mac(secret, strings.TrimPrefix(parts[0], "t=")+"."+string(m.Body)) == s {
						list = append(list, name)
					}
				}
			}
			return list
		},
		catalog.FormatSocotra: func(m *Message) (list []string) {
			for secret, name := range names {
				if mac(secret, string(m.Body)) == m.received().Get(headerSocotraSignature) {
					list = append(list, name)
				}
			}
			return list
		},
		catalog.FormatDonutwork: func(m *Message) []string { return []string{names[m.received().Get(headerDonutworkToken)]} },
	}
	for format, secretsOf := range used {
		encoding := compile(t, format, signing)
		several := format == catalog.FormatStandard || format == catalog.FormatOphelos
		for _, c := range []struct {
			at     time.Time
			all    string
			single string
		}{
			{fixedNow, "newest before oldest", "oldest"},
			{end.Add(-30 * time.Minute), "newest before", "before"},
			{end.Add(-time.Nanosecond), "newest before", "before"},
			{end, "newest", "newest"},
			{end.Add(24 * time.Hour), "newest", "newest"},
		} {
			m := &Message{}
			require.NoError(t, encoding.Compose(m, delivery(event(`{}`)), c.at))
			want := c.single
			if several {
				want = c.all
			}
			require.Equal(t, want, strings.Join(secretsOf(m), " "), "%s at %s", format, c.at)
		}
	}
}

// TestRotation_WithoutExpiry: several secrets that nobody rotated out sign all, or where there is room for one, the first.
func TestRotation_WithoutExpiry(t *testing.T) {
	signing := catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{
		{Value: catalog.NewSecret("first-secret"), Encoding: catalog.SecretRaw}, {Value: catalog.NewSecret("second-secret"), Encoding: catalog.SecretRaw}}}
	m := compose(t, compile(t, catalog.FormatDonutwork, signing), delivery(event(`{}`)))
	require.Equal(t, "first-secret", m.received().Get(headerDonutworkToken))
	m = compose(t, compile(t, catalog.FormatStandard, signing), delivery(event(`{}`)))
	require.Len(t, strings.Fields(m.received().Get(headerSignature)), 2)
}
