package catalog

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestExplainFilter(t *testing.T) {
	ev := &Event{ID: "e1", Type: "debt.paid", Domain: "debt", Tenant: DefaultTenant, Office: "north", Livemode: true,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), User: User{Name: "ann"},
		Data: []byte(`{"amount":12.50,"tags":["a","b"],"items":[{"sku":"x","qty":1},{"sku":"y","qty":2}],"none":null,"deep":{"er":true}}`)}
	long := strings.Repeat("ä", 300)
	for _, c := range []struct {
		name, filter string
		want         *Mismatch
	}{
		{"no filter", ``, nil},
		{"holds", `{"data":{"amount":{"$gte":12.5}}}`, nil},
		{"a number", `{"data":{"amount":{"$gte":100}}}`, &Mismatch{Path: "data.amount", Operator: "$gte", Operand: "100", Found: "12.50"}},
		{"a mere value", `{"type":"debt.created"}`, &Mismatch{Path: "type", Operator: "$eq", Operand: `"debt.created"`, Found: `"debt.paid"`}},
		{"the second operator", `{"data":{"amount":{"$gt":1,"$lt":10}}}`, &Mismatch{Path: "data.amount", Operator: "$lt", Operand: "10", Found: "12.50"}},
		{"missing", `{"data":{"nothing":{"$startsWith":"a"}}}`, &Mismatch{Path: "data.nothing", Operator: "$startsWith", Operand: `"a"`}},
		{"null", `{"data":{"none":1}}`, &Mismatch{Path: "data.none", Operator: "$eq", Operand: "1", Found: "null"}},
		{"exists", `{"data":{"amount":{"$exists":false}}}`, &Mismatch{Path: "data.amount", Operator: "$exists", Operand: "false", Found: "12.50"}},
		{"own fields before data", `{"data":{"amount":1},"office":"south"}`, &Mismatch{Path: "office", Operator: "$eq", Operand: `"south"`, Found: `"north"`}},
		{"time", `{"time":{"$gt":"2026-02-01"}}`, &Mismatch{Path: "time", Operator: "$gt", Operand: `"2026-02-01"`, Found: `"2026-01-02T03:04:05Z"`}},
		{"livemode", `{"livemode":false}`, &Mismatch{Path: "livemode", Operator: "$eq", Operand: "false", Found: "true"}},
		{"user", `{"user":{"name":{"$regex":"^b"}}}`, &Mismatch{Path: "user.name", Operator: "$regex", Operand: `"^b"`, Found: `"ann"`}},
		{"elements", `{"data":{"tags":{"$in":["c"]}}}`, &Mismatch{Path: "data.tags", Operator: "$in", Operand: `["c"]`, Found: `["a","b"]`, Elements: 2}},
		{"together", `{"data":{"tags":{"$gt":"a","$lt":"b"}}}`, &Mismatch{Path: "data.tags", Operator: "$lt", Operand: `"b"`, Found: `["a","b"]`, Elements: 2}},
		{"none of", `{"data":{"tags":{"$nin":["a"]}}}`, &Mismatch{Path: "data.tags", Operator: "$nin", Operand: `["a"]`, Found: `["a","b"]`}},
		{"fields of one element", `{"data":{"items":{"sku":"x","qty":2}}}`, &Mismatch{Path: "data.items.qty", Operator: "$eq", Operand: "2", Found: "1", Elements: 2}},
		{"and", `{"$and":[{"type":"debt.paid"},{"data":{"deep":{"er":false}}}]}`, &Mismatch{Path: "$and[1].data.deep.er", Operator: "$eq", Operand: "false", Found: "true"}},
		{"or", `{"$or":[{"type":"x"},{"data":{"amount":1}}]}`, &Mismatch{Operator: "$or", Operand: `[{"type":"x"},{"data":{"amount":1}}]`, Alternatives: []Mismatch{
			{Path: "$or[0].type", Operator: "$eq", Operand: `"x"`, Found: `"debt.paid"`},
			{Path: "$or[1].data.amount", Operator: "$eq", Operand: "1", Found: "12.50"}}}},
		{"not", `{"data":{"$not":{"amount":12.5}}}`, &Mismatch{Path: "data", Operator: "$not", Operand: `{"amount":12.5}`, Found: abridge(string(ev.Data))}},
		{"an odd key", `{"data":{"a.b":1}}`, &Mismatch{Path: `data["a.b"]`, Operator: "$eq", Operand: "1"}},
		{"a long operand", `{"type":"` + long + `"}`, &Mismatch{Path: "type", Operator: "$eq", Operand: `"` + strings.Repeat("ä", 127) + "…", Found: `"debt.paid"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ExplainFilter(json.RawMessage(c.filter), ev)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestExplainFilter_ErrorsAreThoseOfMatching(t *testing.T) {
	_, err := ExplainFilter(json.RawMessage(`{"data":{"a":1}}`), &Event{Data: []byte(`{"a":`)})
	require.ErrorIs(t, err, ErrFilterData)
	_, err = ExplainFilter(json.RawMessage(`{"$oops":1}`), &Event{})
	require.ErrorAs(t, err, new(*FilterError))
}

// FuzzExplainFilter: an explanation is given exactly when the filter does not match, and it names a place of the filter.
func FuzzExplainFilter(f *testing.F) {
	for _, text := range filterSeeds {
		f.Add([]byte(text), []byte(debtData))
		f.Add([]byte(text), []byte(`[[{"a":"\u00"}],1e`))
	}
	f.Add([]byte(`{"$or":[{"data":{"$and":[{"a":{"$not":{"b":1}}}]}}]}`), []byte(`{"a":[{"b":1},{"b":2}]}`))
	f.Fuzz(func(t *testing.T, raw, data []byte) {
		filter, err := CompileFilter(raw)
		if err != nil {
			return
		}
		ev := debtPaid(string(data))
		want, wantErr := filter.Match(ev)
		got, err := ExplainFilter(raw, ev)
		if wantErr != nil {
			require.Error(t, err)
			require.Equal(t, errors.Is(wantErr, ErrFilterData), errors.Is(err, ErrFilterData))
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, got == nil)
		if got != nil {
			require.NotEmpty(t, got.Operator)
			require.NotEmpty(t, got.Operand)
		}
	})
}
