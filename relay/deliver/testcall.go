package deliver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/payload"
)

// Exchange is one request and what came of it, with every secret of the endpoint redacted wherever it occurs.
type Exchange struct {
	URL     string
	Headers []outbound.Header
	Body    []byte
	// Status is 0 when there was no response; Class then says why.
	Status          int
	Class           outbound.Class
	ResponseHeaders []outbound.Header
	// ResponseBody is its first outbound.KeptBodyBytes.
	ResponseBody []byte
	Latency      time.Duration

	secrets  []string
	authName string // of the header that holds the credentials, where the endpoint names one
}

// ErrCannotSend is matched by the errors of Test for which no request was made.
var ErrCannotSend = errors.New("nothing was sent")

// Test makes one attempt to deliver an event to a webhook, exactly as a delivery would be sent: the same target,
// format, signature, credentials, guard and timeout. It is outside all accounting: no lane, limit or breaker sees it,
// nothing is recorded, retried or diverted, and whether the webhook is enabled or suspended does not matter.
func (d *Dispatcher) Test(ctx context.Context, w *catalog.Webhook, in *catalog.Integration, ev *catalog.Event) (*Exchange, error) {
	tgt := d.target(w, in, ev.Office)
	if tgt.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCannotSend, tgt.err)
	}
	delivery := relay.NewDelivery(ev, w.UID, relay.Coordinates{}, 0, nil, ev.Time)
	x := &Exchange{}
	res, err := d.send(&Task{Delivery: delivery, Context: ctx, trace: x}, tgt, time.Now(), func(breaker.Outcome) {})
	switch {
	case errors.Is(err, payload.ErrFormat):
		return nil, fmt.Errorf("%w: %w", ErrCannotSend, err)
	case err != nil:
		return nil, err
	case !counts(res):
		return nil, fmt.Errorf("test of webhook %s: the relay's own fault: %s: %w", w.UID, res.Class, res.Err)
	}
	if res.Err != nil {
		d.o.Log.Info("test_failed", "uid", w.UID, "class", string(res.Class), "err", res.Err)
	}
	x.response(res)
	return x, nil
}

// request notes what is about to be sent. The memory is the attempt's, so it is copied. A nil Exchange notes nothing.
func (x *Exchange) request(tgt *target, headers []outbound.Header, body []byte) {
	if x == nil {
		return
	}
	x.secrets, x.authName = secretsOf(&tgt.endpoint), tgt.endpoint.Auth.Name
	x.URL, x.Body = x.redact(tgt.endpoint.URL), bytes.Clone(body)
	x.Headers = x.redactHeaders(headers)
}

func (x *Exchange) response(res outbound.Result) {
	x.Status, x.Class, x.Latency = res.Status, res.Class, res.Latency
	x.ResponseHeaders = x.redactHeaders(res.Headers)
	x.ResponseBody = []byte(x.redact(string(res.Body)))
}

// redactHeaders hides credentials: those of the endpoint, whatever header they are in, and what is in Authorization,
// which may be a token that was fetched for it.
func (x *Exchange) redactHeaders(headers []outbound.Header) []outbound.Header {
	shown := make([]outbound.Header, len(headers))
	for i, h := range headers {
		shown[i] = outbound.Header{Name: h.Name, Value: x.redact(h.Value)}
		switch {
		case strings.EqualFold(h.Name, "Authorization"):
			shown[i].Value = catalog.Redacted
			if kind, _, found := strings.Cut(h.Value, " "); found {
				shown[i].Value = kind + " " + catalog.Redacted
			}
		case x.authName != "" && strings.EqualFold(h.Name, x.authName):
			shown[i].Value = catalog.Redacted
		}
	}
	return shown
}

// redact replaces every secret of the endpoint: a receiver may send back what it got.
func (x *Exchange) redact(text string) string {
	for _, secret := range x.secrets {
		text = strings.ReplaceAll(text, secret, catalog.Redacted)
	}
	return text
}

// minRedacted is the length from which a secret is looked for in texts: shorter ones would redact words by chance.
const minRedacted = 4

// secretsOf lists the secrets of an endpoint in the forms in which a request holds them.
func secretsOf(e *catalog.Endpoint) []string {
	var list []string
	add := func(text string) {
		if len(text) >= minRedacted {
			list = append(list, text)
		}
	}
	auth := e.Auth
	if auth.Type == catalog.AuthBasic {
		add(base64.StdEncoding.EncodeToString([]byte(auth.Username + ":" + auth.Password.Reveal())))
	}
	endpoint := catalog.Integration{Auth: auth, Signing: e.Signing}
	endpoint.EachSecret(func(_ string, s *catalog.Secret) { add(s.Reveal()) })
	return list
}
