package envelope

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
)

// specVersion is the version of CloudEvents that is understood. A producer may leave it out.
const specVersion = "1.0"

// Media types of the CloudEvents specification.
const (
	mediaCloudEvent  = "application/cloudevents"
	mediaStructured  = mediaCloudEvent + "+json"
	mediaBatchPrefix = mediaCloudEvent + "-batch"
)

// mode is which of the three ways in a record takes.
type mode int

const (
	modePlain mode = iota
	modeBinary
	modeStructured
	modeUnsupported // a CloudEvents batch, or an event format other than JSON
)

// modeOf decides by the headers alone, in the order of the CloudEvents Kafka binding: content type first.
func modeOf(h *headers) mode {
	media := strings.ToLower(h.mediaType())
	switch {
	case media == mediaStructured || media == mediaCloudEvent:
		return modeStructured
	case strings.HasPrefix(media, mediaCloudEvent+"+") || strings.HasPrefix(media, mediaBatchPrefix):
		return modeUnsupported
	case h.typ != "" || h.specVersion != "":
		return modeBinary
	}
	return modePlain
}

// binary decodes a CloudEvent in binary mode: the headers are the attributes, the value is the data, even when empty.
func (d *Decoder) binary(rec *kgo.Record, h *headers) (*catalog.Event, error) {
	if h.specVersion != "" && h.specVersion != specVersion {
		return nil, reject(ReasonBadCloudEvent, "ce_specversion is not %s", specVersion)
	}
	if h.typ == "" {
		return nil, reject(ReasonNoType, "ce_specversion without ce_type")
	}
	ev := d.begin(rec, h)
	ev.Type, ev.ID, ev.Subject, ev.TransactionID = h.typ, h.id, h.subject, h.transactionID
	ev.User = catalog.User{Name: h.username, ID: h.userID, PoolID: h.userPoolID, Originator: h.userOriginator}
	ev.DataContentType = h.contentType
	if h.time != "" {
		t, ok := parseTime(h.time)
		if !ok {
			return nil, reject(ReasonBadHeader, "header ce_time is neither RFC 3339 nor seconds or milliseconds since 1970")
		}
		ev.Time, ev.TimeText = t, h.time
	}
	return finish(ev, rec, catalog.Span{To: len(rec.Value)})
}

// structured is the JSON event format: its attributes as a shape, and the members that only it has.
type structured struct {
	outline    outline
	attributes shape

	specVersion, data, dataBase64, dataContentType place
}

func newStructured() (structured, error) {
	var (
		s   structured
		err error
	)
	s.attributes, err = Mapping{
		Name: "structured", Type: "type", ID: "id", Time: "time", Source: "source", Subject: "subject",
		Tenant: "tenant", Office: "office", TransactionID: "transactionid", Livemode: "livemode",
		Username: "username", UserID: "userid", UserPoolID: "userpoolid", UserOriginator: "useroriginator",
	}.compile(&s.outline)
	if err != nil {
		return structured{}, err
	}
	for key, into := range map[string]*place{
		"specversion": &s.specVersion, "data": &s.data, "data_base64": &s.dataBase64, "datacontenttype": &s.dataContentType,
	} {
		if *into, err = s.outline.place(key); err != nil {
			return structured{}, err
		}
	}
	return s, nil
}

// structured decodes a CloudEvent in structured mode.
func (d *Decoder) structured(rec *kgo.Record, h *headers) (*catalog.Event, error) {
	if !validJSON(rec.Value) {
		return nil, reject(ReasonNotJSON, "content-type is %s, and the value is not one JSON text in UTF-8", mediaStructured)
	}
	s := &d.cloudEvent
	var doc document
	doc.open(rec, &s.outline)

	version, _, err := doc.text(&s.specVersion, "specversion")
	if err != nil {
		return nil, err
	}
	if version != "" && version != specVersion {
		return nil, reject(ReasonBadCloudEvent, "specversion is not %s", specVersion)
	}
	ev := d.begin(rec, h)
	if err := doc.fill(ev, &s.attributes, h); err != nil {
		return nil, err
	}
	if ev.DataContentType, _, err = doc.text(&s.dataContentType, "datacontenttype"); err != nil {
		return nil, err
	}
	span, err := s.dataSpan(&doc, ev.DataContentType)
	if err != nil {
		return nil, err
	}
	return finish(ev, rec, span)
}

// dataSpan places the data of a structured event. JSON data is placed as it stands; a string that carries text of
// another media type is placed without its quotes; data_base64 is placed as base64. What would have to be unescaped
// first cannot be placed and is refused.
func (s *structured) dataSpan(doc *document, contentType string) (catalog.Span, error) {
	data, hasData := doc.find(&s.data)
	encoded, hasEncoded := doc.find(&s.dataBase64)
	if hasEncoded && doc.value[encoded.from:encoded.to] == "null" {
		hasEncoded = false
	}
	switch {
	case hasData && hasEncoded:
		return catalog.Span{}, reject(ReasonBadCloudEvent, "both data and data_base64 are there")
	case hasEncoded:
		inner, ok := doc.unescaped(encoded)
		if !ok {
			return catalog.Span{}, reject(ReasonBadCloudEvent, "data_base64 is not a string without escapes")
		}
		return catalog.Span{From: inner.from, To: inner.to, Base64: true}, nil
	case !hasData:
		return catalog.Span{}, nil
	case doc.value[data.from] != '"' || jsonMedia(contentType):
		return catalog.Span{From: data.from, To: data.to}, nil
	}
	inner, ok := doc.unescaped(data)
	if !ok {
		return catalog.Span{}, reject(ReasonBadCloudEvent,
			"data is text that is not JSON and is written with escapes, which would have to be rewritten: send it as data_base64 or in binary mode")
	}
	return catalog.Span{From: inner.from, To: inner.to}, nil
}

// unescaped gives what is between the quotes of a string that has no escapes.
func (doc *document) unescaped(e extent) (extent, bool) {
	text := doc.value[e.from:e.to]
	if text[0] != '"' || strings.IndexByte(text, '\\') >= 0 {
		return extent{}, false
	}
	return extent{e.from + 1, e.to - 1}, true
}

// jsonMedia reports whether data of that media type is JSON: none given, any json subtype, any +json suffix.
func jsonMedia(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	_, subtype, _ := strings.Cut(media, "/")
	return media == "" || subtype == "json" || strings.HasSuffix(subtype, "+json")
}
