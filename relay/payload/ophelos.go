package payload

import (
	"encoding/hex"
	"slices"
	"strconv"

	"eventrelay/catalog"
)

const (
	headerOphelosSignature = "ophelos-signature"
	headerOphelosVersion   = "ophelos-version"
	// ophelosOverhead is the room that the envelope takes around id, type and data: 110 B of keys and time, rounded up.
	ophelosOverhead = 160
)

// compileOphelos makes the format whose signature is a hex HMAC-SHA256 over "t.body", with the time of the attempt
// beside it. While keys rotate there is one v1 for each, newest first.
func compileOphelos(k Keys) (composeFunc, error) {
	version := k.Version
	if version == "" {
		versions := catalog.FormatVersions(catalog.FormatOphelos)
		version = versions[len(versions)-1]
	}
	version = escape(version, &visible)
	keys, err := compileCharacterKeys(k.Signing)
	if err != nil {
		return nil, err
	}
	return func(m *Message, a *attempt) error {
		if err := composeOphelos(m, a); err != nil {
			return err
		}
		m.add(headerOphelosVersion, version)
		if len(keys) > 0 {
			m.add(headerOphelosSignature, m.signOphelos(a, keys))
		}
		return nil
	}, nil
}

// composeOphelos builds {"id","object":"event","type","data","created_at","livemode"}. No data is null.
func composeOphelos(m *Message, a *attempt) error {
	ev, id := a.Event, a.eventID()
	data, err := jsonData(ev)
	if err != nil {
		return err
	}
	b := slices.Grow(m.body[:0], ophelosOverhead+len(id)+len(ev.Type)+len(data))
	b = append(b, `{"id":`...)
	b = appendString(b, id)
	b = append(b, `,"object":"event"`...)
	b = appendField(b, "type", ev.Type)
	b = append(b, `,"data":`...)
	b = append(b, data...)
	b = append(b, `,"created_at":"`...)
	if b, err = appendOriginalTime(b, ev, 0); err != nil {
		return err
	}
	b = append(b, `","livemode":`...)
	b = strconv.AppendBool(b, ev.Livemode)
	m.own(append(b, '}'))
	m.add(headerContentType, mediaJSON)
	return nil
}

// signOphelos gives "t=<webhook-timestamp>,v1=<hex>".
func (m *Message) signOphelos(a *attempt, keys []*macKey) string {
	b := append(m.text[:0], a.timestamp...)
	b = append(b, '.')
	prefix := len(b)
	b = append(b, "t="...)
	b = append(b, a.timestamp...)
	for i, key := range keys {
		if i > 0 && key.expired(a.now) {
			continue
		}
		sum := key.sum(b[:prefix], m.Body)
		b = append(b, ",v1="...)
		b = hex.AppendEncode(b, sum[:])
	}
	m.text = b
	return string(b[prefix:])
}
