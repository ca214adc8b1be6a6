package payload

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

const goldenDir = "../../testdata/golden"

// goldenEvent is a file of testdata/golden/events.
type goldenEvent struct {
	About                            string
	ID, Source, Type, Domain, Tenant string
	Office, Subject, TransactionID   string
	Time                             time.Time
	User                             catalog.User
	Test                             bool
	DataContentType                  string
	TraceParent, TraceState          string
	Attempts                         int
	Value                            string // the record's value
	Data                             string // the part of it that is the data; all of it when empty
	DataBase64                       bool
}

func (g goldenEvent) event(t *testing.T) *catalog.Event {
	t.Helper()
	require.NotEmpty(t, g.About, "say what the event is there for")
	ev := &catalog.Event{
		ID: g.ID, Source: g.Source, Type: g.Type, Domain: g.Domain, Tenant: g.Tenant, Office: g.Office, Subject: g.Subject,
		TransactionID: g.TransactionID, Time: g.Time, User: g.User, Livemode: !g.Test, DataContentType: g.DataContentType,
		TraceParent: g.TraceParent, TraceState: g.TraceState, Raw: []byte(g.Value),
	}
	from, data := 0, g.Value
	if g.Data != "" {
		from, data = strings.Index(g.Value, g.Data), g.Data
		require.GreaterOrEqual(t, from, 0)
	}
	ev.Span = catalog.Span{From: from, To: from + len(data), Base64: g.DataBase64}
	var err error
	ev.Data, err = ev.Span.Extract(ev.Raw)
	require.NoError(t, err)
	return ev
}

// TestGolden composes every event of testdata/golden/events in every format and compares with
// testdata/golden/<format>/<event>.http: the headers, an empty line, the body byte for byte; or the error.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob(filepath.Join(goldenDir, "events", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	expected := map[string]bool{}
	for format := range formats {
		e := compile(t, format, signedWith(vectorSecret))
		for _, input := range inputs {
			name := strings.TrimSuffix(filepath.Base(input), ".json")
			golden := filepath.Join(goldenDir, string(format), name+".http")
			expected[golden] = true
			t.Run(string(format)+"/"+name, func(t *testing.T) {
				var g goldenEvent
				dec := json.NewDecoder(bytes.NewReader(readFile(t, input)))
				dec.DisallowUnknownFields()
				require.NoError(t, dec.Decode(&g))
				ev := g.event(t)
				d := delivery(ev)
				d.Attempts = g.Attempts
				got := render(e, d)
				if *update {
					require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
					require.NoError(t, os.WriteFile(golden, got, 0o644))
				}
				require.Equal(t, string(readFile(t, golden)), string(got))
			})
		}
	}
	present, err := filepath.Glob(filepath.Join(goldenDir, "*", "*.http"))
	require.NoError(t, err)
	for _, file := range present {
		require.True(t, expected[file], "%s is of no format or event", file)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

func render(e *Encoding, d *relay.Delivery) []byte {
	var (
		m   Message
		out bytes.Buffer
	)
	if err := e.Compose(&m, d, fixedNow); err != nil {
		fmt.Fprintf(&out, "error: %s\n", err)
		return out.Bytes()
	}
	for _, h := range m.Headers {
		fmt.Fprintf(&out, "%s: %s\n", h.Name, h.Value)
	}
	out.WriteByte('\n')
	out.Write(m.Body)
	return out.Bytes()
}
