package catalog

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompileFilterRefuses(t *testing.T) {
	for _, tt := range []struct{ filter, path, message string }{
		{`[]`, "", "not a JSON object"},
		{`"x"`, "", "not a JSON object"},
		{`{"data":`, "", "not valid JSON"},
		{`{} {}`, "", "not valid JSON"},
		{"{\"id\":\"\xff\"}", "", "UTF-8"},
		{`{"amount":1}`, "amount", `under "data"`},
		{`{"user":{"email":"x"}}`, "user.email", "no such field"},
		{`{"type":{"name":"x"}}`, "type.name", "no fields"},
		{`{"data":{"a":{"$gte":true}}}`, "data.a.$gte", "numbers with numbers"},
		{`{"data":{"a":{"$lt":null}}}`, "data.a.$lt", "numbers with numbers"},
		{`{"data":{"a":{"$like":"x"}}}`, "data.a.$like", "no such operator"},
		{`{"$exists":true}`, "$exists", "needs a field"},
		{`{"data":{"a":{"$exists":1}}}`, "data.a.$exists", "true or false"},
		{`{"data":{"a":{"$in":1}}}`, "data.a.$in", "list of values"},
		{`{"type":{"$in":["x",1]}}`, "type.$in[1]", "compare it with a string"},
		{`{"data":{"a":{"$startsWith":1}}}`, "data.a.$startsWith", "takes a string"},
		{`{"data":{"a":{"$regex":"("}}}`, "data.a.$regex", "not RE2"},
		{`{"data":{"a":{"$regex":"(?=x)"}}}`, "data.a.$regex", "not RE2"},
		{`{"data":{"a":{"$regex":"x{900}y{900}"}}}`, "data.a.$regex", "instructions"},
		{`{"data":{"a":{"$regex":"` + strings.Repeat("x", MaxRegexLength+1) + `"}}}`, "data.a.$regex", "longer than"},
		{`{"$or":{}}`, "$or", "list of conditions"},
		{`{"$or":[]}`, "$or", "empty"},
		{`{"$or":[{"type":"x"},{"nope":1}]}`, "$or[1].nope", "no such field"},
		{`{"$and":["x"]}`, "$and[0]", "an object"},
		{`{"$not":1}`, "$not", "an object"},
		{`{"user":"ann"}`, "user", "an object"},
		{`{"data":{"a":{}}}`, "data.a", "empty"},
		{`{"data":{"a":1,"a":2}}`, "data.a", "twice"},
		{`{"data":{"a":1,"\u0061":2}}`, "data.a", "twice"},
		{`{"data":{"a":{"$eq":{"b":1,"b":1}}}}`, "data.a.$eq.b", "twice"},
		{`{"data":{"a.b":{"$x":1}}}`, `data["a.b"].$x`, "no such operator"},
		{`{"livemode":"true"}`, "livemode", "true or false"},
		{`{"livemode":{"$gt":true}}`, "livemode.$gt", "numbers with numbers"},
		{`{"livemode":{"$regex":"t"}}`, "livemode.$regex", "not text"},
		{`{"time":1}`, "time", "takes a time"},
		{`{"time":{"$gt":"yesterday"}}`, "time.$gt", "takes a time"},
		{`{"time":{"$startsWith":"2025"}}`, "time.$startsWith", "not text"},
		{`{"data":{"a":1e99999999999999999999}}`, "data.a", "exponent"},
		{`{"data":{"a":{"$lt":1e-99999999999999999999}}}`, "data.a.$lt", "exponent"},
		{`{"data":` + strings.Repeat(`{"a":`, MaxFilterDepth) + `1` + strings.Repeat("}", MaxFilterDepth+1), "data" + strings.Repeat(".a", MaxFilterDepth-1), "deeper"},
		{`{"data":{"a":{"$eq":` + strings.Repeat("[", 60_000), "", "too deeply"},
		{strings.Repeat("[", 20_000), "", "too deeply"},
		{`{"data":{"a":{"$eq":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}}}`, "data.a.$eq" + strings.Repeat("[0]", 14), "deeper"},
		{`{"data":{"a":{"$in":[` + strings.Repeat("1,", MaxFilterNodes) + `1]}}}`, "data.a.$in[253]", "more than 256"},
		{strings.Repeat(" ", MaxFilterSize) + `{}`, "", "larger than"},
	} {
		_, err := CompileFilter(json.RawMessage(tt.filter))
		var invalid *FilterError
		require.ErrorAs(t, err, &invalid, tt.filter)
		require.Equal(t, tt.path, invalid.Path, tt.filter)
		require.Contains(t, invalid.Message, tt.message, tt.filter)
		require.Contains(t, invalid.Error(), tt.path)
	}
}

func TestCompileFilterAtItsLimits(t *testing.T) {
	for _, text := range []string{
		`{"data":` + strings.Repeat(`{"a":`, MaxFilterDepth-2) + `1` + strings.Repeat("}", MaxFilterDepth-1),
		`{"data":{"a":{"$in":[` + strings.Repeat("1,", MaxFilterNodes-4) + `1]}}}`,
		`{"data":{"a":{"$regex":"` + strings.Repeat("x", MaxRegexLength-10) + `"}}}`,
	} {
		f := mustCompile(t, text)
		_, err := f.Match(debtPaid(debtData))
		require.NoError(t, err)
	}
}

// TestCompiledFilterOwnsItsText: a webhook's JSON may be changed after its filter was compiled.
func TestCompiledFilterOwnsItsText(t *testing.T) {
	raw := json.RawMessage(`{"type":"debt.paid"}`)
	f, err := CompileFilter(raw)
	require.NoError(t, err)
	for i := range raw {
		raw[i] = 'x'
	}
	got, err := f.Match(debtPaid(debtData))
	require.NoError(t, err)
	require.True(t, got)
}

func ExampleCompileFilter() {
	f, err := CompileFilter(json.RawMessage(`{"type": {"$startsWith": "debt."}, "data": {"amount": {"$gte": 100}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, data := range []string{`{"amount": 501}`, `{"amount": 99.99}`, `{"amount": `} {
		wanted, err := f.Match(&Event{Type: "debt.paid", Data: []byte(data)})
		fmt.Println(wanted, err)
	}
	_, err = CompileFilter(json.RawMessage(`{"data": {"amount": {"$atLeast": 100}}}`))
	fmt.Println(err)
	// Output:
	// true <nil>
	// false <nil>
	// false the filter asks for data, and the event's data cannot be read as JSON: it is not valid JSON
	// filter: data.amount.$atLeast: there is no such operator
}
