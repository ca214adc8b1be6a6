package envelope_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay/intake/envelope"
	"eventrelay/testdata/events"
)

// testMaxBytes is large enough for every test that is not about size.
const testMaxBytes = 1 << 20

// recordTime is the timestamp of every test record.
var recordTime = time.Date(2026, time.May, 4, 3, 2, 1, 0, time.UTC)

func newDecoder(t testing.TB, mappings ...envelope.Mapping) *envelope.Decoder {
	t.Helper()
	d, err := envelope.NewDecoder(envelope.Options{
		MaxEventBytes: testMaxBytes, Domains: map[string]string{"prod.debt.v1": "debt"}, Mappings: mappings,
	})
	require.NoError(t, err)
	return d
}

// record is a record of topic "debt" with headers given as key, value, key, value.
func record(value string, headers ...string) *kgo.Record {
	rec := &kgo.Record{Topic: "debt", Value: []byte(value), Timestamp: recordTime}
	for i := 0; i < len(headers); i += 2 {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return rec
}

func decode(t testing.TB, rec *kgo.Record) *catalog.Event {
	t.Helper()
	ev, err := newDecoder(t).Decode(rec)
	require.NoError(t, err)
	requireInvariants(t, rec, ev)
	return ev
}

// requireRejected decodes rec and requires that it is rejected for that reason.
func requireRejected(t testing.TB, d *envelope.Decoder, rec *kgo.Record, want envelope.Reason) *envelope.RejectError {
	t.Helper()
	ev, err := d.Decode(rec)
	require.Nil(t, ev)
	var rejected *envelope.RejectError
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, want, rejected.Reason, rejected.Detail)
	require.Contains(t, envelope.Reasons(), rejected.Reason)
	return rejected
}

// requireInvariants checks what the package comment promises of every accepted event.
func requireInvariants(t testing.TB, rec *kgo.Record, ev *catalog.Event) {
	t.Helper()
	data, err := ev.Span.Extract(ev.Raw)
	require.NoError(t, err)
	require.Equal(t, string(data), string(ev.Data))
	require.Equal(t, string(rec.Value), string(ev.Raw))
	require.NotEmpty(t, ev.Type)
	require.NotEmpty(t, ev.Source)
	require.NotEmpty(t, ev.Tenant)
	require.NotEmpty(t, ev.Domain)
	total := 0
	for _, text := range []string{
		ev.ID, ev.Source, ev.Type, ev.Tenant, ev.Office, ev.Subject, ev.TimeText, ev.TransactionID, ev.DataContentType,
		ev.User.Name, ev.User.ID, ev.User.PoolID, ev.User.Originator, ev.TraceParent, ev.TraceState,
	} {
		require.LessOrEqual(t, len(text), envelope.MaxAttributeBytes)
		require.Equal(t, strings.ToValidUTF8(text, "!"), text)
		for _, r := range text {
			require.False(t, r < ' ' || (r >= 0x7f && r < 0xa0), "control character %q", r)
		}
		total += len(text)
	}
	require.LessOrEqual(t, total, envelope.MaxAttributesBytes)
	require.LessOrEqual(t, len(ev.Type), envelope.MaxTypeBytes)
	again, err := time.Parse(time.RFC3339Nano, ev.Time.Format(time.RFC3339Nano))
	require.NoError(t, err)
	require.True(t, again.Equal(ev.Time))
}

func TestEverySampleOfThePlatforms(t *testing.T) {
	now := time.Date(2026, time.November, 21, 8, 30, 15, 123e6, time.UTC)
	for _, s := range events.All() {
		t.Run(s.Name, func(t *testing.T) {
			rec := &kgo.Record{Topic: s.Domain, Value: events.Fresh(s, "id-7", now), Headers: s.Headers, Timestamp: recordTime}
			ev := decode(t, rec)
			require.Equal(t, s.Type, ev.Type)
			require.Equal(t, s.Domain, ev.Domain)
			require.Contains(t, ev.ID, "id-7")
			require.Equal(t, now, ev.Time)
			require.NotEmpty(t, ev.TimeText)
			require.Equal(t, catalog.DefaultTenant, ev.Tenant)
			require.Equal(t, "/relay/"+s.Domain, ev.Source)
			require.True(t, ev.Livemode)
			require.Equal(t, byte('{'), ev.Data[0])
			require.Contains(t, string(rec.Value), string(ev.Data))
			require.Equal(t, s.Domain == "sms", ev.Office == "springfield")
		})
	}
}

func TestTombstone(t *testing.T) {
	d := newDecoder(t)
	_, err := d.Decode(&kgo.Record{Topic: "debt"})
	require.ErrorIs(t, err, envelope.ErrTombstone)
	_, err = d.Decode(&kgo.Record{Topic: "debt", Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("debt.paid")}}})
	require.ErrorIs(t, err, envelope.ErrTombstone)
	require.False(t, errors.As(err, new(*envelope.RejectError)))
}

func TestSizeIsCheckedFirst(t *testing.T) {
	d, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: 32})
	require.NoError(t, err)
	rejected := requireRejected(t, d, record(strings.Repeat("x", 33), "ce_type", "a\x00b"), envelope.ReasonTooLarge)
	require.Contains(t, rejected.Detail, "33")
	_, err = d.Decode(record(strings.Repeat("x", 32), "ce_type", "debt.paid"))
	require.NoError(t, err)
}

func TestNestingBombs(t *testing.T) {
	d := newDecoder(t)
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	for name, rec := range map[string]*kgo.Record{
		"closed":      record(`{"type":"t","data":` + nested(100_000) + `}`),
		"open":        record(strings.Repeat("[", 100_000)),
		"objects":     record(strings.Repeat(`{"a":`, 100_000)),
		"binary":      record(nested(100_000), "ce_type", "t"),
		"structured":  record(`{"type":"t","data":`+nested(100_000)+`}`, "content-type", "application/cloudevents+json"),
		"after quote": record(`["\"", ` + nested(envelope.MaxDepth) + `]`),
	} {
		t.Run(name, func(t *testing.T) { requireRejected(t, d, rec, envelope.ReasonTooDeep) })
	}
	t.Run("many brackets that are not deep", func(t *testing.T) {
		decode(t, record(`{"type":"t","data":[`+strings.Repeat(`{"a":[]},`, 50_000)+`{}]}`))
	})
	t.Run("brackets in a string", func(t *testing.T) {
		decode(t, record(`{"type":"t","data":"\\\"`+strings.Repeat("[", 100_000)+`"}`))
	})
	t.Run("as deep as allowed", func(t *testing.T) {
		decode(t, record(`{"type":"t","data":`+nested(envelope.MaxDepth-1)+`}`))
	})
}

func TestBytesAreKept(t *testing.T) {
	for name, data := range map[string]string{
		"big numbers":     `{"n":12345678901234567890123456789,"f":0.1000,"e":1E400,"z":-0}`,
		"key order":       `{"z":1,"a":2,"z":3}`,
		"white space":     "{ \"a\" :\n\t[ 1 ,2 ] }",
		"escapes":         `{"\u0061":"\u00e9\/\ud83d\ude00"}`,
		"scalar":          `1.50`,
		"text":            `"a \"b\" \\"`,
		"null":            `null`,
		"brackets quoted": `{"a":"}]\"{[","b":["\\"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, format := range []string{
				`{"type":"debt.paid","data":DATA}`,
				` {"data" : DATA , "id":"\"}" , "type":"debt.paid"} ` + "\n",
				`{"id":"1","timestamp":"1700000000000","data":DATA,"transactionId":"t","type":"debt.paid","username":""}`,
			} {
				require.Equal(t, data, string(decode(t, record(strings.ReplaceAll(format, "DATA", data))).Data))
			}
			structured := record(`{"specversion":"1.0","type":"debt.paid","data":`+data+`}`, "content-type", "application/cloudevents+json")
			require.Equal(t, data, string(decode(t, structured).Data))
			require.Equal(t, data, string(decode(t, record(data, "ce_type", "debt.paid")).Data))
		})
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		json string
		want time.Time
		text string
	}{
		"RFC 3339":              {`"2026-01-02T03:04:05Z"`, at, "2026-01-02T03:04:05Z"},
		"with an offset":        {`"2026-01-02T05:34:05.25+02:30"`, at.Add(250 * time.Millisecond), "2026-01-02T05:34:05.25+02:30"},
		"offset without colon":  {`"2026-01-02T04:04:05+0100"`, at, "2026-01-02T04:04:05+0100"},
		"no offset is UTC":      {`"2026-01-02T03:04:05.000001"`, at.Add(time.Microsecond), "2026-01-02T03:04:05.000001"},
		"space":                 {`"2026-01-02 03:04:05"`, at, "2026-01-02 03:04:05"},
		"seconds":               {`1767323045`, at, ""},
		"milliseconds":          {`1767323045000`, at, ""},
		"seconds as text":       {`"1767323045"`, at, "1767323045"},
		"milliseconds as text":  {`"1767323045007"`, at.Add(7 * time.Millisecond), "1767323045007"},
		"seconds with fraction": {`1767323045.5`, at.Add(500 * time.Millisecond), ""},
		"exponent":              {`1.767323045e9`, at, ""},
		"before 1970":           {`-1`, time.Unix(-1, 0).UTC(), ""},
		"the last millisecond":  {`253402300799999`, time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC), ""},
		"year 9999":             {`"9999-12-31T23:59:59Z"`, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), "9999-12-31T23:59:59Z"},
		"null":                  {`null`, recordTime, ""},
		"empty":                 {`""`, recordTime, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ev := decode(t, record(`{"type":"t","data":1,"timestamp":`+tc.json+`}`))
			require.Equal(t, tc.want, ev.Time)
			require.Equal(t, tc.text, ev.TimeText)
		})
	}
	for name, json := range map[string]string{
		"words": `"yesterday"`, "object": `{}`, "boolean": `true`, "beyond year 9999": `253402300800000`, "1e400": `1e400`,
		"before year 0": `"0000-01-01T00:00:00+01:00"`, "after year 9999": `"9999-12-31T23:59:59-01:00"`, "not a number": `"NaN"`,
	} {
		t.Run(name, func(t *testing.T) {
			requireRejected(t, newDecoder(t), record(`{"type":"t","data":1,"timestamp":`+json+`}`), envelope.ReasonBadAttribute)
		})
	}
}

func TestRecordTimestampsThatCannotBeWritten(t *testing.T) {
	for _, at := range []time.Time{time.UnixMilli(1 << 62), time.UnixMilli(-1 << 62), {}, time.UnixMilli(-1)} {
		rec := record(`{"type":"t","data":1}`)
		rec.Timestamp = at
		decode(t, rec)
	}
}

func TestDomainIsThatOfTheTopic(t *testing.T) {
	rec := record(`{"type":"claim.open","data":1}`)
	rec.Topic = "prod.debt.v1"
	ev := decode(t, rec)
	require.Equal(t, "debt", ev.Domain)
	require.Equal(t, "/relay/prod.debt.v1", ev.Source)
}
