package relay

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func BenchmarkEncodeDelivery(b *testing.B) {
	d := sampleDelivery()
	b.ReportAllocs()
	for b.Loop() {
		EncodeDelivery(d)
	}
}

func BenchmarkDecodeDelivery(b *testing.B) {
	d := sampleDelivery()
	rec := &kgo.Record{Value: d.Event.Raw, Headers: EncodeDelivery(d)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeDelivery(rec); err != nil {
			b.Fatal(err)
		}
	}
}

// Extracting data from a record places it, and copies nothing.
func TestSpan_ExtractAllocatesNothing(t *testing.T) {
	ev := sampleDelivery().Event
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := ev.Span.Extract(ev.Raw); err != nil {
			t.Fatal(err)
		}
	}))
}
