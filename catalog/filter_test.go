package catalog

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const debtData = `{
  "amount": 501, "fee": 0.1, "big": 9007199254740993, "currency": "EUR", "note": null, "open": true, "empty": "",
  "tags": ["late", "vip", 7, null], "none": [], "matrix": [[1, 2], [3]],
  "debtor": {"name": "J\u00fcrgen \"J\" M\u00fcller", "address": {"zip": "10115"}},
  "items": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 5, "gift": true}],
  "a.b": 1, "#": 2, "@this": 3, "*": 4, "x\ty": 5, "twice": 1, "twice": 2
}`

func debtPaid(data string) *Event {
	return &Event{
		ID: "evt_1", Source: "/debts", Type: "debt.paid", Domain: "debt", Tenant: "acme", Office: "berlin",
		Time: time.Date(2025, 4, 1, 9, 30, 0, 500e6, time.UTC), TransactionID: "tx_9",
		User: User{Name: "ann", PoolID: "p1"}, Livemode: true, Data: []byte(data),
	}
}

func mustCompile(t testing.TB, text string) *Filter {
	t.Helper()
	f, err := CompileFilter(json.RawMessage(text))
	require.NoError(t, err, text)
	return f
}

func TestFilterMatch(t *testing.T) {
	for _, tt := range []struct {
		name       string
		match, not []string
	}{
		{"event fields",
			[]string{
				`{"type":"debt.paid"}`, `{"id":"evt_1","source":"/debts","domain":"debt","tenant":"acme","office":"berlin","transactionId":"tx_9"}`,
				`{"user":{"name":"ann","poolId":"p1"}}`, `{"user":{"$exists":true}}`, `{"livemode":true}`, `{"type":{"$startsWith":"debt."}}`,
				`{"subject":{"$exists":false}}`, `{"user":{"id":{"$exists":false}}}`, `{"office":{"$in":["paris","berlin"]}}`,
				`{"user":{"$not":{"name":"bob"}}}`,
			},
			[]string{
				`{"type":"debt.paid","tenant":"other"}`, `{"livemode":false}`, `{"user":{"originator":"x"}}`, `{"subject":"x"}`,
				`{"office":{"$nin":["berlin"]}}`, `{"user":{"$exists":false}}`,
			}},
		{"time is a point in time",
			[]string{
				`{"time":"2025-04-01T11:30:00.5+02:00"}`, `{"time":{"$gte":"2025-04-01"}}`, `{"time":{"$lt":"2025-04-01T09:30:01Z"}}`,
				`{"time":{"$gt":"2025-04-01T09:30:00Z","$lt":"2025-04-02"}}`, `{"time":{"$in":["2025-04-01T09:30:00.500Z"]}}`,
			},
			[]string{`{"time":{"$gt":"2025-04-02"}}`, `{"time":"2025-04-01"}`, `{"time":{"$exists":false}}`}},
		{"equality",
			[]string{
				`{"data":{"currency":"EUR"}}`, `{"data":{"amount":501.0}}`, `{"data":{"amount":5.01e2}}`, `{"data":{"open":true}}`,
				`{"data":{"note":null}}`, `{"data":{"empty":""}}`, `{"data":{"debtor":{"name":"Jürgen \"J\" Müller"}}}`,
				`{"data":{"debtor":{"address":{"$eq":{"zip":"10115"}}}}}`, `{"data":{"currency":{"$neq":"USD"}}}`,
			},
			[]string{
				`{"data":{"currency":"eur"}}`, `{"data":{"amount":"501"}}`, `{"data":{"open":1}}`, `{"data":{"missing":null}}`,
				`{"data":{"note":false}}`, `{"data":{"debtor":{"$eq":{}}}}`, `{"data":{"debtor":{"address":{"$eq":{"zip":"10115","city":null}}}}}`,
				`{"data":{"currency":{"$neq":"EUR"}}}`,
			}},
		{"numbers are exact",
			[]string{
				`{"data":{"big":9007199254740993}}`, `{"data":{"fee":0.1}}`, `{"data":{"fee":{"$lt":0.10000000000000000000001}}}`,
				`{"data":{"big":{"$lt":1e400}}}`, `{"data":{"big":{"$gt":-1e999999999}}}`,
			},
			[]string{`{"data":{"big":9007199254740992}}`, `{"data":{"fee":0.1000000000000000055511151231257827}}`, `{"data":{"big":{"$gt":1e999999999}}}`}},
		{"order",
			[]string{
				`{"data":{"amount":{"$gte":501,"$lte":501}}}`, `{"data":{"currency":{"$gt":"EU","$lt":"EV"}}}`, `{"type":{"$gte":"debt.paid"}}`,
			},
			[]string{
				`{"data":{"amount":{"$gt":501}}}`, `{"data":{"amount":{"$lt":501}}}`, `{"data":{"amount":{"$gt":"5"}}}`, `{"data":{"open":{"$gte":0}}}`,
				`{"data":{"missing":{"$lt":1}}}`, `{"data":{"note":{"$lt":1}}}`,
			}},
		{"text",
			[]string{
				`{"data":{"debtor":{"name":{"$startsWith":"Jür"}}}}`, `{"data":{"debtor":{"name":{"$endsWith":"ler"}}}}`,
				`{"data":{"debtor":{"name":{"$regex":"^J.*\"J\""}}}}`, `{"data":{"currency":{"$regex":"(?i)eu"}}}`, `{"type":{"$regex":"paid|settled"}}`,
			},
			[]string{`{"data":{"amount":{"$startsWith":"5"}}}`, `{"data":{"amount":{"$regex":"."}}}`, `{"data":{"currency":{"$regex":"^U"}}}`, `{"data":{"missing":{"$regex":""}}}`}},
		{"missing",
			[]string{
				`{"data":{"missing":{"$exists":false}}}`, `{"data":{"missing":{"$neq":1}}}`, `{"data":{"missing":{"$nin":[1]}}}`,
				`{"data":{"missing":{"$not":1}}}`, `{"data":{"note":{"$exists":true}}}`, `{"data":{"missing":{"deep":{"$exists":false}}}}`,
				`{"data":{"amount":{"deep":{"$exists":false}}}}`, `{"data":{"missing":{"$neq":null}}}`,
			},
			[]string{`{"data":{"missing":{"$exists":true}}}`, `{"data":{"note":{"$exists":false}}}`, `{"data":{"missing":{"deep":1}}}`, `{"data":{"note":{"$neq":null}}}`}},
		{"arrays: any element",
			[]string{
				`{"data":{"tags":"vip"}}`, `{"data":{"tags":7}}`, `{"data":{"tags":null}}`, `{"data":{"tags":["late","vip",7,null]}}`,
				`{"data":{"matrix":[[1,2],[3]]}}`, `{"data":{"matrix":[1,2]}}`, `{"data":{"tags":{"$startsWith":"la"}}}`, `{"data":{"tags":{"$in":["x","vip"]}}}`,
				`{"data":{"items":{"sku":"b","qty":{"$gt":4}}}}`, `{"data":{"items":{"gift":{"$exists":false}}}}`, `{"data":{"none":[]}}`,
				`{"data":{"none":{"sku":{"$exists":false}}}}`, `{"data":{"tags":{"$and":["vip","late"]}}}`,
			},
			[]string{
				`{"data":{"tags":["late"]}}`, `{"data":{"matrix":1}}`, `{"data":{"tags":{"$gt":7}}}`,
				`{"data":{"items":{"sku":"a","qty":{"$gt":4}}}}`, // not in one element
				`{"data":{"none":{"sku":"a"}}}`, `{"data":{"tags":{"$gte":7,"$lt":7}}}`,
			}},
		{"arrays: negation means no element",
			[]string{`{"data":{"tags":{"$neq":"x"}}}`, `{"data":{"tags":{"$nin":["x",8]}}}`, `{"data":{"tags":{"$not":{"$gt":7}}}}`, `{"data":{"items":{"$not":{"sku":"c"}}}}`},
			[]string{`{"data":{"tags":{"$neq":"vip"}}}`, `{"data":{"tags":{"$nin":["x",7]}}}`, `{"data":{"tags":{"$not":"late"}}}`, `{"data":{"items":{"$not":{"sku":"a"}}}}`}},
		{"combinations",
			[]string{
				`{"$or":[{"type":"x"},{"data":{"amount":501}}]}`, `{"$and":[{"type":"debt.paid"},{"data":{"amount":{"$gt":1}}}]}`,
				`{"type":"debt.paid","$not":{"data":{"amount":1}}}`, `{"data":{"amount":{"$or":[1,{"$gt":500}]}}}`,
				`{"data":{"$or":[{"amount":1},{"fee":0.1}],"currency":"EUR"}}`, `{"data":{"amount":{"$not":{"$not":501}}}}`, `{"data":{"amount":{"$in":[1,501]}}}`,
			},
			[]string{
				`{"$or":[{"type":"x"},{"data":{"amount":1}}]}`, `{"$and":[{"type":"debt.paid"},{"data":{"amount":1}}]}`, `{"$not":{"type":"debt.paid"}}`,
				`{"data":{"$or":[{"amount":501}],"currency":"USD"}}`, `{"data":{"amount":{"$in":[]}}}`,
			}},
		{"keys are literal",
			[]string{`{"data":{"a.b":1}}`, `{"data":{"#":2,"@this":3,"*":4}}`, `{"data":{"x\ty":5}}`, `{"data":{"x\u0009y":5}}`},
			[]string{`{"data":{"debtor.name":{"$exists":true}}}`, `{"data":{"a":{"b":1}}}`, `{"data":{"items.#.sku":{"$exists":true}}}`}},
		{"the last of a repeated key counts", []string{`{"data":{"twice":2}}`}, []string{`{"data":{"twice":1}}`}},
		{"more fields than the scratch holds",
			[]string{`{"data":{"amount":501,"fee":0.1,"big":9007199254740993,"currency":"EUR","note":null,"open":true,"empty":"","#":2,"*":4,"twice":2}}`},
			[]string{`{"data":{"amount":501,"fee":0.1,"big":9007199254740993,"currency":"EUR","note":null,"open":true,"empty":"","#":2,"*":4,"twice":1}}`}},
		{"no filter", []string{``, `null`, ` {} `, "\n"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for want, filters := range map[bool][]string{true: tt.match, false: tt.not} {
				for _, text := range filters {
					got, err := mustCompile(t, text).Match(debtPaid(debtData))
					require.NoError(t, err, text)
					require.Equal(t, want, got, text)
				}
			}
		})
	}
}

func TestFilterOnPayloadsThatAreNotObjects(t *testing.T) {
	for _, tt := range []struct {
		filter, data string
		want         bool
	}{
		{`{"data":5}`, ` 5 `, true},
		{`{"data":"x"}`, `"x"`, true},
		{`{"data":null}`, `null`, true},
		{`{"data":2}`, `[1,2]`, true},
		{`{"data":{"a":1}}`, `[{"a":2},{"a":1}]`, true},
		{`{"data":{"a":1}}`, `5`, false},
		{`{"data":{"$exists":false}}`, ``, true},
		{`{"data":{"$exists":false}}`, ` `, true},
		{`{"data":{"a":{"$exists":false}}}`, ``, true},
		{`{"data":null}`, ``, false},
		{`{"data":{"n":{"$gt":1e1000}}}`, `{"n":1e99999999999999999999999}`, true},
		{`{"data":{"n":{"$lt":1e-1000}}}`, `{"n":1e-99999999999999999999999}`, true},
		{`{"data":{"n":0}}`, `{"n":-0.000e5}`, true},
		{`{"data":{"s":"\ud83d\ude00"}}`, `{"s":"😀"}`, true},
		{`{"data":{"😀":1}}`, `{"\ud83d\ude00":1}`, true},
	} {
		got, err := mustCompile(t, tt.filter).Match(debtPaid(tt.data))
		require.NoError(t, err, tt.filter)
		require.Equal(t, tt.want, got, "%s on %s", tt.filter, tt.data)
	}
}

func TestFilterThatErrsIsNotANonMatch(t *testing.T) {
	for _, data := range []string{`{"amount":501`, `{"amount":501}}`, `hello`, `{"amount":01}`, "{\"a\":\"\n\"}", strings.Repeat("[", 1_000_000)} {
		for _, text := range []string{`{"data":{"amount":501}}`, `{"data":{"$not":{"amount":501}}}`, `{"$or":[{"type":"x"},{"data":{"a":1}}]}`} {
			got, err := mustCompile(t, text).Match(debtPaid(data))
			require.ErrorIs(t, err, ErrFilterData)
			require.False(t, got)
		}
		// What the event's own fields decide needs no payload.
		got, err := mustCompile(t, `{"data":{"amount":501},"type":"x"}`).Match(debtPaid(data))
		require.NoError(t, err)
		require.False(t, got)
		got, err = mustCompile(t, `{"$or":[{"data":{"amount":501}},{"type":"debt.paid"}]}`).Match(debtPaid(data))
		require.NoError(t, err)
		require.True(t, got)
	}
}

func TestFilterContentType(t *testing.T) {
	f := mustCompile(t, `{"data":{"amount":501}}`)
	for contentType, readable := range map[string]bool{
		"": true, "application/json": true, "application/json; charset=utf-8": true, "Application/JSON": true,
		"application/vnd.acme+json": true, "text/json": true, "application/xml": false, "text/plain": false,
		"application/octet-stream": false, ";": true,
	} {
		ev := debtPaid(debtData)
		ev.DataContentType = contentType
		got, err := f.Match(ev)
		require.Equal(t, readable, got, contentType)
		if !readable {
			require.ErrorIs(t, err, ErrFilterData)
		}
	}
}

func TestFilterDeepPayload(t *testing.T) {
	deep := strings.Repeat(`{"a":`, maxDataDepth-1) + "1" + strings.Repeat("}", maxDataDepth-1)
	got, err := mustCompile(t, `{"data":{"a":{"a":{"$exists":true}}}}`).Match(debtPaid(deep))
	require.NoError(t, err)
	require.True(t, got)

	brackets := `{"a":"` + strings.Repeat("[", 2*maxDataDepth) + `"}` // text is not nesting
	got, err = mustCompile(t, `{"data":{"a":{"$exists":true}}}`).Match(debtPaid(brackets))
	require.NoError(t, err)
	require.True(t, got)
}

func TestFilterRegexTextIsBounded(t *testing.T) {
	f := mustCompile(t, `{"data":{"s":{"$regex":"b$"}}}`)
	_, err := f.Match(debtPaid(`{"s":"` + strings.Repeat("a", MaxRegexText+1) + `"}`))
	require.ErrorIs(t, err, ErrFilterCost)
	got, err := f.Match(debtPaid(`{"s":"` + strings.Repeat("a", MaxRegexText) + `"}`))
	require.NoError(t, err)
	require.False(t, got)
}

func TestEventReaderServesManyFilters(t *testing.T) {
	r := NewEventReader(debtPaid(debtData))
	for text, want := range map[string]bool{`{"data":{"amount":501}}`: true, `{"data":{"amount":1}}`: false, `{"type":"debt.paid"}`: true, ``: true} {
		got, err := mustCompile(t, text).MatchReader(r)
		require.NoError(t, err)
		require.Equal(t, want, got, text)
	}
	broken := NewEventReader(debtPaid(`{"amount":`))
	for range 2 {
		_, err := mustCompile(t, `{"data":{"amount":501}}`).MatchReader(broken)
		require.ErrorIs(t, err, ErrFilterData, "each filter learns of it")
	}
	got, err := mustCompile(t, `{"type":"debt.paid"}`).MatchReader(broken)
	require.NoError(t, err)
	require.True(t, got)
}
