package dialect

import (
	"crypto/rand"
	"slices"
	"strings"

	"eventrelay/catalog"
)

// isShownAuth reports whether a client sent back what it was shown of the stored auth: its secrets redacted, or no
// auth where the stored type is none of those that the platform has words for.
func isShownAuth(sent, stored catalog.Auth, words ...catalog.AuthType) bool {
	if !slices.Contains(words, stored.Type) {
		return sent.Type == catalog.AuthNone
	}
	isShown := func(sent, stored catalog.Secret) bool { return sent.IsRedacted() || sent.Equal(stored) }
	return sent.Type == stored.Type && sent.Username == stored.Username && sent.Name == stored.Name &&
		isShown(sent.Password, stored.Password) && isShown(sent.Token, stored.Token) && isShown(sent.Value, stored.Value)
}

// generateKey makes a signing key or token whose characters are the key: the prefix and 52 lower-case base32 characters
// (260 random bits).
func generateKey(prefix string) catalog.Secret {
	return catalog.NewSecret(prefix + strings.ToLower(rand.Text()+rand.Text()))
}
