package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// FuzzPlatforms gives the platforms' formats events of arbitrary text and bytes. Whatever they hold, a request is
// either refused with ErrFormat, or a receiver that knows the platform's page accepts it and finds the data's bytes.
func FuzzPlatforms(f *testing.F) {
	f.Add("evt_1", "debt.paid", "tx_1", "Ann", "usr_1", "2026-03-01T12:34:56.5+01:00", []byte(`{"a": 1.10}`), int64(1772368496), true)
	f.Add("", "", "", "", "", "", []byte(nil), int64(0), false)
	f.Add("\r\n\x00ü\xff", "\"\\", "\u2028", "😀", "<&>", "2026-03-01T1:34:56,5Z", []byte("{\"\xff\":1}"), int64(-1), false)
	f.Add("x", "t", "", "", "", `2026-03-01T12:34:56Z","x":"`, []byte(` { "n\u0061me":[{"name":"}"}],"eventId":-1,"messageType":null } `), int64(253402300800), true)
	f.Add("x", "t", "", "", "", "1772368496789", []byte(`{"a":"\\\"","dateTime":true,"b":{},"dateTime":"twice"}`), int64(1), true)
	encodings := map[catalog.Format]*Encoding{}
	for _, format := range platforms {
		encodings[format] = compile(f, format, signedWith(vectorSecret))
	}
	f.Fuzz(func(t *testing.T, id, typ, transaction, user, userID, at string, data []byte, unix int64, live bool) {
		ev := event(string(data))
		ev.ID, ev.Type, ev.TransactionID, ev.User, ev.TimeText = id, "t"+typ, transaction, catalog.User{Name: user, ID: userID}, at
		ev.Time, ev.Livemode = time.Unix(unix, 0), live
		for format, e := range encodings {
			var m Message
			if err := e.Compose(&m, delivery(ev), fixedNow); err != nil {
				require.True(t, errors.Is(err, ErrFormat), "%s: %v", format, err)
				continue
			}
			requireCleanHeaders(t, &m, ev)
			require.NoError(t, accept(format, m.received(), m.Body, vectorSecret, &testPair.PublicKey), "%s: %s", format, m.Body)
			requireCarried(t, format, m.Body, ev)
		}
		require.True(t, bytes.Equal(data, ev.Raw))
	})
}

// requireCarried finds the data in a body: spliced where the format nests it, member by member where it is flat.
func requireCarried(t *testing.T, format catalog.Format, body []byte, ev *catalog.Event) {
	t.Helper()
	if len(ev.Data) == 0 {
		return
	}
	switch format {
	case catalog.FormatOcelot:
		requireMembers(t, ev.Data, body, "name", "eventId", "dateTime")
	case catalog.FormatReceeve:
		var got struct {
			Payload struct{ Details json.RawMessage }
		}
		require.NoError(t, json.Unmarshal(body, &got))
		requireMembers(t, ev.Data, got.Payload.Details, "messageType")
	default:
		require.Contains(t, string(body), `"data":`+string(ev.Data))
	}
}

// requireMembers checks that an object has what another one has, with the same bytes, but for those named.
func requireMembers(t *testing.T, want, got []byte, except ...string) {
	t.Helper()
	var before, after map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(want, &before))
	require.NoError(t, json.Unmarshal(got, &after))
	for _, name := range except {
		require.Contains(t, after, name)
		delete(before, name)
		delete(after, name)
	}
	require.Equal(t, len(before), len(after))
	for name := range before {
		require.Equal(t, string(before[name]), string(after[name]))
	}
}

// FuzzMembers holds the scanner against encoding/json.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":-1.5e3 , "b":[1,{"c":"]}"}] ,"d":null}`, `{"\u0061\"":"\\","":{"":{}}}`, `{"a":true,"a":false}`, "{\"\xff\":\"\xff\"}", `[]`, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := objectData(event(string(data)))
		if err != nil {
			require.ErrorIs(t, err, ErrFormat)
			return
		}
		if len(data) == 0 {
			require.True(t, o.empty())
			return
		}
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &want))
		got := map[string]json.RawMessage{}
		o.members(func(m member) bool {
			got[toValid(string(m.name))] = json.RawMessage(o[m.from:m.to])
			return true
		})
		require.Equal(t, len(want) == 0, o.empty())
		require.Equal(t, len(want), len(got))
		for name := range want {
			require.Equal(t, strings.TrimSpace(string(want[name])), string(got[name]))
			require.True(t, o.has(name) || strings.ContainsRune(name, '\uFFFD'))
		}
	})
}
