package payload

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

func TestCompile_UnsupportedFormat(t *testing.T) {
	_, err := Compile("soap", Keys{})
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, `"soap"`)
}

func TestCompose_CommonHeaders(t *testing.T) {
	for _, format := range builtin {
		d := delivery(event(`{}`))
		d.Attempts = 11
		h := compose(t, compile(t, format, catalog.Signing{}), d).received()
		require.Equal(t, d.WebhookID, h.Get("webhook-id"))
		require.Equal(t, "1614265330", h.Get("webhook-timestamp"))
		require.Equal(t, "12", h.Get("webhook-attempt"))
		require.Equal(t, "evt_1", h.Get("webhook-event-id"))
		require.Equal(t, "debt.paid", h.Get("webhook-event-type"))
		require.Empty(t, h.Values("Idempotency-Key"))
		require.Equal(t, 11, d.Attempts, "the delivery is only read")
		for name, values := range h {
			require.Len(t, values, 1, name)
		}
	}
}

func TestCompose_AttemptsDifferOnlyInWhatCountsThem(t *testing.T) {
	e := compile(t, catalog.FormatStandard, catalog.Signing{})
	d := delivery(event(`{"a":1}`))
	var first, second Message
	require.NoError(t, e.Compose(&first, d, fixedNow))
	d.Attempts++
	require.NoError(t, e.Compose(&second, d, fixedNow.Add(time.Minute)))
	require.Equal(t, first.Body, second.Body)
	h1, h2 := first.received(), second.received()
	require.Equal(t, "1614265390", h2.Get(headerTimestamp))
	require.Equal(t, "2", h2.Get(headerAttempt))
	for _, name := range []string{headerTimestamp, headerAttempt} {
		h1.Del(name)
		h2.Del(name)
	}
	require.Equal(t, h1, h2)
}

func TestCompose_WhatAFormatCannotCarry(t *testing.T) {
	nested := strings.Repeat("[", 10_000+1) + strings.Repeat("]", 10_000+1)
	farFuture := event(`{}`)
	farFuture.Time = time.UnixMilli(1772368496789 * 1000)
	cloudEvent := event(`{"specversion":"1.0"}`)
	cloudEvent.DataContentType = "Application/CloudEvents+json"
	for name, tc := range map[string]struct {
		ev   *catalog.Event
		fail []catalog.Format
	}{
		"text":               {event(`hello`), []catalog.Format{catalog.FormatStandard}},
		"two values":         {event(`{} {}`), []catalog.Format{catalog.FormatStandard}},
		"only a space":       {event(` `), []catalog.Format{catalog.FormatStandard}},
		"nested too deep":    {event(nested), []catalog.Format{catalog.FormatStandard}},
		"closes the object":  {event(`1},"type":"other"`), []catalog.Format{catalog.FormatStandard}},
		"10 MB of brackets":  {event(strings.Repeat("[", 10<<20)), []catalog.Format{catalog.FormatStandard}},
		"year 58134":         {farFuture, []catalog.Format{catalog.FormatStandard, catalog.FormatCloudEvents, catalog.FormatCloudEventsBinary}},
		"event in an event":  {cloudEvent, []catalog.Format{catalog.FormatCloudEventsBinary}},
		"nothing is carried": {event(``), nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, format := range builtin {
				var m Message
				err := compile(t, format, signedWith(vectorSecret)).Compose(&m, delivery(tc.ev), fixedNow)
				fails := false
				for _, f := range tc.fail {
					fails = fails || f == format
				}
				if !fails {
					require.NoError(t, err, format)
					continue
				}
				require.ErrorIs(t, err, ErrFormat)
				require.ErrorContains(t, err, string(format))
				require.Empty(t, m.Headers, "nothing half-made is left to send")
				require.Empty(t, m.Body)
			}
		})
	}
}

func TestCompose_StandardTakesTheBytesForJSONWhateverTheirType(t *testing.T) {
	ev := event(`{"a":1}`)
	ev.DataContentType = "application/octet-stream"
	m := compose(t, compile(t, catalog.FormatStandard, catalog.Signing{}), delivery(ev))
	require.JSONEq(t, `{"type":"debt.paid","timestamp":"2026-03-01T12:34:56Z","data":{"a":1}}`, string(m.Body))
}

func TestCompose_CloudEventsCarriesBytesThatAreNotJSON(t *testing.T) {
	for name, tc := range map[string]struct{ mediaType, data, want string }{
		"declared, and JSON":      {"application/json", `1`, `"data":1}`},
		"suffix":                  {"application/vnd.x+json; v=1", `1`, `"data":1}`},
		"not declared":            {"", `1`, `"data":1}`},
		"declared, but not JSON":  {"application/json", `{`, `"data_base64":"ew=="}`},
		"looks like JSON":         {"text/plain", `1`, `"data_base64":"MQ=="}`},
		"no data":                 {"text/plain", ``, `"datacontenttype":"text/plain"}`},
		"type that is not ASCII":  {"text/\u00fc", `1`, `"datacontenttype":"application/octet-stream","data_base64":"MQ=="}`},
		"type that breaks a line": {"text/plain\r\nx: 1", `1`, `"datacontenttype":"application/octet-stream","data_base64":"MQ=="}`},
	} {
		t.Run(name, func(t *testing.T) {
			ev := event(tc.data)
			ev.DataContentType = tc.mediaType
			m := compose(t, compile(t, catalog.FormatCloudEvents, catalog.Signing{}), delivery(ev))
			require.True(t, json.Valid(m.Body))
			require.True(t, strings.HasSuffix(string(m.Body), tc.want), "%s", m.Body)
		})
	}
}

func TestCompose_CloudEventsHasItsRequiredAttributes(t *testing.T) {
	ev := event(`{}`)
	ev.ID, ev.Source = "", ""
	d := delivery(ev)
	h := compose(t, compile(t, catalog.FormatCloudEventsBinary, catalog.Signing{}), d).received()
	require.Equal(t, d.ID, h.Get("ce-id"))
	require.Equal(t, "/relay/debt", h.Get("ce-source"))
	require.Empty(t, h.Values(headerEventID))
}

func TestCompose_RawNamesTheTypeOfTheWholeValue(t *testing.T) {
	ev := event(`{"data":"<x/>"}`)
	ev.DataContentType = "text/xml"
	e := compile(t, catalog.FormatRaw, catalog.Signing{})
	require.Equal(t, "text/xml", compose(t, e, delivery(ev)).received().Get(headerContentType), "the value is the data")
	ev.Span = catalog.Span{From: 9, To: 13}
	require.Equal(t, mediaJSON, compose(t, e, delivery(ev)).received().Get(headerContentType), "the value is an envelope")
}

func TestMessage_NeverWritesIntoTheEvent(t *testing.T) {
	ev := event(`{"data":"part","kept":"as it is"}`)
	ev.Data, ev.Span = ev.Raw[8:14], catalog.Span{From: 8, To: 14}
	before := string(ev.Raw)
	other := delivery(event(`{"other":"` + strings.Repeat("x", 100) + `"}`))
	var m Message
	for _, first := range builtin {
		for _, second := range builtin {
			require.NoError(t, compile(t, first, catalog.Signing{}).Compose(&m, delivery(ev), fixedNow))
			_ = append(m.Body, "appended by mistake"...)
			require.NoError(t, compile(t, second, catalog.Signing{}).Compose(&m, other, fixedNow))
			require.Equal(t, before, string(ev.Raw))
		}
	}
}

func TestMessage_Reset(t *testing.T) {
	var m Message
	e := compile(t, catalog.FormatStandard, signedWith(vectorSecret))
	require.NoError(t, e.Compose(&m, delivery(event(`{}`)), fixedNow))
	kept := cap(m.body)
	m.Reset()
	require.Empty(t, m.Body)
	require.Empty(t, m.Headers)
	require.Zero(t, m.attempt, "a pooled message must not hold an event")
	for _, h := range m.Headers[:cap(m.Headers)] {
		require.Zero(t, h)
	}
	require.Equal(t, kept, cap(m.body))

	require.NoError(t, e.Compose(&m, delivery(event(`"`+strings.Repeat("x", keepBytes)+`"`)), fixedNow))
	m.Reset()
	require.Zero(t, cap(m.body), "a pool must not hold events of maximum size")
}

func TestMessage_SecondsAreNotMixedUp(t *testing.T) {
	var m Message
	for _, s := range []int64{0, 5, 5, 6, 5, 0, 1614265330} {
		require.Equal(t, time.Unix(s, 0).Unix(), s)
		got, err := json.Number(m.unixSeconds(time.Unix(s, 999))).Int64()
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
}
