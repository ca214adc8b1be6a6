package catalog

import (
	"fmt"
	"slices"
)

// KeepRedacted replaces every secret of next that a client sent back as Redacted by the stored one, so that what a
// client GETs it may PUT. It answers with the places for which nothing is stored; stored may be nil.
//
// An override is recognised by its office and a signing secret by its tag, wherever they stand in their list by now:
// a secret must not move to another receiver because an entry before it was removed.
func KeepRedacted(next, stored *Webhook) []FieldError {
	if stored == nil {
		stored = &Webhook{}
	}
	var k secretKeeper
	k.auth("auth", &next.Auth, &stored.Auth)
	k.signing("signing", &next.Signing, &stored.Signing)
	for i := range next.Overrides {
		o := &next.Overrides[i]
		if o.Auth == nil {
			continue
		}
		before := &Auth{}
		j := slices.IndexFunc(stored.Overrides, func(s Override) bool { return s.Office == o.Office })
		if j >= 0 && stored.Overrides[j].Auth != nil {
			before = stored.Overrides[j].Auth
		}
		k.auth(fmt.Sprintf("overrides[%d].auth", i), o.Auth, before)
	}
	return k.missing
}

// KeepRedactedIntegration does for an integration what KeepRedacted does for a webhook.
func KeepRedactedIntegration(next, stored *Integration) []FieldError {
	if stored == nil {
		stored = &Integration{}
	}
	var k secretKeeper
	k.auth("auth", &next.Auth, &stored.Auth)
	k.signing("signing", &next.Signing, &stored.Signing)
	return k.missing
}

type secretKeeper struct{ missing []FieldError }

// keep restores one secret.
func (k *secretKeeper) keep(path string, next *Secret, stored Secret) {
	if !next.IsRedacted() {
		return
	}
	if !stored.IsSet() {
		k.missing = append(k.missing, FieldError{path, fmt.Sprintf("there is no stored value that %q could stand for", Redacted)})
		return
	}
	*next = stored
}

func (k *secretKeeper) auth(path string, next, stored *Auth) {
	before := map[string]Secret{}
	stored.eachSecret(path, func(path string, s *Secret) { before[path] = *s })
	next.eachSecret(path, func(path string, s *Secret) { k.keep(path, s, before[path]) })
}

func (k *secretKeeper) signing(path string, next, stored *Signing) {
	for i := range next.Secrets {
		secret, before := &next.Secrets[i], stored.matching(i, next.Secrets[i].Tag)
		if secret.Value.IsRedacted() && secret.Encoding == "" {
			secret.Encoding = before.Encoding
		}
		if secret.Value.IsRedacted() && secret.Expires.IsZero() && i > 0 {
			secret.Expires = before.Expires // a client that does not know of it must not make it last for ever
		}
		k.keep(fmt.Sprintf("%s.secrets[%d].value", path, i), &secret.Value, before.Value)
	}
}

// matching finds the secret that a client means by one at a position: that at the same position if the tags agree,
// else the one with the tag, else (the tag is new or was left out) that at the position.
func (s *Signing) matching(i int, tag string) SigningSecret {
	if i < len(s.Secrets) && s.Secrets[i].Tag == tag {
		return s.Secrets[i]
	}
	if j := slices.IndexFunc(s.Secrets, func(x SigningSecret) bool { return tag != "" && x.Tag == tag }); j >= 0 {
		return s.Secrets[j]
	}
	if i < len(s.Secrets) {
		return s.Secrets[i]
	}
	return SigningSecret{}
}
