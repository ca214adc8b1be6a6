package deliver

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/deliver/token"
)

// doAuthorized makes an attempt with an access token. Fetching it is part of the attempt and of its time. A token that
// the receiver refuses with 401 is dropped, another one fetched and the request sent once more: tokens are revoked and
// keys rotated at any time, and that is no failure of the receiver.
//
// Without a token there is no request. That counts like a receiver that cannot be reached (ClassToken): the token server
// belongs to the endpoint, so that retries, breaker and failure handling are the endpoint's.
func (d *Dispatcher) doAuthorized(ctx context.Context, r *outbound.Request, c *token.Credentials) outbound.Result {
	began := time.Now()
	deadline := began.Add(r.Endpoint.Timeout)
	fetching, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()

	access, err := d.tokens.Get(fetching, c)
	if err != nil {
		return withoutToken(err, time.Since(began))
	}
	send := func() outbound.Result {
		endpoint := *r.Endpoint
		// What is left; a nanosecond where nothing is, because none at all would mean the default.
		endpoint.Timeout = max(time.Until(deadline), 1)
		headers := append(slices.Clip(r.Headers), outbound.Header{Name: "Authorization", Value: "Bearer " + access.Reveal()})
		authorized := *r
		authorized.Endpoint, authorized.Headers = &endpoint, headers
		res := d.o.Client.Do(ctx, &authorized)
		res.Latency = time.Since(began)
		scrub(&res, []string{access.Reveal()})
		return res
	}
	res := send()
	if res.Status != http.StatusUnauthorized {
		return res
	}
	d.tokens.Drop(c, access)
	refused := access
	if access, err = d.tokens.Get(fetching, c); err != nil || access.Equal(refused) {
		return res // that the receiver refused is what its owner has to know
	}
	return send()
}

// withoutToken is the result of an attempt that had no token.
func withoutToken(err error, latency time.Duration) outbound.Result {
	res := outbound.Result{Class: outbound.ClassToken, Err: err, Latency: latency}
	var failed *token.Error
	if errors.As(err, &failed) {
		res.Class = failed.Class
	}
	return res
}
