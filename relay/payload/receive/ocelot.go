package receive

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
)

// ocelot signs nothing: the credentials say who sends.
func ocelot(user, password string) format {
	want := []byte("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	return format{
		authenticate: func(_ context.Context, header http.Header, _ []byte) error {
			if subtle.ConstantTimeCompare([]byte(header.Get("Authorization")), want) != 1 {
				return fmt.Errorf("%w: wrong user or password", ErrSender)
			}
			return nil
		},
		open: openOcelot,
	}
}

// incomingSms are the members of the one event that the page documents in full.
var incomingSms = members{
	"name": text, "eventId": text, "to": text, "from": text, "triggerType": exactly("Inbound"), "message": textOrEmpty, "dateTime": dateTime,
}

func openOcelot(header http.Header, body []byte) (Event, error) {
	if err := isJSON(header); err != nil {
		return Event{}, err
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(body, &got); err != nil {
		return Event{}, err
	}
	if unquote(got["name"]) == "IncomingSms.received" {
		if _, err := read(body, incomingSms); err != nil {
			return Event{}, err
		}
	}
	for _, name := range []string{"name", "eventId", "dateTime"} {
		if err := incomingSms[name](got[name]); err != nil {
			return Event{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return Event{ID: unquote(got["eventId"]), Type: unquote(got["name"]), Data: body}, nil
}
