package envelope_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/intake/envelope"
)

const structuredType = "application/cloudevents+json"

func TestBinaryMode(t *testing.T) {
	// The example of the Kafka protocol binding, with this relay's extensions.
	rec := record(`{ "application data": 1.0 }`,
		"ce_specversion", "1.0", "ce_type", "com.example.someevent", "ce_source", "/mycontext/subcontext", "ce_id", "1234-1234-1234",
		"ce_time", "2018-04-05T03:56:24+02:00", "ce_subject", "s-1", "content-type", "application/avro",
		"ce_tenant", "acme", "ce_office", "north", "ce_transactionid", "tx", "ce_username", "José", "ce_userid", "u", "ce_userpoolid", "p",
		"ce_useroriginator", "ClientAPI", "ce_livemode", "false", "unrelated", "\x00\xff",
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate", "congo=t61rcWkgMzE")
	ev := decode(t, rec)
	require.Equal(t, &catalog.Event{
		ID: "1234-1234-1234", Source: "/mycontext/subcontext", Type: "com.example.someevent", Domain: "debt", Tenant: "acme", Office: "north",
		Subject: "s-1", Time: time.Date(2018, 4, 5, 1, 56, 24, 0, time.UTC), TimeText: "2018-04-05T03:56:24+02:00", TransactionID: "tx",
		User: catalog.User{Name: "José", ID: "u", PoolID: "p", Originator: "ClientAPI"}, Livemode: false, DataContentType: "application/avro",
		Data: rec.Value, Raw: rec.Value, Span: catalog.Span{To: len(rec.Value)},
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "congo=t61rcWkgMzE",
	}, ev)
}

func TestBinaryModeMinimum(t *testing.T) {
	ev := decode(t, record("", "ce_type", "debt.paid"))
	require.Empty(t, ev.Data)
	require.Equal(t, recordTime, ev.Time)
	require.Equal(t, "/relay/debt", ev.Source)
	require.Equal(t, catalog.DefaultTenant, ev.Tenant)
	require.True(t, ev.Livemode)

	ev = decode(t, record("\x00\xff not JSON", "ce_type", "debt.paid", "ce_type", "second", "ce_id", "", "ce_id", "not empty"))
	require.Equal(t, "debt.paid", ev.Type)
	require.Equal(t, "not empty", ev.ID)
}

func TestStructuredMode(t *testing.T) {
	// The example of the JSON event format.
	value := `{
    "specversion" : "1.0",
    "type" : "com.example.someevent",
    "source" : "/mycontext",
    "subject": null,
    "id" : "C234-1234-1234",
    "time" : "2018-04-05T17:31:00Z",
    "comexampleextension1" : "value",
    "comexampleothervalue" : 5,
    "datacontenttype" : "application/json",
    "transactionid": "tx", "tenant": "acme", "userid": 42, "livemode": false,
    "data" : {
        "appinfoA" : "abc",
        "appinfoB" : 123,
        "appinfoC" : true
    }
}`
	for _, contentType := range []string{structuredType, "application/cloudevents+json; charset=UTF-8", "Application/CloudEvents+JSON"} {
		rec := record(value, "Content-Type", contentType, "ce_type", "the value says it", "ce_office", "north")
		ev := decode(t, rec)
		require.Equal(t, &catalog.Event{
			ID: "C234-1234-1234", Source: "/mycontext", Type: "com.example.someevent", Domain: "debt", Tenant: "acme", Office: "north",
			Time: time.Date(2018, 4, 5, 17, 31, 0, 0, time.UTC), TimeText: "2018-04-05T17:31:00Z", TransactionID: "tx",
			User: catalog.User{ID: "42"}, DataContentType: "application/json", Raw: rec.Value, Data: ev.Data, Span: ev.Span,
		}, ev)
		require.True(t, strings.HasPrefix(string(ev.Data), "{\n        \"appinfoA\""))
		require.True(t, strings.HasSuffix(string(ev.Data), "true\n    }"))
	}
}

func TestStructuredData(t *testing.T) {
	for name, tc := range map[string]struct {
		members string
		data    string
		span    catalog.Span
	}{
		"absent":                {`"a":1`, "", catalog.Span{}},
		"null":                  {`"data":null`, "null", catalog.Span{From: 19, To: 23}},
		"JSON text":             {`"data":"x"`, `"x"`, catalog.Span{From: 19, To: 22}},
		"JSON by suffix":        {`"data":"x","datacontenttype":"application/vnd.x+json; a=b"`, `"x"`, catalog.Span{From: 19, To: 22}},
		"text of another type":  {`"data":"<a/>","datacontenttype":"text/xml"`, `<a/>`, catalog.Span{From: 20, To: 24}},
		"object of another":     {`"data":{},"datacontenttype":"text/xml"`, `{}`, catalog.Span{From: 19, To: 21}},
		"base64":                {`"data_base64":"AAH/"`, "\x00\x01\xff", catalog.Span{From: 27, To: 31, Base64: true}},
		"base64, padded":        {`"data_base64":"AA=="`, "\x00", catalog.Span{From: 27, To: 31, Base64: true}},
		"base64, empty":         {`"data_base64":""`, "", catalog.Span{From: 27, To: 27, Base64: true}},
		"base64 null with data": {`"data":1,"data_base64":null`, "1", catalog.Span{From: 19, To: 20}},
	} {
		t.Run(name, func(t *testing.T) {
			ev := decode(t, record(`{"type":"t",`+tc.members+`}`, "content-type", structuredType))
			require.Equal(t, tc.data, string(ev.Data))
			require.Equal(t, tc.span, ev.Span)
		})
	}
}

func TestCloudEventRejections(t *testing.T) {
	deep := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("[", envelope.MaxDepth+1)))
	for name, tc := range map[string]struct {
		value   string
		headers []string
		want    envelope.Reason
	}{
		"old version":              {`{}`, []string{"ce_type", "t", "ce_specversion", "0.3"}, envelope.ReasonBadCloudEvent},
		"binary without type":      {`{}`, []string{"ce_specversion", "1.0", "ce_id", "1"}, envelope.ReasonNoType},
		"line break in type":       {`{}`, []string{"ce_type", "a\r\nX-Evil: 1"}, envelope.ReasonBadHeader},
		"type not UTF-8":           {`{}`, []string{"ce_type", "a\xff"}, envelope.ReasonBadHeader},
		"type with a space":        {`{}`, []string{"ce_type", "a b"}, envelope.ReasonBadAttribute},
		"type too long":            {`{}`, []string{"ce_type", strings.Repeat("t", envelope.MaxTypeBytes+1)}, envelope.ReasonBadAttribute},
		"tenant too long":          {`{}`, []string{"ce_type", "t", "ce_tenant", strings.Repeat("t", 2000)}, envelope.ReasonBadHeader},
		"tenant on plain JSON":     {`{"type":"t","data":1}`, []string{"ce_tenant", "a\x7f"}, envelope.ReasonBadHeader},
		"time":                     {`{}`, []string{"ce_type", "t", "ce_time", "noon"}, envelope.ReasonBadHeader},
		"livemode":                 {`{}`, []string{"ce_type", "t", "ce_livemode", "1"}, envelope.ReasonBadHeader},
		"content type":             {`{}`, []string{"ce_type", "t", "content-type", "a\nb"}, envelope.ReasonBadHeader},
		"batch":                    {`[]`, []string{"content-type", "application/cloudevents-batch+json"}, envelope.ReasonBadCloudEvent},
		"Avro event format":        {`x`, []string{"content-type", "application/cloudevents+avro"}, envelope.ReasonBadCloudEvent},
		"structured, not JSON":     {`x`, []string{"content-type", structuredType}, envelope.ReasonNotJSON},
		"structured, empty":        {``, []string{"content-type", structuredType}, envelope.ReasonNotJSON},
		"structured, array":        {`[]`, []string{"content-type", structuredType}, envelope.ReasonNoType},
		"structured, no type":      {`{"specversion":"1.0"}`, []string{"content-type", structuredType}, envelope.ReasonNoType},
		"structured, type null":    {`{"type":null}`, []string{"content-type", structuredType}, envelope.ReasonNoType},
		"structured, type empty":   {`{"type":""}`, []string{"content-type", structuredType}, envelope.ReasonNoType},
		"structured, type object":  {`{"type":{}}`, []string{"content-type", structuredType}, envelope.ReasonBadAttribute},
		"structured, version":      {`{"type":"t","specversion":"2.0"}`, []string{"content-type", structuredType}, envelope.ReasonBadCloudEvent},
		"structured, version list": {`{"type":"t","specversion":[]}`, []string{"content-type", structuredType}, envelope.ReasonBadAttribute},
		"structured, media type":   {`{"type":"t","datacontenttype":[]}`, []string{"content-type", structuredType}, envelope.ReasonBadAttribute},
		"structured, time":         {`{"type":"t","time":"noon"}`, []string{"content-type", structuredType}, envelope.ReasonBadAttribute},
		"both kinds of data":       {`{"type":"t","data":1,"data_base64":"AA=="}`, []string{"content-type", structuredType}, envelope.ReasonBadCloudEvent},
		"base64 a number":          {`{"type":"t","data_base64":1}`, []string{"content-type", structuredType}, envelope.ReasonBadCloudEvent},
		"base64 with escapes":      {`{"type":"t","data_base64":"AA\u003d="}`, []string{"content-type", structuredType}, envelope.ReasonBadCloudEvent},
		"base64 not":               {`{"type":"t","data_base64":"A"}`, []string{"content-type", structuredType}, envelope.ReasonBadCloudEvent},
		"base64 deep":              {`{"type":"t","data_base64":"` + deep + `"}`, []string{"content-type", structuredType}, envelope.ReasonTooDeep},
		"escaped XML":              {`{"type":"t","data":"<a b=\"\"/>","datacontenttype":"text/xml"}`, []string{"content-type", structuredType}, envelope.ReasonBadCloudEvent},
	} {
		t.Run(name, func(t *testing.T) {
			rejected := requireRejected(t, newDecoder(t), record(tc.value, tc.headers...), tc.want)
			require.NotContains(t, rejected.Error(), "Evil")
		})
	}
}

func TestTraceContext(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, tc := range map[string]struct{ parent, state, wantParent, wantState string }{
		"both":                  {good, "a=b,c=d", good, "a=b,c=d"},
		"no parent":             {"", "a=b", "", ""},
		"upper case":            {strings.ToUpper(good), "", "", ""},
		"forbidden version":     {"ff" + good[2:], "", "", ""},
		"trace id zero":         {"00-00000000000000000000000000000000-b7ad6b7169203331-01", "", "", ""},
		"parent id zero":        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", "", "", ""},
		"too long":              {good + "-", "", "", ""},
		"separators":            {strings.ReplaceAll(good, "-", "_"), "", "", ""},
		"line break":            {good[:54] + "\n", "a=b", "", ""},
		"state too long":        {good, strings.Repeat("a", 513), good, ""},
		"state with line break": {good, "a=b\r\nX-Evil: 1", good, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ev := decode(t, record(`{"type":"t","data":1}`, "traceparent", tc.parent, "tracestate", tc.state))
			require.Equal(t, tc.wantParent, ev.TraceParent)
			require.Equal(t, tc.wantState, ev.TraceState)
		})
	}
}
