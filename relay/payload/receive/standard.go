package receive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"eventrelay/catalog"
)

// headerID is the header that tells repeats where the body does not.
const headerID = "webhook-id"

// standardSignature uses the library of Standard Webhooks, as receivers do. It has a clock of its own and a tolerance of
// five minutes.
func standardSignature(o Options) (func(context.Context, http.Header, []byte) error, error) {
	if o.AnySender {
		return nil, nil
	}
	library, err := standardwebhooks.NewWebhook(o.Secret.Reveal())
	if err != nil {
		return nil, errors.New("the secret is not whsec_ and base64") // the library's error quotes it
	}
	return func(_ context.Context, header http.Header, body []byte) error {
		if err := library.Verify(body, header); err != nil {
			return fmt.Errorf("%w: %w", ErrSender, err)
		}
		return nil
	}, nil
}

// standardEnvelope opens the formats that are no platform's; nil when there is no such format.
func standardEnvelope(of catalog.Format) func(http.Header, []byte) (Event, error) {
	switch of {
	case catalog.FormatStandard:
		return openStandard
	case catalog.FormatCloudEvents:
		return openCloudEvent
	case catalog.FormatCloudEventsBinary:
		return openCloudEventBinary
	case catalog.FormatRaw, "":
		return func(header http.Header, body []byte) (Event, error) {
			return Event{ID: header.Get(headerID), Type: header.Get("webhook-event-type"), Data: body}, nil
		}
	}
	return nil
}

func openStandard(header http.Header, body []byte) (Event, error) {
	if err := isJSON(header); err != nil {
		return Event{}, err
	}
	got, err := read(body, members{"type": text, "timestamp": dateTime, "data": anything})
	if err != nil {
		return Event{}, err
	}
	return Event{ID: header.Get(headerID), Type: unquote(got["type"]), Data: got["data"]}, nil
}

// cloudEventAttributes are those that every CloudEvent 1.0 has.
var cloudEventAttributes = []string{"specversion", "id", "source", "type"}

func openCloudEvent(header http.Header, body []byte) (Event, error) {
	if got := header.Get("Content-Type"); got != "application/cloudevents+json" {
		return Event{}, fmt.Errorf("the content type is %.64q", got)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(body, &got); err != nil {
		return Event{}, err
	}
	for _, name := range cloudEventAttributes {
		if err := text(got[name]); err != nil {
			return Event{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	if unquote(got["specversion"]) != "1.0" {
		return Event{}, errors.New("specversion is not 1.0")
	}
	data := got["data"]
	if data == nil {
		data = got["data_base64"]
	}
	return Event{ID: header.Get(headerID), Type: unquote(got["type"]), Data: data}, nil
}

func openCloudEventBinary(header http.Header, body []byte) (Event, error) {
	for _, name := range cloudEventAttributes {
		if header.Get("ce-"+name) == "" {
			return Event{}, fmt.Errorf("the header ce-%s is missing", name)
		}
	}
	if header.Get("ce-specversion") != "1.0" {
		return Event{}, errors.New("ce-specversion is not 1.0")
	}
	return Event{ID: header.Get(headerID), Type: header.Get("ce-type"), Data: body}, nil
}
