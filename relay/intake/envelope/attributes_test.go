package envelope

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
)

func TestJSONLengthIsNeverTooSmall(t *testing.T) {
	for _, text := range []string{"", "plain", `<>&"\`, "\u2028\u2029", "é€😀\uFFFD", strings.Repeat("<", 100), "\u2030"} {
		encoded, err := json.Marshal(text)
		require.NoError(t, err)
		require.GreaterOrEqual(t, jsonLength(text), len(encoded)-len(`""`), text)
	}
}

// TestAttributesFitIntoOurRecords seals the largest events that are accepted and writes them as a retry record does.
func TestAttributesFitIntoOurRecords(t *testing.T) {
	for _, char := range []string{"a", "<", `"`, "\u2028", "é"} {
		text := strings.Repeat(char, MaxAttributeBytes/len(char))
		fields := []func(*catalog.Event){
			func(e *catalog.Event) { e.ID = text }, func(e *catalog.Event) { e.Source = text }, func(e *catalog.Event) { e.Subject = text },
			func(e *catalog.Event) { e.Tenant = text }, func(e *catalog.Event) { e.Office = text }, func(e *catalog.Event) { e.TimeText = text },
			func(e *catalog.Event) { e.TransactionID = text }, func(e *catalog.Event) { e.User.Name = text },
			func(e *catalog.Event) { e.User.ID = text }, func(e *catalog.Event) { e.User.PoolID = text },
			func(e *catalog.Event) { e.User.Originator = text }, func(e *catalog.Event) { e.DataContentType = text },
		}
		accepted := 0
		for n := range fields {
			ev := &catalog.Event{Type: "debt.paid", Raw: []byte("{}")}
			for _, set := range fields[:n+1] {
				set(ev)
			}
			if seal(ev) != nil {
				break
			}
			accepted++
			size := 0
			for _, header := range relay.EncodeDelivery(&relay.Delivery{Event: ev}) {
				size += len(header.Key) + len(header.Value)
			}
			require.Less(t, size, relay.EnvelopeBytes/2)
		}
		require.GreaterOrEqual(t, accepted, 2, char)
	}
}

func TestModeIsDecidedByTheHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		contentType, typ, version string
		want                      mode
	}{
		"nothing":                 {"", "", "", modePlain},
		"JSON":                    {"application/json", "", "", modePlain},
		"type":                    {"application/json", "t", "", modeBinary},
		"version":                 {"", "", "1.0", modeBinary},
		"structured":              {" application/cloudevents+json ; charset=utf-8", "", "", modeStructured},
		"structured wins":         {"application/cloudevents+json", "t", "1.0", modeStructured},
		"format left out":         {"application/cloudevents", "", "", modeStructured},
		"batch":                   {"application/cloudevents-batch+json", "t", "", modeUnsupported},
		"batch, format left out":  {"application/cloudevents-batch", "", "", modeUnsupported},
		"Protobuf":                {"application/cloudevents+protobuf", "t", "", modeUnsupported},
		"merely begins like that": {"application/cloudeventsx", "", "", modePlain},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, modeOf(&headers{contentType: tc.contentType, typ: tc.typ, specVersion: tc.version}))
		})
	}
}

func TestFirstOfEqualHeadersCounts(t *testing.T) {
	h, err := readHeaders(&kgo.Record{Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte("abc")}, {Key: "ce_id", Value: []byte("second")}}})
	require.NoError(t, err)
	require.Equal(t, "abc", h.id)
}
