package payload

import (
	"encoding/hex"
	"slices"
	"strconv"
	"time"
)

const (
	headerSocotraSignature = "socotra-signature"
	// socotraOverhead is the room that the envelope takes around its texts and data: 90 B of keys and time, rounded up.
	socotraOverhead = 128
)

// socotraSigned makes a format whose signature is a hex HMAC-SHA256 over the body. The header holds one signature: that
// of the newest key or, while keys rotate, of the one that is rotated out (see single).
func socotraSigned(compose composeFunc) compileFunc {
	return func(k Keys) (composeFunc, error) {
		keys, err := compileCharacterKeys(k.Signing)
		if err != nil || len(keys) == 0 {
			return compose, err
		}
		return func(m *Message, a *attempt) error {
			if err := compose(m, a); err != nil {
				return err
			}
			key := keys[single(len(keys), a.now, func(i int) time.Time { return keys[i].expires })]
			sum := key.sum(nil, m.Body)
			m.add(headerSocotraSignature, hex.EncodeToString(sum[:]))
			return nil
		}, nil
	}
}

// composeSocotra builds {"id","timestamp","data","transactionId","type","username"}, all of them required. The
// timestamp is in milliseconds since 1970, as a string. An event of no transaction is one of its own, and one that no
// user is known to have caused has an empty username. No data is null.
func composeSocotra(m *Message, a *attempt) error {
	ev, id := a.Event, a.eventID()
	data, err := jsonData(ev)
	if err != nil {
		return err
	}
	transaction := ev.TransactionID
	if transaction == "" {
		transaction = id
	}
	b := slices.Grow(m.body[:0], socotraOverhead+len(id)+len(transaction)+len(ev.Type)+len(ev.User.Name)+len(data))
	b = append(b, `{"id":`...)
	b = appendString(b, id)
	b = append(b, `,"timestamp":"`...)
	b = strconv.AppendInt(b, ev.Time.UnixMilli(), 10)
	b = append(b, `","data":`...)
	b = append(b, data...)
	b = appendField(b, "transactionId", transaction)
	b = appendField(b, "type", ev.Type)
	b = appendField(b, "username", ev.User.Name)
	m.own(append(b, '}'))
	m.add(headerContentType, mediaJSON)
	return nil
}
