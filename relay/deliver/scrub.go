package deliver

import (
	"bytes"
	"errors"
	"strings"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

// minScrubbed is the length from which a secret is looked for in what a receiver answered: shorter ones occur by chance.
const minScrubbed = 8

// secretsSent are the texts in which requests to the endpoint carry its secrets.
func secretsSent(e *catalog.Endpoint, headers []outbound.Header) []string {
	var sent []string
	keep := func(text string) {
		if len(text) >= minScrubbed {
			sent = append(sent, text)
		}
	}
	for _, s := range []catalog.Secret{e.Auth.Password, e.Auth.Token, e.Auth.Value} {
		keep(s.Reveal())
	}
	for _, h := range headers {
		if encoded, basic := strings.CutPrefix(h.Value, "Basic "); basic && e.Auth.Type == catalog.AuthBasic {
			keep(encoded)
		}
	}
	for i := range e.Signing.Secrets { // some formats send one as it is
		keep(e.Signing.Secrets[i].Value.Reveal())
	}
	return sent
}

// scrub takes secrets out of a result. Receivers that echo a request, as debugging tools do, would otherwise put its
// credentials into the attempt log and before whoever reads it.
func scrub(res *outbound.Result, secrets []string) {
	for _, secret := range secrets {
		if bytes.Contains(res.Body, []byte(secret)) {
			res.Body = bytes.ReplaceAll(res.Body, []byte(secret), []byte(catalog.Redacted))
		}
		if res.Err != nil && strings.Contains(res.Err.Error(), secret) {
			res.Err = errors.New(strings.ReplaceAll(res.Err.Error(), secret, catalog.Redacted))
		}
	}
	// The kept bytes may end within a secret.
	for _, secret := range secrets {
		for n := min(len(secret)-1, len(res.Body)); len(res.Body) >= outbound.KeptBodyBytes-len(secret) && n >= minScrubbed; n-- {
			if bytes.HasSuffix(res.Body, []byte(secret[:n])) {
				res.Body = append(res.Body[:len(res.Body)-n:len(res.Body)-n], catalog.Redacted...)
				break
			}
		}
	}
}
