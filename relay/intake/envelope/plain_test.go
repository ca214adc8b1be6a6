package envelope_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/intake/envelope"
)

func TestDocumentedPayloads(t *testing.T) {
	for name, tc := range map[string]struct {
		value string
		want  catalog.Event // the fields that the table compares
		data  string
	}{
		"ophelos": {
			`{"id":"evt_1","object":"event","type":"debt.paid","data":{"id":"d"},"created_at":"2026-01-02T03:04:05Z","livemode":false}`,
			catalog.Event{Type: "debt.paid", ID: "evt_1"}, `{"id":"d"}`,
		},
		"socotra": {
			`{"id":"5","timestamp":"1767323045000","data":{"a":1},"transactionId":"tx","type":"claim.open","username":"alice"}`,
			catalog.Event{Type: "claim.open", ID: "5", TransactionID: "tx", User: catalog.User{Name: "alice"}, Livemode: true}, `{"a":1}`,
		},
		"socotra without a user": {
			`{"id":"5","timestamp":"1767323045000","data":{},"transactionId":"tx","type":"claim.open","username":null}`,
			catalog.Event{Type: "claim.open", ID: "5", TransactionID: "tx", Livemode: true}, `{}`,
		},
		"donutwork": {
			`{"id":17,"event":"RecurringPayments.charge.paid","created":1767323045,"data":{"amount":"9.90"}}`,
			catalog.Event{Type: "RecurringPayments.charge.paid", ID: "17", Livemode: true}, `{"amount":"9.90"}`,
		},
		"ocelot": {
			" {\"name\":\"IncomingSms.received\",\"eventId\":\"e\",\"to\":\"1\",\"dateTime\":\"2019-08-24T14:15:22Z\"}\n",
			catalog.Event{Type: "IncomingSms.received", ID: "e", Livemode: true},
			`{"name":"IncomingSms.received","eventId":"e","to":"1","dateTime":"2019-08-24T14:15:22Z"}`,
		},
		"receeve, as delivered": {
			`{"payload":{"details":{"messageType":"event.claim.created.v1","amount":501},"messageId":"09fe","timestamp":"2021-10-14T15:33:16.848Z",
			 "user":{"id":"U","poolId":"P","originator":"ClientAPI"}},"signature":"S","payloadAsString":"P"}`,
			catalog.Event{Type: "event.claim.created.v1", ID: "09fe", User: catalog.User{ID: "U", PoolID: "P", Originator: "ClientAPI"}, Livemode: true},
			`{"messageType":"event.claim.created.v1","amount":501}`,
		},
		"receeve, bare": {
			`{"details":{"messageType":"event.claim.created.v1"},"messageId":"09fe","timestamp":"2021-10-14T15:33:16.848Z"}`,
			catalog.Event{Type: "event.claim.created.v1", ID: "09fe", Livemode: true}, `{"messageType":"event.claim.created.v1"}`,
		},
		"cloudevent without its content type": {
			`{"specversion":"1.0","id":"1","source":"/s","type":"debt.paid","time":"2026-01-02T03:04:05Z","subject":"d","tenant":"acme","office":"o",
			 "transactionid":"tx","username":"n","userid":"i","userpoolid":"p","useroriginator":"g","livemode":false,"data":[]}`,
			catalog.Event{
				Type: "debt.paid", ID: "1", Subject: "d", Office: "o", TransactionID: "tx",
				User: catalog.User{Name: "n", ID: "i", PoolID: "p", Originator: "g"},
			}, `[]`,
		},
		"standard": {
			`{"type":"debt.paid","timestamp":"2026-01-02T03:04:05Z","data":{"a":1}}`, catalog.Event{Type: "debt.paid", Livemode: true}, `{"a":1}`,
		},
		"standard with an escaped key and type": {
			`{"\u0074ype":"debt.p\u0061id","d\u0061ta":7}`, catalog.Event{Type: "debt.paid", Livemode: true}, `7`,
		},
		"of equal keys the first counts": {
			`{"type":"first","type":"second","data":1,"data":2,"id":"a","id":"b"}`, catalog.Event{Type: "first", ID: "a", Livemode: true}, `1`,
		},
		"a mapping fits only where the type is a string": {
			`{"id":"1","event":{"k":1},"created":1,"type":"debt.paid","data":{}}`, catalog.Event{Type: "debt.paid", ID: "1", Livemode: true}, `{}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			ev := decode(t, record(tc.value))
			require.Equal(t, tc.data, string(ev.Data))
			require.Equal(t, tc.want, catalog.Event{
				Type: ev.Type, ID: ev.ID, Subject: ev.Subject, Office: ev.Office, TransactionID: ev.TransactionID, User: ev.User, Livemode: ev.Livemode,
			})
		})
	}
}

func TestHeadersApplyToPlainJSON(t *testing.T) {
	value := `{"type":"debt.paid","data":1,"tenant":"from value","source":"/value","livemode":true}`
	ev := decode(t, record(value, "ce_tenant", "acme", "ce_office", "north", "ce_source", "/crm", "ce_livemode", "false", "ce_id", "ignored",
		"content-type", "application/json"))
	require.Equal(t, "acme", ev.Tenant)
	require.Equal(t, "north", ev.Office)
	require.Equal(t, "/crm", ev.Source)
	require.False(t, ev.Livemode)
	require.Empty(t, ev.ID)
	require.Empty(t, ev.DataContentType)

	ev = decode(t, record(value))
	require.Equal(t, "from value", ev.Tenant)
	require.Equal(t, "/value", ev.Source)
}

func TestPlainRejections(t *testing.T) {
	long := strings.Repeat("x", envelope.MaxAttributeBytes+1)
	for name, tc := range map[string]struct {
		value string
		want  envelope.Reason
	}{
		"empty":                      {``, envelope.ReasonNotJSON},
		"words":                      {`hello`, envelope.ReasonNotJSON},
		"cut off":                    {`{"type":"t","data":`, envelope.ReasonNotJSON},
		"two texts":                  {`{"type":"t","data":1}{"type":"t","data":1}`, envelope.ReasonNotJSON},
		"trailing comma":             {`{"type":"t","data":1,}`, envelope.ReasonNotJSON},
		"byte order mark":            {"\xef\xbb\xbf{\"type\":\"t\",\"data\":1}", envelope.ReasonNotJSON},
		"not UTF-8":                  {"{\"type\":\"t\",\"data\":\"\xff\"}", envelope.ReasonNotJSON},
		"raw control character":      {"{\"type\":\"t\",\"data\":\"\n\"}", envelope.ReasonNotJSON},
		"Avro":                       {"\x00\x00\x00\x00\x01abc", envelope.ReasonNotJSON},
		"array":                      {`[{"type":"t","data":1}]`, envelope.ReasonNoEnvelope},
		"scalar":                     {`42`, envelope.ReasonNoEnvelope},
		"empty object":               {`{}`, envelope.ReasonNoEnvelope},
		"no type":                    {`{"data":1}`, envelope.ReasonNoEnvelope},
		"type null":                  {`{"type":null,"data":1}`, envelope.ReasonNoEnvelope},
		"type a number":              {`{"type":1,"data":1}`, envelope.ReasonNoEnvelope},
		"type empty":                 {`{"type":"","data":1}`, envelope.ReasonNoType},
		"type too long":              {`{"type":"` + strings.Repeat("t", envelope.MaxTypeBytes+1) + `","data":1}`, envelope.ReasonBadAttribute},
		"type with a line break":     {`{"type":"a\r\nX-Evil: 1","data":1}`, envelope.ReasonBadAttribute},
		"type with a space":          {`{"type":"a b","data":1}`, envelope.ReasonBadAttribute},
		"id with NUL":                {`{"type":"t","data":1,"id":"a\u0000"}`, envelope.ReasonBadAttribute},
		"id with C1 control":         {`{"type":"t","data":1,"id":"a\u0085"}`, envelope.ReasonBadAttribute},
		"id an object":               {`{"type":"t","data":1,"id":{}}`, envelope.ReasonBadAttribute},
		"id too long":                {`{"type":"t","data":1,"id":"` + long + `"}`, envelope.ReasonBadAttribute},
		"id with half a surrogate":   {`{"type":"t","data":1,"id":"\ud800"}`, envelope.ReasonBadAttribute},
		"id with a broken surrogate": {`{"type":"t","data":1,"id":"\ud800\u0041"}`, envelope.ReasonBadAttribute},
		"livemode":                   {`{"type":"t","data":1,"livemode":"maybe"}`, envelope.ReasonBadAttribute},
	} {
		t.Run(name, func(t *testing.T) {
			rejected := requireRejected(t, newDecoder(t), record(tc.value), tc.want)
			require.Less(t, len(rejected.Detail), 300)
			require.NotContains(t, rejected.Detail, "Evil")
		})
	}
	rejected := requireRejected(t, newDecoder(t), record(`{}`), envelope.ReasonNoEnvelope)
	require.Equal(t, "no_envelope: none of the envelopes known for topic debt has all its required keys: tried ophelos, socotra, "+
		"donutwork, ocelot, receeve, receeve-bare, cloudevents-json, standard", rejected.Error())
}

func TestAllAttributesTogether(t *testing.T) {
	// Five hundred '<' are 500 bytes here and 3000 in a header of ours.
	text := strings.Repeat("<", 500)
	value := `{"type":"t","data":1,"id":"` + text + `","source":"` + text + `","subject":"` + text + `","tenant":"` + text +
		`","office":"` + text + `","transactionId":"OFF"}`
	decode(t, record(value))
	rejected := requireRejected(t, newDecoder(t), record(strings.Replace(value, "OFF", text, 1)), envelope.ReasonBadAttribute)
	require.Contains(t, rejected.Detail, "all attributes together")
}

func TestUnusualTextsThatAreFine(t *testing.T) {
	ev := decode(t, record(`{"type":"Überfällig.Mahnung","data":1,"id":"\u00e9\ud83d\ude00 \"<>\\","subject":"Jos\u00e9 �"}`))
	require.Equal(t, "Überfällig.Mahnung", ev.Type)
	require.Equal(t, "é😀 \"<>\\", ev.ID)
	ev = decode(t, record(`{"type":"t","data":1,"subject":"Jos`+"\uFFFD"+`"}`))
	require.Equal(t, "Jos\uFFFD", ev.Subject)
}

func TestAttributesAreCopies(t *testing.T) {
	rec := record(`{"type":"debt.paid","data":1,"id":"abc"}`, "ce_tenant", "acme")
	ev := decode(t, rec)
	clear(rec.Value)
	clear(rec.Headers[0].Value)
	require.Equal(t, []string{"debt.paid", "abc", "acme"}, []string{ev.Type, ev.ID, ev.Tenant})
}
