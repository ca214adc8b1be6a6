package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

// fetchTimeout bounds a fetch within the attempt that it is made for.
const fetchTimeout = 10 * time.Second

// Results of a fetch, the metric's label.
const (
	resultFetched     = "fetched"
	resultFailed      = "failed"
	resultInterrupted = "interrupted"
)

// Error says why there is no token. Its text is for the operator's log: it names the host of the token server, and never
// what was sent to it or what it answered.
type Error struct {
	Host string
	// Class is ClassInternal or ClassCanceled where this machine or the caller is the reason, else ClassToken.
	Class outbound.Class
	// Status of the token server's answer; 0 when there was none.
	Status int
	Err    error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("fetch a token from %s: %v", e.Host, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Interrupted reports that the failure says nothing of the token server.
func (e *Error) Interrupted() bool {
	return e.Class == outbound.ClassCanceled || e.Class == outbound.ClassInternal
}

func resultOf(err *Error) string {
	switch {
	case err == nil:
		return resultFetched
	case err.Interrupted():
		return resultInterrupted
	}
	return resultFailed
}

// interrupted is the error of a caller whose context ended while it waited: at its deadline the token server was too
// slow.
func interrupted(ctx context.Context) *Error {
	class := outbound.ClassCanceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		class = outbound.ClassToken
	}
	return &Error{Host: "its server", Class: class, Err: fmt.Errorf("wait for another attempt's fetch: %w", context.Cause(ctx))}
}

// fetcher asks one endpoint's token server.
type fetcher struct {
	host string
	doer Doer
	http *http.Client
	// config remembers how the server wants the client's credentials, in the Authorization header or in the body.
	config clientcredentials.Config
}

func newFetcher(doer Doer, e *catalog.Endpoint) *fetcher {
	f := &fetcher{doer: doer, http: doer.HTTPClient(e), config: clientcredentials.Config{
		ClientID: e.Auth.ClientID, ClientSecret: e.Auth.ClientSecret.Reveal(), TokenURL: e.Auth.TokenURL, Scopes: e.Auth.Scopes}}
	if e.Auth.Audience != "" {
		f.config.EndpointParams = url.Values{"audience": {e.Auth.Audience}}
	}
	if u, err := url.Parse(e.Auth.TokenURL); err == nil {
		f.host = u.Hostname()
	}
	return f
}

// fetched is a token as the server gave it.
type fetched struct {
	value   catalog.Secret
	expires time.Time // zero: it did not say
}

func (f fetched) lifetime(now time.Time) time.Duration {
	if f.expires.IsZero() {
		return unknownLifetime
	}
	return max(f.expires.Sub(now), 0)
}

func (f *fetcher) do(ctx context.Context) (fetched, *Error) {
	if err := f.doer.CheckURL(f.config.TokenURL); err != nil {
		return fetched{}, &Error{Host: f.host, Class: outbound.ClassToken, Err: err}
	}
	outer := ctx
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, f.http), fetchTimeout)
	defer cancel()
	answer, err := f.config.Token(ctx)
	if err != nil {
		return fetched{}, f.explain(outer, err)
	}
	if !strings.EqualFold(answer.Type(), "Bearer") {
		return fetched{}, &Error{Host: f.host, Class: outbound.ClassToken, Status: http.StatusOK, Err: errors.New("the token is not of type Bearer")}
	}
	if !httpguts.ValidHeaderFieldValue(answer.AccessToken) {
		return fetched{}, &Error{Host: f.host, Class: outbound.ClassToken, Status: http.StatusOK, Err: errors.New("the token has characters that a header cannot carry")}
	}
	return fetched{value: catalog.NewSecret(answer.AccessToken), expires: answer.Expiry}, nil
}

// explain drops what the library's errors quote: the URL and the server's answer.
func (f *fetcher) explain(ctx context.Context, err error) *Error {
	e := &Error{Host: f.host, Class: outbound.ClassToken}
	var refused *oauth2.RetrieveError
	switch class := outbound.ClassOf(err); {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Class, e.Err = outbound.ClassCanceled, context.Cause(ctx)
	case errors.As(err, &refused):
		if refused.Response != nil {
			e.Status = refused.Response.StatusCode
		}
		e.Err = fmt.Errorf("status %d%s", e.Status, knownCode(refused.ErrorCode))
	case class == outbound.ClassInternal || class == outbound.ClassCanceled:
		e.Class, e.Err = class, withoutURL(err)
	case class != outbound.ClassStatus, errors.As(err, new(*url.Error)):
		e.Err = withoutURL(err)
	default:
		e.Err = errors.New("its answer is not a token response")
	}
	return e
}

// withoutURL is the cause of a *url.Error, which quotes the URL.
func withoutURL(err error) error {
	var quoted *url.Error
	if errors.As(err, &quoted) {
		return quoted.Err
	}
	return err
}

// codes are those of RFC 6749, section 5.2. Others are the server's own words, which may be anything.
var codes = []string{"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}

func knownCode(code string) string {
	if slices.Contains(codes, code) {
		return ", " + code
	}
	return ""
}
