package payload

import (
	"fmt"
	"slices"
	"time"
)

const (
	headerDonutworkToken = "x-webhook-token"
	// donutworkOverhead is the room that the envelope takes around id, type and data: 75 B of keys and time, rounded up.
	donutworkOverhead = 128
)

// compileDonutwork makes the format that identifies the sender by a token: the newest signing secret, as it was shown
// when it was made, or while secrets rotate the one that is rotated out (see single). It is in the clear in each request, which is why it is never a secret of another purpose.
func compileDonutwork(k Keys) (composeFunc, error) {
	secrets, err := characterSecrets(k.Signing)
	if err != nil || len(secrets) == 0 {
		return composeDonutwork, err
	}
	for i, token := range secrets {
		if !printable(token) {
			return nil, fmt.Errorf("signing.secrets[%d]: %w: a token is visible ASCII, as a header carries it", i, ErrSigningKey)
		}
	}
	expires := func(i int) time.Time { return k.Signing.Secrets[i].Expires }
	return func(m *Message, a *attempt) error {
		if err := composeDonutwork(m, a); err != nil {
			return err
		}
		m.add(headerDonutworkToken, secrets[single(len(secrets), a.now, expires)])
		return nil
	}, nil
}

// composeDonutwork builds {"id","event","created","data"}. created is the event's time in RFC 3339. No data is null.
func composeDonutwork(m *Message, a *attempt) error {
	ev, id := a.Event, a.eventID()
	data, err := jsonData(ev)
	if err != nil {
		return err
	}
	b := slices.Grow(m.body[:0], donutworkOverhead+len(id)+len(ev.Type)+len(data))
	b = append(b, `{"id":`...)
	b = appendString(b, id)
	b = appendField(b, "event", ev.Type)
	b = append(b, `,"created":"`...)
	if b, err = appendOriginalTime(b, ev, 0); err != nil {
		return err
	}
	b = append(b, `","data":`...)
	b = append(b, data...)
	m.own(append(b, '}'))
	m.add(headerContentType, mediaJSON)
	return nil
}
