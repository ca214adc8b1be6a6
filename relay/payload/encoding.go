package payload

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay"
)

var (
	// ErrFormat is returned by Compose for an event that the format cannot carry. Trying again cannot help: the
	// delivery is diverted with reason "format".
	ErrFormat = errors.New("the format cannot carry the event")
	// ErrUnsupported is returned by Compile for a format that this relay does not encode.
	ErrUnsupported = errors.New("payload format not supported")
	// ErrSigningKey is returned by Compile when signing is enabled without a usable key. It never prints the key.
	ErrSigningKey = errors.New("signing key not usable")
)

// composeFunc appends a format's body, content type, own headers and signature to a Message that already holds the
// headers common to all formats.
type composeFunc func(m *Message, a *attempt) error

// Keys are what requests of one webhook are signed with, and what else of it decides their form.
type Keys struct {
	// Signing of the endpoint.
	Signing catalog.Signing
	// Version of the format that the webhook asked for; empty means the newest. See catalog.FormatVersions.
	Version string
	// Pair is the tenant's key pair, which the receeve format signs with instead; nil when the tenant has none.
	Pair *rsa.PrivateKey
}

// compileFunc prepares a format for one webhook's keys.
type compileFunc func(k Keys) (composeFunc, error)

// formats is every format that can be asked for; one row each.
var formats = map[catalog.Format]compileFunc{
	catalog.FormatStandard:          standardWebhooks(composeStandard),
	catalog.FormatCloudEvents:       standardWebhooks(composeCloudEvents),
	catalog.FormatCloudEventsBinary: standardWebhooks(composeCloudEventsBinary),
	catalog.FormatRaw:               standardWebhooks(composeRaw),
	catalog.FormatOphelos:           compileOphelos,
	catalog.FormatSocotra:           socotraSigned(composeSocotra),
	catalog.FormatOcelot:            compileOcelot,
	catalog.FormatDonutwork:         compileDonutwork,
	catalog.FormatReceeve:           compileReceeve,
}

// Encoding is a webhook's format and keys, compiled once per revision. It is immutable and safe for concurrent use.
type Encoding struct {
	format  catalog.Format
	compose composeFunc
}

// Compile prepares the format for the keys. Errors match ErrUnsupported or ErrSigningKey and never print a key.
func Compile(format catalog.Format, keys Keys) (*Encoding, error) {
	compile, ok := formats[format]
	if !ok {
		return nil, fmt.Errorf("format %q: %w", format, ErrUnsupported)
	}
	compose, err := compile(keys)
	if err != nil {
		return nil, fmt.Errorf("format %s: %w", format, err)
	}
	return &Encoding{format: format, compose: compose}, nil
}

// attempt is what one request is composed from.
type attempt struct {
	*relay.Delivery
	now time.Time
	// id and timestamp are webhook-id and webhook-timestamp exactly as sent: signatures cover them.
	id, timestamp string
}

// eventID is the event's own id, or that of the delivery for an event without one: either way the same for every
// attempt, so that receivers can tell a repeat by it.
func (a *attempt) eventID() string {
	if a.Event.ID != "" {
		return a.Event.ID
	}
	return a.ID
}

// Compose resets m and fills it with the body and headers of the delivery's next attempt, d.Attempts+1, made now.
// It reads d and writes nothing to it. After an error, which matches ErrFormat, m is empty.
func (e *Encoding) Compose(m *Message, d *relay.Delivery, now time.Time) error {
	m.Reset()
	a := &m.attempt
	*a = attempt{Delivery: d, now: now, id: escape(d.WebhookID, &visible), timestamp: m.unixSeconds(now)}
	m.addCommon(a)
	if err := e.compose(m, a); err != nil {
		m.Reset()
		return fmt.Errorf("format %s: %w", e.format, err)
	}
	return nil
}
