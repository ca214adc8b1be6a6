package envelope_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/relay/intake/envelope"
)

func TestMappingsOfTheOperator(t *testing.T) {
	d := newDecoder(t,
		envelope.Mapping{
			Name: "other topic", Topics: []string{"claim"}, Type: "kind", Data: "",
		},
		envelope.Mapping{
			Name: "nested", Required: []string{"/a~1b/0/x~0y"}, Literals: map[string]string{"/meta/v": "2"},
			Type: "/a~1b/0/x~0y", ID: "header:message-id", Data: "/a~1b/1", Tenant: "/meta/org", Livemode: "/meta/live",
		},
		envelope.Mapping{Name: "by header", Required: []string{"header:event-type"}, Type: "header:event-type"},
	)
	ev, err := d.Decode(record(`{"meta":{"v":2,"org":"acme","live":false},"a/b":[{"x~y":"debt.paid"}, [1, 2]]}`, "message-id", "m-1"))
	require.NoError(t, err)
	require.Equal(t, "debt.paid", ev.Type)
	require.Equal(t, "m-1", ev.ID)
	require.Equal(t, "acme", ev.Tenant)
	require.False(t, ev.Livemode)
	require.Equal(t, "[1, 2]", string(ev.Data))

	ev, err = d.Decode(record(" [1,2]\n", "event-type", "debt.list"))
	require.NoError(t, err)
	require.Equal(t, "debt.list", ev.Type)
	require.Equal(t, "[1,2]", string(ev.Data))

	requireRejected(t, d, record(`{"kind":"k","a/b":[]}`), envelope.ReasonNoEnvelope)
	requireRejected(t, d, record(`{"meta":{"v":3},"a/b":[{"x~y":"debt.paid"}]}`), envelope.ReasonNoEnvelope)
	requireRejected(t, d, record(`{"meta":7,"a/b":{"0":{"x~y":"debt.paid"}}}`), envelope.ReasonNoEnvelope)
	requireRejected(t, d, record(`{}`, "event-type", "a\nb"), envelope.ReasonBadAttribute)

	rec := record(`{"kind":"claim.open","x":1}`)
	rec.Topic = "claim"
	ev, err = d.Decode(rec)
	require.NoError(t, err)
	require.Equal(t, "claim.open", ev.Type)
}

func TestArrayIndexesAreExact(t *testing.T) {
	for pointer, want := range map[string]bool{"/l/0": true, "/l/1": true, "/l/2": false, "/l/01": false, "/l/-": false, "/l/+1": false, "/l/-0": false} {
		d := newDecoder(t, envelope.Mapping{Name: "m", Type: pointer})
		_, err := d.Decode(record(`{"l":["a","b"]}`))
		require.Equal(t, want, err == nil, pointer)
	}
}

func TestMappingsThatCannotBe(t *testing.T) {
	var many []envelope.Mapping
	for i := range 80 {
		many = append(many, envelope.Mapping{Name: "m", Type: fmt.Sprintf("type%d", i)})
	}
	for want, mappings := range map[string][]envelope.Mapping{
		`mapping without a name`:                                                 {{Type: "type"}},
		`mapping "m": type is missing`:                                           {{Name: "m"}},
		`mapping "m": type: "/a~2" is not a JSON pointer`:                        {{Name: "m", Type: "/a~2"}},
		`mapping "m": type: "header:" names no header`:                           {{Name: "m", Type: "header:"}},
		`mapping "m": data: data is taken from the value`:                        {{Name: "m", Type: "type", Data: "header:x"}},
		`mapping "m": required: a place is empty`:                                {{Name: "m", Type: "type", Required: []string{""}}},
		`mapping "m": literals: "/~" is not a JSON pointer`:                      {{Name: "m", Type: "type", Literals: map[string]string{"/~": "x"}}},
		`mapping "m": type: the mappings look at more than 64 different top-lev`: many,
	} {
		_, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: 1, Mappings: mappings})
		require.ErrorContains(t, err, want)
	}
	_, err := envelope.NewDecoder(envelope.Options{})
	require.ErrorContains(t, err, "at least one byte")
}
