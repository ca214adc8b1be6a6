package catalog

import (
	"slices"
	"strings"
	"unique"
)

// Intern lets the webhook share what many of them say alike, and takes few objects for what is its own: a registry holds
// them by the hundred thousand. It changes no value. Whoever changes the webhook afterwards changes a Clone, which shares
// no list.
func (w *Webhook) Intern() {
	w.Tenant = interned(w.Tenant)
	w.Platform = interned(w.Platform)
	w.Format = interned(w.Format)
	w.Version = interned(w.Version)
	w.Integration = interned(w.Integration)
	w.Auth.Type = interned(w.Auth.Type)
	w.Retry.Name = interned(w.Retry.Name)
	w.FailureHandling.Mode = interned(w.FailureHandling.Mode)
	w.FailureHandling.Otherwise = interned(w.FailureHandling.Otherwise)
	if slices.Equal(w.FailureHandling.ActOnStatusCodes, anyFailure) {
		w.FailureHandling.ActOnStatusCodes = anyFailure
	}
	for i := range w.Events {
		w.Events[i] = interned(w.Events[i])
	}
	for i := range w.Domains {
		w.Domains[i] = interned(w.Domains[i])
	}
	for i := range w.Signing.Secrets {
		w.Signing.Secrets[i].Encoding = interned(w.Signing.Secrets[i].Encoding)
	}
	pack(&w.ID, &w.UID, &w.URL, &w.DisplayName, &w.Description, &w.Fingerprint, &w.Request)
}

// pack lets texts share one allocation: one for each is rounded up to a size class, and visited by the garbage collector
// by itself.
func pack(texts ...*string) {
	size := 0
	for _, text := range texts {
		size += len(*text)
	}
	var all strings.Builder
	all.Grow(size)
	for _, text := range texts {
		all.WriteString(*text)
	}
	rest := all.String()
	for _, text := range texts {
		n := len(*text)
		*text, rest = rest[:n], rest[n:]
	}
}

// anyFailure are the status codes of DefaultFailureHandling. Never change them: webhooks share them.
var anyFailure = DefaultFailureHandling().ActOnStatusCodes

func interned[T ~string](text T) T {
	if text == "" {
		return text
	}
	return unique.Make(text).Value()
}
