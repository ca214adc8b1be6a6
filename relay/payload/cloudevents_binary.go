package payload

import (
	"fmt"
	"strings"
	"time"
)

// composeCloudEventsBinary builds the binary mode of the CloudEvents HTTP binding: attributes as ce-* headers, the
// data as the body, its media type as content-type.
func composeCloudEventsBinary(m *Message, a *attempt) error {
	ev := a.Event
	media := contentType(ev)
	// A receiver tells the modes apart by this prefix alone: it would take the data for the event.
	if len(media) >= len(mediaCloudEvents) && strings.EqualFold(media[:len(mediaCloudEvents)], mediaCloudEvents) {
		return fmt.Errorf("%w: data of type %s cannot be told from a structured CloudEvent", ErrFormat, mediaCloudEvents)
	}
	var stamp [len(time.RFC3339Nano)]byte
	at, err := appendTime(stamp[:0], ev.Time)
	if err != nil {
		return err
	}
	m.add(headerContentType, media)
	m.add("ce-specversion", "1.0")
	var room [maxAttributes]attribute
	for _, attr := range appendAttributes(room[:0], a) {
		m.add(attr.header, escape(attr.value, &cloudEventsSafe))
	}
	m.add("ce-time", string(at))
	if !ev.Livemode {
		m.add("ce-livemode", "false")
	}
	m.borrow(ev.Data)
	return nil
}
