package payload

import "slices"

// compileOcelot makes the format that is not signed: its receivers know the sender by the endpoint's credentials.
func compileOcelot(Keys) (composeFunc, error) { return composeOcelot, nil }

// The members that the relay sets.
const (
	ocelotName     = "name"
	ocelotEventID  = "eventId"
	ocelotDateTime = "dateTime"
)

// ocelotOverhead is the room for the relay's own members: 60 B of names and time, rounded up.
const ocelotOverhead = 96

// composeOcelot builds one flat object of the event's own fields and name, eventId and dateTime. Where the data has
// one of these, its value is replaced where it stands, so that what came in as the platform's own envelope goes out
// as it was; those that it lacks come first. All other bytes are kept. Data that is no object cannot be carried; no
// data leaves the three alone.
//
// eventId and dateTime belong to the event and not to the attempt, so that they are the same on every retry.
func composeOcelot(m *Message, a *attempt) error {
	ev, id := a.Event, a.eventID()
	data, err := objectData(ev)
	if err != nil {
		return err
	}
	// The relay's values are few bytes and needed before and inside data: they are built in the scratch memory.
	text := appendString(m.text[:0], ev.Type)
	typeEnd := len(text)
	text = appendString(text, id)
	idEnd := len(text)
	text = append(text, '"')
	if text, err = appendOriginalTime(text, ev, 0); err != nil {
		return err
	}
	text = append(text, '"')
	m.text = text
	own := [...]struct {
		name    string
		value   []byte
		present bool
	}{{name: ocelotName, value: text[:typeEnd]}, {name: ocelotEventID, value: text[typeEnd:idEnd]}, {name: ocelotDateTime, value: text[idEnd:]}}

	var replaced [8]member // more than three only where data repeats a name
	places := replaced[:0]
	data.members(func(f member) bool {
		for i := range own {
			if own[i].name == string(f.name) {
				own[i].present = true
				places = append(places, f)
			}
		}
		return true
	})

	b := slices.Grow(m.body[:0], ocelotOverhead+len(text)+len(data))
	b = append(b, '{')
	for _, o := range own {
		if o.present {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, o.name...)
		b = append(b, `":`...)
		b = append(b, o.value...)
	}
	if len(b) > 1 && !data.empty() {
		b = append(b, ',')
	}
	at := 1
	for _, f := range places {
		b = append(b, data[at:f.from]...)
		for i := range own {
			if own[i].name == string(f.name) {
				b = append(b, own[i].value...)
			}
		}
		at = f.to
	}
	m.own(append(b, data[at:]...))
	m.add(headerContentType, mediaJSON)
	return nil
}
