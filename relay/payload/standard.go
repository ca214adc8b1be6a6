package payload

import (
	"fmt"
	"slices"
)

// standardOverhead is the room that the envelope takes around type and data: 60 B of keys and time, rounded up.
const standardOverhead = 96

// composeStandard builds {"type","timestamp","data"}, the payload that Standard Webhooks recommends. The bytes
// decide whether data is JSON, not its declared media type, which the body does not carry. No data is null.
func composeStandard(m *Message, a *attempt) error {
	ev := a.Event
	if len(ev.Data) > 0 && !isJSON(ev.Data) {
		return fmt.Errorf("%w: data is not JSON", ErrFormat)
	}
	b := slices.Grow(m.body[:0], standardOverhead+len(ev.Type)+len(ev.Data))
	b = append(b, `{"type":`...)
	b = appendString(b, ev.Type)
	b = append(b, `,"timestamp":"`...)
	b, err := appendTime(b, ev.Time)
	if err != nil {
		return err
	}
	b = append(b, `","data":`...)
	if len(ev.Data) == 0 {
		b = append(b, "null"...)
	} else {
		b = append(b, ev.Data...)
	}
	m.own(append(b, '}'))
	m.add(headerContentType, mediaJSON)
	return nil
}
