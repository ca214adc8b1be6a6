package receive

import (
	"context"
	"crypto/subtle"
	"fmt"
	"net/http"
)

// donutwork sends the token that was shown when the webhook was made.
func donutwork(token []byte) format {
	return format{
		authenticate: func(_ context.Context, header http.Header, _ []byte) error {
			if subtle.ConstantTimeCompare([]byte(header.Get("X-Webhook-Token")), token) != 1 {
				return fmt.Errorf("%w: wrong token", ErrSender)
			}
			return nil
		},
		open: openDonutwork,
	}
}

func openDonutwork(header http.Header, body []byte) (Event, error) {
	if err := isJSON(header); err != nil {
		return Event{}, err
	}
	got, err := read(body, members{"id": text, "event": text, "created": dateTime, "data": anything})
	if err != nil {
		return Event{}, err
	}
	return Event{ID: unquote(got["id"]), Type: unquote(got["event"]), Data: got["data"]}, nil
}
