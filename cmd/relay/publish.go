package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/intake/envelope"
	"eventrelay/testdata/events"
)

// publishCmd writes events to domain topics as a platform would: a sample, a file of records, or one CloudEvent made
// of flags. Everything is read and checked before the first record is sent.
type publishCmd struct {
	Topic string `placeholder:"TOPIC" help:"Topic to publish to. Default: the domain of the event type."`

	Sample string `placeholder:"TYPE" xor:"what" help:"Publish the sample of an event type, with a fresh id and time."`
	File   string `placeholder:"PATH" xor:"what" help:"Publish the records of a file (- is standard input): one JSON record per line, a JSON array of records, or one CloudEvent."`
	Type   string `placeholder:"TYPE" xor:"what" help:"Publish one CloudEvent of this type, made of the flags below."`

	ID      string `name:"id" help:"Event id, with --type or --sample. Default: a fresh one for each event."`
	Subject string `help:"Subject, with --type."`
	Data    string `placeholder:"JSON" help:"Data, with --type. Default: {}."`
	Source  string `help:"Source."`
	Tenant  string `help:"Tenant."`
	Office  string `help:"Office."`

	Count int    `default:"1" help:"How often to publish it."`
	Key   string `help:"Key of the records. Default: the subject, else none."`

	Kafka kafkaConfig   `embed:""`
	Types catalogConfig `embed:""`
}

// check implements checker: it refuses what would be ignored silently. That --sample, --file and --type exclude each
// other is seen to by the parser.
func (c *publishCmd) check(p *problems) {
	c.Kafka.check(p)
	c.Types.check(p)
	if c.Sample == "" && c.File == "" && c.Type == "" {
		p.add("sample", "is not set, nor is --file or --type: one of them says what to publish")
	}
	if c.Count < 1 {
		p.add("count", "is %d: must be at least 1", c.Count)
	}
	if c.Type == "" && c.Subject != "" {
		p.add("subject", "is set, which only --type has a use for")
	}
	if c.Type == "" && c.Data != "" {
		p.add("data", "is set, which only --type has a use for")
	}
	if c.File != "" && c.ID != "" {
		p.add("id", "is set, but the records of --file have ids of their own")
	}
}

const (
	// publishDialTimeout bounds the wait for a broker that may not be there.
	publishDialTimeout = 5 * time.Second
	// publishAckTimeout bounds the wait for the acknowledgement of one record.
	publishAckTimeout = 15 * time.Second
	// publishBatch is how many records are sent before their lines are printed.
	publishBatch = 500
	// publishSource is the CloudEvents source of events made of flags, unless one is given.
	publishSource = "/relay/publish"
)

// Run implements the subcommand.
func (c *publishCmd) Run(ctx context.Context, s streams) error {
	if err := c.Types.use(); err != nil {
		return err
	}
	records, err := c.records(s.In, time.Now())
	if err != nil {
		return err
	}
	opts, err := c.Kafka.Opts()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(opts, publishOpts()...)...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	dial, cancel := context.WithTimeout(ctx, publishDialTimeout)
	defer cancel()
	if err := client.Ping(dial); err != nil {
		return fmt.Errorf("no Kafka at %s: start `relay dev`, or set --kafka or RELAY_KAFKA: %w", strings.Join(c.Kafka.Brokers, ","), err)
	}
	return publishSend(ctx, client, s.Out, records)
}

// publishOpts are the options of the client besides where the broker is. It gives up where a service would go on
// trying: somebody is waiting at a terminal.
func publishOpts() []kgo.Opt {
	return []kgo.Opt{
		kgo.ClientID("relay-publish"),
		kgo.ProducerBatchMaxBytes(relay.DefaultMaxEventBytes + relay.EnvelopeBytes),
		kgo.RecordDeliveryTimeout(publishAckTimeout),
		kgo.UnknownTopicRetries(1),
	}
}

// publishRecord is a record to send, and what to say about it.
type publishRecord struct {
	record        *kgo.Record
	eventType, id string
	// from says where it comes from when something is wrong with it: "events.jsonl:3".
	from string
}

// records makes all records, checked, without sending any.
func (c *publishCmd) records(stdin io.Reader, now time.Time) ([]publishRecord, error) {
	decoder, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: relay.DefaultMaxEventBytes})
	if err != nil {
		return nil, fmt.Errorf("envelopes: %w", err)
	}
	var templates []publishRecord
	if c.File != "" {
		if templates, err = c.fromFile(stdin); err != nil {
			return nil, err
		}
	}
	var records []publishRecord
	for range c.Count {
		round := slices.Clone(templates)
		switch {
		case c.Sample != "":
			round, err = c.fromSample(now)
		case c.Type != "":
			round, err = c.fromFlags(now)
		}
		if err != nil {
			return nil, err
		}
		for _, r := range round {
			// The client writes to a record that it produces, so each needs its own.
			own := *r.record
			r.record = &own
			if err := c.complete(decoder, &r); err != nil {
				return nil, fmt.Errorf("%s: %w", r.from, err)
			}
			records = append(records, r)
		}
	}
	return records, nil
}

// fromSample is a sample record of a platform, or the catalog's sample data of the type as a CloudEvent.
func (c *publishCmd) fromSample(now time.Time) ([]publishRecord, error) {
	from := "--sample " + c.Sample
	known, ok := sampledType(c.Sample)
	if !ok {
		return nil, fmt.Errorf("%s: no such event type in the catalog: publish it with --type, --topic and --data", from)
	}
	if sample, ok := events.ByType(known.Name); ok {
		rec := &kgo.Record{Topic: sample.Domain, Value: events.Fresh(sample, c.eventID(), now)}
		// Of equal headers intake takes the first, so that the flags win.
		rec.Headers = append(c.headers(), sample.Headers...)
		return []publishRecord{{record: rec, from: from}}, nil
	}
	data := []byte(known.Sample)
	if len(data) == 0 {
		data = []byte("{}")
	}
	return []publishRecord{{record: c.cloudEvent(known.Name, data, now), from: from}}, nil
}

// sampledType finds the type of a sample; the newest version of it where the name has none and the type has.
func sampledType(name string) (catalog.EventType, bool) {
	found, ok := catalog.LookupEventType(name)
	if ok {
		return found, true
	}
	for _, t := range catalog.EventTypes() {
		if base, versioned := catalog.VersionBase(t.Name); versioned && base == name {
			found, ok = t, true // listed by version
		}
	}
	return found, ok
}

// fromFlags is one CloudEvent in binary mode.
func (c *publishCmd) fromFlags(now time.Time) ([]publishRecord, error) {
	data := []byte(c.Data)
	if c.Data == "" {
		data = []byte("{}")
	}
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		return nil, fmt.Errorf("--data: not JSON: %w", err)
	}
	return []publishRecord{{record: c.cloudEvent(c.Type, data, now), from: "--type " + c.Type}}, nil
}

func (c *publishCmd) cloudEvent(eventType string, data []byte, now time.Time) *kgo.Record {
	headers := append(c.headers(),
		publishHeader("ce_specversion", "1.0"), publishHeader("ce_type", eventType), publishHeader("ce_id", c.eventID()),
		publishHeader("ce_time", now.UTC().Format(time.RFC3339Nano)), publishHeader("content-type", "application/json"))
	if c.Source == "" {
		headers = append(headers, publishHeader("ce_source", publishSource))
	}
	if c.Subject != "" {
		headers = append(headers, publishHeader("ce_subject", c.Subject))
	}
	return &kgo.Record{Value: data, Headers: headers}
}

// headers are those that apply to whatever is published.
func (c *publishCmd) headers() []kgo.RecordHeader {
	var headers []kgo.RecordHeader
	for _, h := range []struct{ key, value string }{{"ce_source", c.Source}, {"ce_tenant", c.Tenant}, {"ce_office", c.Office}} {
		if h.value != "" {
			headers = append(headers, publishHeader(h.key, h.value))
		}
	}
	return headers
}

// complete checks that intake will understand the record, and fills in topic, key, type and id. A record that none of
// the envelopes fits is sent nevertheless when a topic is named: the relay may have been given more of them.
func (c *publishCmd) complete(decoder *envelope.Decoder, r *publishRecord) error {
	if c.Topic != "" {
		r.record.Topic = c.Topic
	}
	if c.Key != "" {
		r.record.Key = []byte(c.Key)
	}
	ev, err := decoder.Decode(r.record)
	if rejected := (*envelope.RejectError)(nil); errors.As(err, &rejected) && rejected.Reason == envelope.ReasonNoEnvelope {
		if c.Topic != "" {
			return nil
		}
		return errors.New("none of the known envelopes fits it: name the topic with --topic to publish it nevertheless")
	}
	if err != nil {
		return fmt.Errorf("the relay would reject it: %w", err)
	}
	r.eventType, r.id = ev.Type, ev.ID
	if r.record.Key == nil && ev.Subject != "" {
		r.record.Key = []byte(ev.Subject)
	}
	if r.record.Topic == "" {
		known, _ := catalog.LookupEventType(ev.Type)
		if !catalog.IsDomain(known.Domain) {
			return fmt.Errorf("event type %s is not one of a platform's in the catalog: name the topic with --topic", ev.Type)
		}
		r.record.Topic = known.Domain
	}
	return nil
}

func (c *publishCmd) eventID() string {
	if c.ID != "" {
		return c.ID
	}
	return strings.ToLower(rand.Text())
}

func publishHeader(key, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: key, Value: []byte(value)}
}

// publishSend sends the records in order and prints a line for each that the broker acknowledged. It stops at the
// first batch with a failure; the error says how many were sent.
func publishSend(ctx context.Context, client *kgo.Client, out io.Writer, records []publishRecord) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	sent := 0
	for start := 0; start < len(records); start += publishBatch {
		batch := records[start:min(start+publishBatch, len(records))]
		failed := make(map[*kgo.Record]error)
		produce := make([]*kgo.Record, len(batch))
		for i := range batch {
			produce[i] = batch[i].record
		}
		for _, result := range client.ProduceSync(ctx, produce...) {
			if result.Err != nil {
				failed[result.Record] = result.Err
			}
		}
		var first error
		for _, r := range batch {
			err := failed[r.record]
			if err == nil {
				sent++
				fmt.Fprintf(table, "%s/%d/%d\t%s\t%s\n", r.record.Topic, r.record.Partition, r.record.Offset, publishText(r.eventType), publishText(r.id))
			} else if first == nil {
				first = fmt.Errorf("%s to topic %s: %w", r.from, r.record.Topic, publishHint(err))
			}
		}
		if err := table.Flush(); err != nil {
			return fmt.Errorf("print what was sent (%d of %d): %w", sent, len(records), err)
		}
		if first != nil {
			return fmt.Errorf("sent %d of %d: %w", sent, len(records), first)
		}
	}
	return nil
}

// publishText stands for a text that is not there, so that columns keep their place.
func publishText(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// publishHint adds what to do about the errors that a person can do something about.
func publishHint(err error) error {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("the topic does not exist: create it with `relay topics apply --domains`: %w", err)
	case errors.Is(err, kerr.MessageTooLarge):
		return fmt.Errorf("raise max.message.bytes of the topic, or publish less: %w", err)
	case errors.Is(err, kgo.ErrRecordTimeout):
		return fmt.Errorf("not acknowledged within %s; it may have been written: %w", publishAckTimeout, err)
	}
	return err
}
