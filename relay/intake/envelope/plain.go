package envelope

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
)

// plain decodes a record of plain JSON by the first shape that fits it.
func (d *Decoder) plain(rec *kgo.Record, h *headers) (*catalog.Event, error) {
	if !validJSON(rec.Value) {
		return nil, reject(ReasonNotJSON, "the value is not one JSON text in UTF-8, and no ce_type header says that it is a CloudEvent")
	}
	var doc document
	doc.open(rec, &d.outline)
	for i := range d.shapes {
		if s := &d.shapes[i]; doc.fits(s) {
			ev := d.begin(rec, h)
			if err := doc.fill(ev, s, h); err != nil {
				return nil, err
			}
			return finish(ev, rec, doc.span(&s.data))
		}
	}
	return nil, reject(ReasonNoEnvelope, "none of the envelopes known for topic %s has all its required keys: tried %s",
		rec.Topic, strings.Join(d.namesFor(rec.Topic), ", "))
}

func (s *shape) covers(topic string) bool {
	return len(s.topics) == 0 || slices.Contains(s.topics, topic)
}

func (d *Decoder) namesFor(topic string) []string {
	var names []string
	for i := range d.shapes {
		if d.shapes[i].covers(topic) {
			names = append(names, d.shapes[i].name)
		}
	}
	return names
}

// fits decides whether s is the shape of doc.
func (doc *document) fits(s *shape) bool {
	if !s.covers(doc.rec.Topic) {
		return false
	}
	for i := range s.required {
		if !doc.present(&s.required[i]) {
			return false
		}
	}
	for i := range s.literals {
		if text, _, err := doc.text(&s.literals[i].at, ""); err != nil || text != s.literals[i].text {
			return false
		}
	}
	_, quoted, err := doc.text(&s.typ, "")
	return quoted && err == nil
}

// fill sets the attributes of ev that s places and no header overrides: a header is what an operator can add in
// front of a producer that cannot be changed, so it wins over the value.
func (doc *document) fill(ev *catalog.Event, s *shape, h *headers) error {
	for _, attribute := range [...]struct {
		name string
		at   *place
		into *string
	}{
		{"type", &s.typ, &ev.Type}, {"id", &s.id, &ev.ID}, {"source", &s.source, &ev.Source}, {"subject", &s.subject, &ev.Subject},
		{"tenant", &s.tenant, &ev.Tenant}, {"office", &s.office, &ev.Office}, {"transaction id", &s.transactionID, &ev.TransactionID},
		{"user name", &s.username, &ev.User.Name}, {"user id", &s.userID, &ev.User.ID},
		{"user pool id", &s.userPoolID, &ev.User.PoolID}, {"user originator", &s.userOriginator, &ev.User.Originator},
	} {
		if *attribute.into != "" || attribute.at.nowhere() {
			continue
		}
		text, _, err := doc.text(attribute.at, attribute.name)
		if err != nil {
			return err
		}
		*attribute.into = text
	}
	at, quoted, err := doc.text(&s.time, "time")
	if err != nil {
		return err
	}
	if at != "" {
		t, ok := parseTime(at)
		if !ok {
			return reject(ReasonBadAttribute, "time is neither RFC 3339 nor seconds or milliseconds since 1970")
		}
		ev.Time = t
		if quoted {
			ev.TimeText = at
		}
	}
	if h.livemode != "" {
		return nil
	}
	live, _, err := doc.text(&s.livemode, "livemode")
	if err != nil || live == "" {
		return err
	}
	value, ok := parseBool(live)
	if !ok {
		return reject(ReasonBadAttribute, "livemode is neither true nor false")
	}
	ev.Livemode = value
	return nil
}
