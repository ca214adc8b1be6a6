package payload

import (
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

// compileFunc prepares a format for one webhook's signing keys.
type compileFunc func(s catalog.Signing) (composeFunc, error)

// formats is every format that can be asked for; one row each.
var formats = map[catalog.Format]compileFunc{
	catalog.FormatStandard:          standardWebhooks(composeStandard),
	catalog.FormatCloudEvents:       standardWebhooks(composeCloudEvents),
	catalog.FormatCloudEventsBinary: standardWebhooks(composeCloudEventsBinary),
	catalog.FormatRaw:               standardWebhooks(composeRaw),
}

// Encoding is a webhook's format and keys, compiled once per revision. It is immutable and safe for concurrent use.
type Encoding struct {
	format  catalog.Format
	compose composeFunc
}

// Compile prepares the format for the signing keys. Errors match ErrUnsupported or ErrSigningKey and never print a
// key.
func Compile(format catalog.Format, signing catalog.Signing) (*Encoding, error) {
	compile, ok := formats[format]
	if !ok {
		return nil, fmt.Errorf("format %q: %w", format, ErrUnsupported)
	}
	compose, err := compile(signing)
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
