package envelope

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
)

// Options configure a Decoder.
type Options struct {
	// MaxEventBytes bounds the value of a record.
	MaxEventBytes int
	// Domains gives the domain of each source topic; a topic that is not in it is its own domain.
	Domains map[string]string
	// Mappings are the shapes of plain JSON, in the order in which they are tried. Nil means DefaultMappings.
	Mappings []Mapping
}

// Decoder turns records into events. It is immutable: any number of goroutines may use it.
type Decoder struct {
	maxEventBytes int
	domains       map[string]string
	outline       outline // of all shapes
	shapes        []shape
	cloudEvent    structured
}

// NewDecoder compiles the mappings.
func NewDecoder(o Options) (*Decoder, error) {
	if o.MaxEventBytes <= 0 {
		return nil, fmt.Errorf("the largest event must be at least one byte, not %d", o.MaxEventBytes)
	}
	if o.Mappings == nil {
		o.Mappings = DefaultMappings()
	}
	d := &Decoder{maxEventBytes: o.MaxEventBytes, domains: make(map[string]string, len(o.Domains))}
	for topic, domain := range o.Domains {
		d.domains[topic] = domain
	}
	for _, m := range o.Mappings {
		s, err := m.compile(&d.outline)
		if err != nil {
			return nil, err
		}
		d.shapes = append(d.shapes, s)
	}
	var err error
	if d.cloudEvent, err = newStructured(); err != nil {
		return nil, err
	}
	return d, nil
}

// Decode turns one record into an event. It returns ErrTombstone for a record without a value, or a *RejectError;
// there is no other error. The event keeps rec.Value, which nobody may modify from then on.
func (d *Decoder) Decode(rec *kgo.Record) (*catalog.Event, error) {
	if rec.Value == nil {
		return nil, ErrTombstone
	}
	if len(rec.Value) > d.maxEventBytes {
		return nil, reject(ReasonTooLarge, "the value is %d bytes long, allowed are %d", len(rec.Value), d.maxEventBytes)
	}
	if nestsTooDeep(rec.Value) {
		return nil, reject(ReasonTooDeep, "the value nests deeper than %d", MaxDepth)
	}
	h, err := readHeaders(rec)
	if err != nil {
		return nil, err
	}
	switch modeOf(&h) {
	case modeStructured:
		return d.structured(rec, &h)
	case modeBinary:
		return d.binary(rec, &h)
	case modeUnsupported:
		return nil, reject(ReasonBadCloudEvent, "of the CloudEvents formats only one JSON event per record is supported: %s", mediaStructured)
	default:
		return d.plain(rec, &h)
	}
}

// begin is an event with what the record says around its value, in every mode alike.
func (d *Decoder) begin(rec *kgo.Record, h *headers) *catalog.Event {
	ev := &catalog.Event{
		Domain: rec.Topic, Source: h.source, Tenant: h.tenant, Office: h.office, Time: recordTime(rec.Timestamp),
		Livemode: true, Raw: rec.Value, TraceParent: h.traceParent, TraceState: h.traceState,
	}
	if domain, ok := d.domains[rec.Topic]; ok {
		ev.Domain = domain
	}
	if live, ok := parseBool(h.livemode); ok {
		ev.Livemode = live
	}
	return ev
}

// finish fills in what nobody said, places the data and seals the attributes.
func finish(ev *catalog.Event, rec *kgo.Record, span catalog.Span) (*catalog.Event, error) {
	if ev.Source == "" {
		ev.Source = "/relay/" + rec.Topic
	}
	if ev.Tenant == "" {
		ev.Tenant = catalog.DefaultTenant
	}
	data, err := span.Extract(rec.Value)
	if err != nil {
		return nil, reject(ReasonBadCloudEvent, "data_base64 is not base64")
	}
	if span.Base64 && nestsTooDeep(data) {
		return nil, reject(ReasonTooDeep, "data_base64 nests deeper than %d", MaxDepth)
	}
	ev.Span, ev.Data = span, data
	if err := seal(ev); err != nil {
		return nil, err
	}
	return ev, nil
}
