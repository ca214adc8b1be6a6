package receive

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"eventrelay/catalog"
)

// Why a request is refused. A body that is not as documented is neither.
var (
	// ErrSender is a request whose signature, token or credentials are not those agreed upon.
	ErrSender = errors.New("not sent by whom it should be")
	// ErrKey is a request that cannot be judged, because the public key is not to be had.
	ErrKey = errors.New("the public key is not known")
)

// Options say what the receiver was told when the webhook was made.
type Options struct {
	// Format of the requests. Empty: any body, signed as Standard Webhooks say.
	Format catalog.Format
	// Secret is the signing key, Donutwork's token, or the password of Basic authentication.
	Secret catalog.Secret
	// User of Basic authentication, for ocelot.
	User string
	// PublicKey gives the tenant's key as PEM, for receeve.
	PublicKey func(context.Context) (string, error)
	// AnySender leaves out the check of the sender, for a webhook that neither signs nor authenticates.
	AnySender bool
	// Now is the clock that signatures of the ophelos format are held against. Default: time.Now.
	Now func() time.Time
}

// Event is what a request brought.
type Event struct {
	// ID is the one that the platform's page tells repeats by; the header webhook-id where the body has none.
	ID   string
	Type string
	// Data are the bytes of the event's data as they stand in the body; those of the body where it is not set apart.
	Data json.RawMessage
	// Failure is set when the request is no event but says that one could not be delivered.
	Failure *FailureMessage
}

// format is what a receiver knows about one format.
type format struct {
	// authenticate checks who sent the request.
	authenticate func(ctx context.Context, header http.Header, body []byte) error
	// open checks the envelope and takes it apart.
	open func(header http.Header, body []byte) (Event, error)
}

// Receiver checks the requests of one webhook.
type Receiver struct {
	format
	anySender bool
}

// New makes a receiver.
func New(o Options) (*Receiver, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if !o.AnySender && !o.Secret.IsSet() && o.Format != catalog.FormatReceeve {
		return nil, errors.New("there is no secret to know the sender by")
	}
	r := &Receiver{anySender: o.AnySender}
	key := []byte(o.Secret.Reveal())
	switch o.Format {
	case catalog.FormatOphelos:
		r.format = ophelos(key, o.Now)
	case catalog.FormatSocotra:
		r.format = socotra(key)
	case catalog.FormatOcelot:
		r.format = ocelot(o.User, o.Secret.Reveal())
	case catalog.FormatDonutwork:
		r.format = donutwork(key)
	case catalog.FormatReceeve:
		if o.PublicKey == nil && !o.AnySender {
			return nil, errors.New("there is no public key to know the sender by")
		}
		r.format = receeve(o.PublicKey)
	default:
		authenticate, err := standardSignature(o)
		if err != nil {
			return nil, err
		}
		r.format = format{authenticate, standardEnvelope(o.Format)}
		if r.open == nil {
			return nil, fmt.Errorf("there is no format %q", o.Format)
		}
	}
	return r, nil
}

// Accept checks the sender, then the envelope. What it returns without an error is an event that the webhook's owner may
// act upon, unless its ID was seen before.
func (r *Receiver) Accept(ctx context.Context, header http.Header, body []byte) (Event, error) {
	if err := r.Authenticate(ctx, header, body); err != nil {
		return Event{}, err
	}
	return r.Open(header, body)
}

// Authenticate checks who sent the request: ErrSender, or ErrKey when that cannot be found out.
func (r *Receiver) Authenticate(ctx context.Context, header http.Header, body []byte) error {
	if r.anySender {
		return nil
	}
	return r.authenticate(ctx, header, body)
}

// Open checks the envelope, whoever sent it.
func (r *Receiver) Open(header http.Header, body []byte) (Event, error) {
	event, err := r.open(header, body)
	if err != nil {
		return Event{}, fmt.Errorf("not as documented: %w", err)
	}
	return event, nil
}

// hexMAC is the HMAC-SHA256 of a message, in hexadecimal.
func hexMAC(key []byte, message ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range message {
		_, _ = mac.Write(part) // never fails
	}
	return hex.AppendEncode(nil, mac.Sum(nil))
}

// isJSON checks the media type that every platform sends.
func isJSON(header http.Header) error {
	if got := header.Get("Content-Type"); got != "application/json" {
		return fmt.Errorf("the content type is %.64q", got)
	}
	return nil
}
