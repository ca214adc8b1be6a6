package payload

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// FuzzCompose gives every format events of arbitrary text and bytes. Whatever they hold, a request is either refused
// with ErrFormat or clean: headers without control characters that decode to the event's values, a body that is
// valid in its format, the data's bytes unchanged in it, and a signature that verifies.
func FuzzCompose(f *testing.F) {
	f.Add("evt_1", "/platform", "debt.paid", "deb_1", "usr_1", "application/json", "", []byte(`{"a": 1.10}`), int64(1772368496), true)
	f.Add("", "", "", "", "", "", "", []byte(nil), int64(0), false)
	f.Add("\r\n\x00%ü\xff", "a b", "\"\\", "\u2028", "😀", "text/plain\r\n", "00-\r\n", []byte("\xff{"), int64(-1), false)
	f.Add("x", "/", "t", "", "", "application/cloudevents+json", "", []byte(`1},"data":{`), int64(253402300800), true)
	verify := verifier(f, vectorSecret)
	encodings := map[catalog.Format]*Encoding{}
	for _, format := range builtin {
		encodings[format] = compile(f, format, signedWith(vectorSecret))
	}
	f.Fuzz(func(t *testing.T, id, source, typ, subject, user, mediaType, trace string, data []byte, unix int64, live bool) {
		ev := event(string(data))
		ev.ID, ev.Source, ev.Type, ev.Subject, ev.User.Name, ev.DataContentType = id, source, typ, subject, user, mediaType
		ev.TraceParent, ev.TraceState, ev.Time, ev.Livemode = trace, trace, time.Unix(unix, 0), live
		for format, e := range encodings {
			var m Message
			if err := e.Compose(&m, delivery(ev), fixedNow); err != nil {
				require.True(t, errors.Is(err, ErrFormat), "%s: %v", format, err)
				continue
			}
			requireCleanHeaders(t, &m, ev)
			require.NoError(t, verify.VerifyIgnoringTimestamp(m.Body, m.received()))
			switch format {
			case catalog.FormatStandard:
				requireStandard(t, m.Body, ev)
			case catalog.FormatCloudEvents:
				requireCloudEvent(t, m.Body, ev)
			case catalog.FormatCloudEventsBinary, catalog.FormatRaw:
				require.True(t, bytes.Equal(data, m.Body))
			}
		}
		require.True(t, bytes.Equal(data, ev.Raw))
	})
}

func requireCleanHeaders(t *testing.T, m *Message, ev *catalog.Event) {
	t.Helper()
	carried := map[string]string{
		headerEventID: ev.ID, headerEventType: ev.Type, "ce-type": ev.Type, "ce-subject": ev.Subject, "ce-username": ev.User.Name,
	}
	for _, h := range m.Headers {
		require.Equal(t, strings.ToLower(h.Name), h.Name)
		require.True(t, printable(h.Value), "%s: %q", h.Name, h.Value)
		if want, ok := carried[h.Name]; ok {
			got, err := url.PathUnescape(h.Value)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

func requireStandard(t *testing.T, body []byte, ev *catalog.Event) {
	t.Helper()
	var got struct {
		Type      string
		Timestamp time.Time
		Data      json.RawMessage
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&got), "%s", body)
	require.Equal(t, toValid(ev.Type), got.Type)
	require.True(t, ev.Time.Equal(got.Timestamp))
	want := string(ev.Data)
	if want == "" {
		want = "null"
	}
	require.True(t, strings.HasSuffix(string(body), `,"data":`+want+`}`))
	require.Equal(t, strings.TrimSpace(want), strings.TrimSpace(string(got.Data)))
}

func requireCloudEvent(t *testing.T, body []byte, ev *catalog.Event) {
	t.Helper()
	got := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal(body, &got), "%s", body)
	text := func(name string) (s string) {
		if raw, ok := got[name]; ok {
			require.NoError(t, json.Unmarshal(raw, &s))
		}
		return s
	}
	for name, want := range map[string]string{"type": ev.Type, "subject": ev.Subject, "username": ev.User.Name, "specversion": "1.0"} {
		require.Equal(t, toValid(want), text(name))
	}
	require.NotEmpty(t, text("id"))
	require.NotEmpty(t, text("source"))
	at, err := time.Parse(time.RFC3339Nano, text("time"))
	require.NoError(t, err)
	require.True(t, ev.Time.Equal(at))
	require.Equal(t, !ev.Livemode, string(got["livemode"]) == "false")
	switch {
	case len(ev.Data) == 0:
		require.NotContains(t, got, "data")
		require.NotContains(t, got, "data_base64")
	case got["data"] != nil:
		require.True(t, strings.HasSuffix(string(body), `,"data":`+string(ev.Data)+`}`))
	default:
		data, err := base64.StdEncoding.DecodeString(text("data_base64"))
		require.NoError(t, err)
		require.True(t, bytes.Equal(ev.Data, data))
	}
}
