package envelope_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay/intake/envelope"
	"eventrelay/testdata/events"
)

// FuzzDecode feeds any value with any headers: nothing panics, what is refused has a known reason, and what is
// accepted keeps the promises of the package comment.
func FuzzDecode(f *testing.F) {
	for _, s := range events.All() {
		f.Add(s.Value, "ce_tenant", "acme", "")
	}
	f.Add([]byte(`{"specversion":"1.0","type":"t","data_base64":"AAH/"}`), "ce_source", "/s", "application/cloudevents+json")
	f.Add([]byte(`{"type":"t","data":"<a/>","datacontenttype":"text/xml"}`), "ce_time", "1", "application/cloudevents+json; a=b")
	f.Add([]byte(`{"\u0074ype":"t", "data":[{"a":"\\\"}"}], "data":1}`), "traceparent", "00", "")
	f.Add([]byte{0, 0xff}, "ce_type", "debt.paid", "application/octet-stream")
	f.Add([]byte(` "x" `), "ce_specversion", "1.0", "application/cloudevents-batch+json")
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, value []byte, key, text, contentType string) {
		rec := &kgo.Record{Topic: "debt", Value: value, Timestamp: recordTime, Headers: []kgo.RecordHeader{
			{Key: key, Value: []byte(text)}, {Key: "content-type", Value: []byte(contentType)},
		}}
		ev, err := d.Decode(rec)
		var rejected *envelope.RejectError
		switch {
		case errors.Is(err, envelope.ErrTombstone):
			require.Nil(t, value)
		case errors.As(err, &rejected):
			require.Contains(t, envelope.Reasons(), rejected.Reason)
			require.Less(t, len(rejected.Detail), 300)
		default:
			require.NoError(t, err)
			requireInvariants(t, rec, ev)
		}
	})
}

// FuzzPlainAgainstEncodingJSON compares what is found in plain JSON with what encoding/json finds there.
func FuzzPlainAgainstEncodingJSON(f *testing.F) {
	f.Add([]byte(`{"type":"t","data":{"a":[1,2,{"b":"}"}]}}`))
	f.Add([]byte(` {"data" : "\"\\" , "data":2, "\u0074ype":"d\u0065bt" } `))
	f.Add([]byte(`{"a":{"type":"x","data":1},"type":"t","data":-0.1e+5}`))
	f.Add([]byte(`[{"type":"t","data":1}]`))
	f.Add([]byte(`{"type":"t","data":[[[]]],"x":"[[["}{`))
	d := newDecoder(f, envelope.Mapping{Name: "standard", Required: []string{"type", "data"}, Type: "type", Data: "data"})
	f.Fuzz(func(t *testing.T, value []byte) {
		ev, err := d.Decode(&kgo.Record{Topic: "debt", Value: value, Timestamp: recordTime})
		var rejected *envelope.RejectError
		if errors.As(err, &rejected) {
			if rejected.Reason == envelope.ReasonNotJSON {
				require.False(t, json.Valid(value) && utf8.Valid(value))
			}
			return
		}
		if err != nil {
			return
		}
		var typ string
		require.NoError(t, json.Unmarshal(firstMember(t, value, "type"), &typ))
		require.Equal(t, typ, ev.Type)
		require.Equal(t, string(firstMember(t, value, "data")), string(ev.Data))
	})
}

// firstMember gives the raw value of the first member of that name.
func firstMember(t *testing.T, value []byte, name string) json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(value))
	_, err := decoder.Token()
	require.NoError(t, err)
	for decoder.More() {
		key, err := decoder.Token()
		require.NoError(t, err)
		var raw json.RawMessage
		require.NoError(t, decoder.Decode(&raw))
		if key == name {
			return raw
		}
	}
	return nil
}
