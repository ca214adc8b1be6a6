package envelope_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/relay/intake/envelope"
)

// BenchmarkDecode measures one event of 606 B, in three ways in.
func BenchmarkDecode(b *testing.B) {
	const size = 606
	standard := `{"type":"debt.paid","id":"evt_1","timestamp":"2026-01-02T03:04:05Z","data":%s}`
	structured := `{"specversion":"1.0","type":"debt.paid","id":"evt_1","source":"/crm","time":"2026-01-02T03:04:05Z","data":%s}`
	data := func(length int) string {
		text := `{"id":"dbt_1","amount":125050,"currency":"GBP","tags":["energy","water"],"customer":{"name":"Ada","city":"Leeds"},"note":"%s"}`
		return fmt.Sprintf(text, strings.Repeat("n", length-len(text)+2))
	}
	for _, bench := range []struct {
		name, value string
		headers     []string
	}{
		{"plain", fmt.Sprintf(standard, data(size-len(standard)+2)), nil},
		{"binary", data(size), []string{
			"ce_specversion", "1.0", "ce_type", "debt.paid", "ce_source", "/crm", "ce_id", "evt_1", "ce_time", "2026-01-02T03:04:05Z",
		}},
		{"structured", fmt.Sprintf(structured, data(size-len(structured)+2)), []string{"content-type", "application/cloudevents+json"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			d, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: testMaxBytes})
			require.NoError(b, err)
			rec := record(bench.value, bench.headers...)
			require.Len(b, rec.Value, size)
			b.ReportAllocs()
			b.SetBytes(size)
			for b.Loop() {
				if _, err := d.Decode(rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
