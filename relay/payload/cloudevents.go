package payload

import (
	"encoding/base64"
	"slices"
)

// attribute is a CloudEvents context attribute, named as the header of the binary mode ("ce-id"); the structured
// mode cuts the prefix.
type attribute struct{ header, value string }

const attributePrefix = "ce-"

// maxAttributes is how many attributes an event can have besides specversion, time, livemode and the content type.
const maxAttributes = 11

// appendAttributes appends the string attributes that are known, the required ones first. Extension names are lower
// case because CloudEvents allows no others. id falls back to the delivery's and source to the topic's, as both must
// not be empty.
func appendAttributes(dst []attribute, a *attempt) []attribute {
	ev := a.Event
	id, source := a.eventID(), ev.Source
	if source == "" {
		source = "/relay/" + a.Source.Topic
	}
	dst = append(dst, attribute{"ce-id", id}, attribute{"ce-source", source}, attribute{"ce-type", ev.Type})
	for _, optional := range [...]attribute{
		{"ce-subject", ev.Subject},
		{"ce-tenant", ev.Tenant},
		{"ce-office", ev.Office},
		{"ce-transactionid", ev.TransactionID},
		{"ce-username", ev.User.Name},
		{"ce-userid", ev.User.ID},
		{"ce-userpoolid", ev.User.PoolID},
		{"ce-useroriginator", ev.User.Originator},
	} {
		if optional.value != "" {
			dst = append(dst, optional)
		}
	}
	return dst
}

// cloudEventsOverhead is the room for attribute names, quotes and time (11 × 20 B + 60 B, rounded up).
const cloudEventsOverhead = 320

// composeCloudEvents builds the structured mode of the CloudEvents HTTP binding: attributes and data in one JSON
// object. Data that is declared as JSON and is JSON is spliced into data, any other is carried as data_base64, so
// that the receiver decodes it to the bytes that the platform wrote. No data leaves both out.
func composeCloudEvents(m *Message, a *attempt) error {
	ev := a.Event
	var room [maxAttributes]attribute
	attributes := appendAttributes(room[:0], a)
	size := cloudEventsOverhead + len(ev.Data)
	for _, at := range attributes {
		size += len(at.value)
	}
	spliced := isJSONType(ev.DataContentType) && ev.DataIsJSON()
	if !spliced {
		size += len(ev.Data) / 2 // base64 takes 4/3
	}

	b := slices.Grow(m.body[:0], size)
	b = append(b, `{"specversion":"1.0"`...)
	for _, at := range attributes {
		b = appendField(b, at.header[len(attributePrefix):], at.value)
	}
	b = append(b, `,"time":"`...)
	b, err := appendTime(b, ev.Time)
	if err != nil {
		return err
	}
	b = append(b, '"')
	if !ev.Livemode {
		b = append(b, `,"livemode":false`...)
	}
	b = appendField(b, "datacontenttype", contentType(ev))
	switch {
	case len(ev.Data) == 0:
	case spliced:
		b = append(b, `,"data":`...)
		b = append(b, ev.Data...)
	default:
		b = append(b, `,"data_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, ev.Data)
		b = append(b, '"')
	}
	m.own(append(b, '}'))
	m.add(headerContentType, mediaCloudEvents+"+json")
	return nil
}
