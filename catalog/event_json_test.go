package catalog

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEvent_DataIsJSON(t *testing.T) {
	for depth, want := range map[int]bool{1: true, maxDataDepth / 2: true, maxDataDepth: true, maxDataDepth + 1: false, 5_000_000: false} {
		ev := &Event{Data: []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))}
		require.Equal(t, want, ev.DataIsJSON(), "depth %d", depth)
		ev.CheckData()
		require.Equal(t, want, ev.DataIsJSON(), "depth %d, checked", depth)
	}
	ev := &Event{Data: []byte(`{"a":`)}
	require.False(t, ev.DataIsJSON())
	ev.CheckData()
	require.False(t, ev.DataIsJSON(), "checked")
	require.True(t, (&Event{Data: []byte(`"` + strings.Repeat("[", maxDataDepth*2) + `"`)}).DataIsJSON(), "brackets inside a string nest nothing")
	require.True(t, (&Event{Data: []byte("[" + strings.Repeat("[],", maxDataDepth) + "{}]")}).DataIsJSON(), "many, but not deep")
}

// The quick validator must agree with encoding/json on everything.
func FuzzEvent_DataIsJSON(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `{}`, ` [1, 2.5e-3, "a\u0000\n", true, null] `, `{"a":{"b":[]},"a":1}`, `[1,]`, `{"a":1,}`, `nul`, `01`, `-`, `-0`, `1.`, `.5`,
		`1e`, `1E+400`, `+1`, `"`, "\"\x01\"", "\"\xff\"", "\ufeff1", `"\ud800"`, `"\x"`, `"\u12g4"`, `[1}`, `{1:2}`, "1\x00", `[[[[`, `{"":`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		require.Equal(t, json.Valid(data), (&Event{Data: data}).DataIsJSON(), "%q", data)
	})
}

// usualData is 600 B of JSON, the size of a usual event.
var usualData = []byte(`{"id":"deb_8JX2","amount":12345,"currency":"GBP","customer":{"id":"cus_1","name":"Ann"},"note":"` +
	strings.Repeat("x", 480) + `","items":[1,2]}`)

func BenchmarkEvent_DataIsJSON(b *testing.B) {
	b.Run("first", func(b *testing.B) {
		b.SetBytes(int64(len(usualData)))
		for b.Loop() {
			(&Event{Data: usualData}).DataIsJSON()
		}
	})
	b.Run("checked", func(b *testing.B) {
		ev := &Event{Data: usualData}
		ev.CheckData()
		for b.Loop() {
			ev.DataIsJSON()
		}
	})
}

// A filter on the payload is evaluated for each webhook that lists an event's type: it must not allocate.
func TestFilter_MatchAllocatesNothing(t *testing.T) {
	filter, err := CompileFilter([]byte(`{"type":"debt.paid","data":{"amount":{"$gte":100},"currency":{"$in":["GBP","EUR"]}}}`))
	require.NoError(t, err)
	ev := &Event{Type: "debt.paid", Data: usualData}
	reader := NewEventReader(ev)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if ok, err := filter.MatchReader(reader); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}))
}
