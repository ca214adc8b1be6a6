package receive

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ophelosTolerance is how old a request may be, so that a recorded one cannot be sent again later.
const ophelosTolerance = 300 * time.Second

func ophelos(key []byte, now func() time.Time) format {
	return format{
		authenticate: func(_ context.Context, header http.Header, body []byte) error {
			return verifyOphelos(header.Get("Ophelos-Signature"), key, body, now())
		},
		open: openOphelos,
	}
}

// verifyOphelos checks "t=<seconds>,v1=<hex>": an HMAC of the time, a dot and the body. While keys rotate there is a v1
// for each.
func verifyOphelos(signature string, key, body []byte, now time.Time) error {
	var at string
	var signatures [][]byte
	for part := range strings.SplitSeq(signature, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			at = value
		case "v1":
			signatures = append(signatures, []byte(value))
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > ophelosTolerance {
		return fmt.Errorf("%w: the signature's time is missing or too far from now", ErrSender)
	}
	want := hexMAC(key, []byte(at+"."), body)
	for _, one := range signatures {
		if hmac.Equal(one, want) {
			return nil
		}
	}
	return fmt.Errorf("%w: the signature does not verify", ErrSender)
}

func openOphelos(header http.Header, body []byte) (Event, error) {
	if err := isJSON(header); err != nil {
		return Event{}, err
	}
	if _, err := time.Parse(time.DateOnly, header.Get("Ophelos-Version")); err != nil {
		return Event{}, errors.New("the header Ophelos-Version is not a date")
	}
	got, err := read(body, members{
		"id": text, "object": exactly("event"), "type": text, "data": anything, "created_at": dateTime, "livemode": boolean,
	})
	if err != nil {
		return Event{}, err
	}
	return Event{ID: unquote(got["id"]), Type: unquote(got["type"]), Data: got["data"]}, nil
}
