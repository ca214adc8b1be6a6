package payload

// composeRaw sends the record's value as it is. When the value is the data, the data's media type describes it;
// otherwise the data is part of a JSON envelope, and so is the value.
func composeRaw(m *Message, a *attempt) error {
	ev := a.Event
	media := mediaJSON
	if ev.Span.From == 0 && ev.Span.To == len(ev.Raw) && !ev.Span.Base64 {
		media = contentType(ev)
	}
	m.add(headerContentType, media)
	m.borrow(ev.Raw)
	return nil
}
