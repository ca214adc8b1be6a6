package deliver

import (
	"bytes"
	"errors"
	"strings"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

// scrub takes secrets out of a result. Receivers that echo a request, as debugging tools do, would otherwise put its
// credentials into the attempt log and before whoever reads it.
func scrub(res *outbound.Result, secrets []string) {
	for _, secret := range secrets {
		if bytes.Contains(res.Body, []byte(secret)) {
			res.Body = bytes.ReplaceAll(res.Body, []byte(secret), []byte(catalog.Redacted))
		}
		for i, h := range res.Headers {
			if strings.Contains(h.Value, secret) {
				res.Headers[i].Value = strings.ReplaceAll(h.Value, secret, catalog.Redacted)
			}
		}
		if res.Err != nil && strings.Contains(res.Err.Error(), secret) {
			res.Err = errors.New(strings.ReplaceAll(res.Err.Error(), secret, catalog.Redacted))
		}
	}
	// The kept bytes may end within a secret.
	for _, secret := range secrets {
		for n := min(len(secret)-1, len(res.Body)); len(res.Body) >= outbound.KeptBodyBytes-len(secret) && n >= minRedacted; n-- {
			if bytes.HasSuffix(res.Body, []byte(secret[:n])) {
				res.Body = append(res.Body[:len(res.Body)-n:len(res.Body)-n], catalog.Redacted...)
				break
			}
		}
	}
}
