package payload

import "slices"

// standardOverhead is the room that the envelope takes around type and data: 60 B of keys and time, rounded up.
const standardOverhead = 96

// composeStandard builds {"type","timestamp","data"}, the payload that Standard Webhooks recommends.
func composeStandard(m *Message, a *attempt) error {
	ev := a.Event
	data, err := jsonData(ev)
	if err != nil {
		return err
	}
	b := slices.Grow(m.body[:0], standardOverhead+len(ev.Type)+len(ev.Data))
	b = append(b, `{"type":`...)
	b = appendString(b, ev.Type)
	b = append(b, `,"timestamp":"`...)
	if b, err = appendTime(b, ev.Time); err != nil {
		return err
	}
	b = append(b, `","data":`...)
	b = append(b, data...)
	m.own(append(b, '}'))
	m.add(headerContentType, mediaJSON)
	return nil
}
