package catalog

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var filterSeeds = []string{
	`{"data":{"amount":{"$gte":100,"$lt":1e400}}}`, `{"$or":[{"type":"debt.paid"},{"$not":{"data":{"tags":["a",{"b":null}]}}}]}`,
	`{"data":{"items":{"sku":{"$in":["a","b"]},"qty":{"$exists":false}}}}`, `{"user":{"name":{"$regex":"^a.*z$"}}}`,
	`{"data":{"$and":[{"a.b":1},{"#":{"$neq":-0}}]}}`, `{"time":{"$gt":"2025-04-01"},"livemode":true}`, `{}`, `{"data":`, `[]`,
}

func FuzzCompileFilter(f *testing.F) {
	for _, text := range filterSeeds {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		filter, err := CompileFilter(raw)
		if err != nil {
			var invalid *FilterError
			require.True(t, errors.As(err, &invalid))
			require.NotEmpty(t, invalid.Message)
			return
		}
		require.True(t, len(strings.TrimSpace(string(raw))) == 0 || json.Valid(raw), "what compiles is JSON")
		_, err = filter.Match(debtPaid(debtData))
		require.NoError(t, err)
	})
}

// FuzzFilterMatch: no payload makes a filter panic; one that is not JSON is an error; and a condition and its
// negation never agree.
func FuzzFilterMatch(f *testing.F) {
	for _, text := range filterSeeds {
		f.Add([]byte(text), []byte(debtData))
		f.Add([]byte(text), []byte(`[[{"a":"\u00"}],1e`))
	}
	f.Add([]byte(`{"data":{"a":{"a":1}}}`), []byte(strings.Repeat(`{"a":`, 300)))
	f.Fuzz(func(t *testing.T, raw, data []byte) {
		filter, err := CompileFilter(raw)
		if err != nil || filter == nil {
			return
		}
		ev := debtPaid(string(data))
		got, err := filter.Match(ev)
		if err != nil {
			require.False(t, got)
			require.True(t, errors.Is(err, ErrFilterData) || errors.Is(err, ErrFilterCost), err)
			return
		}
		negated, err := CompileFilter(json.RawMessage(`{"$not":` + string(raw) + `}`))
		if err != nil {
			return // one level or node too many
		}
		opposite, err := negated.Match(ev)
		require.NoError(t, err)
		require.NotEqual(t, got, opposite)
		again, err := filter.Match(ev)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}

// samplePayload has about the size of a usual event, 600 bytes.
var samplePayload = `{"id":"deb_7y3n9q","object":"debt","status":"paid","customer":"cus_8k2m4x","account_number":"ACC-20418","currency":"GBP",` +
	`"address":{"line1":"1 High Street","line2":"","city":"Leeds","postcode":"LS1 4AP"},"tags":["energy","north"],` +
	`"metadata":{"region":"north","segment":"retail","note":"first reminder sent, customer called back on Monday afternoon"},` +
	`"history":[{"at":"2025-03-01","status":"open"},{"at":"2025-03-14","status":"contacted"},{"at":"2025-03-20","status":"arranging"}],` +
	`"summary":{"amount_total":48250,"amount_paid":48250,"amount_remaining":0,"last_payment_at":"2025-04-01T09:29:58Z"}}`

func BenchmarkFilterMatch(b *testing.B) {
	for _, bench := range []struct{ name, filter string }{
		{"own-field", `{"type":"debt.paid"}`},
		{"nested-number", `{"data":{"summary":{"amount_paid":{"$gte":100}}}}`},
		{"four-fields", `{"data":{"status":"paid","currency":{"$in":["EUR","GBP"]},"tags":"north","metadata":{"region":{"$startsWith":"no"}}}}`},
		{"undecided-by-own-field", `{"type":"debt.closed","data":{"summary":{"amount_paid":{"$gte":100}}}}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			f, ev := mustCompile(b, bench.filter), debtPaid(samplePayload)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Match(ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFilterMatchReader is what one more filter on the same event costs.
func BenchmarkFilterMatchReader(b *testing.B) {
	f, r := mustCompile(b, `{"data":{"summary":{"amount_paid":{"$gte":100}}}}`), NewEventReader(debtPaid(samplePayload))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.MatchReader(r); err != nil {
			b.Fatal(err)
		}
	}
}

func TestFilterMatchAllocatesNothing(t *testing.T) {
	f, ev := mustCompile(t, `{"data":{"summary":{"amount_paid":{"$gte":100}},"tags":{"$in":["north"]}}}`), debtPaid(samplePayload)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if matched, err := f.Match(ev); err != nil || !matched {
			t.Fatal(matched, err)
		}
	}))
}
