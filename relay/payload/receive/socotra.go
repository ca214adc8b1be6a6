package receive

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"net/http"
)

// FailureMessage is what an alert integration is told of a delivery that was given up.
type FailureMessage struct {
	WebhookName    string
	URL            string
	ExpectedStatus string
	ActualStatus   string
	EventData      json.RawMessage
}

// Suspended is the data of the event webhook.suspended, which an alert integration gets too. Event is empty when it was an
// operator who suspended the webhook, IntegrationName when the webhook has an endpoint of its own.
type Suspended struct {
	Event, IntegrationName, WebhookName string
}

func socotra(key []byte) format {
	return format{
		authenticate: func(_ context.Context, header http.Header, body []byte) error {
			if !hmac.Equal([]byte(header.Get("socotra-signature")), hexMAC(key, body)) {
				return fmt.Errorf("%w: the signature does not verify", ErrSender)
			}
			return nil
		},
		open: openSocotra,
	}
}

// openSocotra reads a WebhookPayload, or a FailureMessage, which shares no member with it.
func openSocotra(header http.Header, body []byte) (Event, error) {
	if err := isJSON(header); err != nil {
		return Event{}, err
	}
	var failed struct{ WebhookName, ActualStatus json.RawMessage }
	if json.Unmarshal(body, &failed) == nil && (failed.WebhookName != nil || failed.ActualStatus != nil) {
		return openFailureMessage(header, body)
	}
	got, err := read(body, members{
		"id": text, "timestamp": epochMillis, "data": anything, "transactionId": text, "type": text, "username": textOrEmpty,
	})
	if err != nil {
		return Event{}, err
	}
	return Event{ID: unquote(got["id"]), Type: unquote(got["type"]), Data: got["data"]}, nil
}

func openFailureMessage(header http.Header, body []byte) (Event, error) {
	// The page calls webhookName an object, and shows none: a name is a string everywhere else.
	got, err := read(body, members{
		"actualStatus": text, "eventData": anything, "expectedStatus": text, "url": text, "webhookName": text,
	})
	if err != nil {
		return Event{}, err
	}
	return Event{ID: header.Get(headerID), Data: got["eventData"], Failure: &FailureMessage{
		WebhookName: unquote(got["webhookName"]), URL: unquote(got["url"]), ExpectedStatus: unquote(got["expectedStatus"]),
		ActualStatus: unquote(got["actualStatus"]), EventData: got["eventData"],
	}}, nil
}

// OpenSuspended reads the data of the event webhook.suspended.
func OpenSuspended(data json.RawMessage) (Suspended, error) {
	got, err := read(data, members{"event": textOrEmpty, "integrationName": textOrEmpty, "webhookName": text})
	if err != nil {
		return Suspended{}, fmt.Errorf("not as documented: %w", err)
	}
	return Suspended{Event: unquote(got["event"]), IntegrationName: unquote(got["integrationName"]), WebhookName: unquote(got["webhookName"])}, nil
}
