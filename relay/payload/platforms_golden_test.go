package payload

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay/intake/envelope"
)

// platformRecord is a file testdata/golden/platforms/<format>/<name>.json: a record as it stands in Kafka.
type platformRecord struct {
	About, Topic string
	Headers      map[string]string
	Value        string
}

func (r platformRecord) decode(t *testing.T) *catalog.Event {
	t.Helper()
	require.NotEmpty(t, r.About, "say what the record is there for")
	decoder, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: 1 << 20, Domains: map[string]string{r.Topic: r.Topic}})
	require.NoError(t, err)
	rec := &kgo.Record{Topic: r.Topic, Value: []byte(r.Value), Timestamp: fixedNow}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: name, Value: []byte(r.Headers[name])})
	}
	ev, err := decoder.Decode(rec)
	require.NoError(t, err)
	return ev
}

// TestGoldenPlatforms takes records in, as CloudEvents and as the platforms' own envelopes, and compares what goes out
// in the platform's format with testdata/golden/platforms/<format>/<name>.http. A receiver that knows nothing but the
// platform's page accepts it, and an envelope of the platform goes out with the bytes that came in.
func TestGoldenPlatforms(t *testing.T) {
	for _, format := range platforms {
		inputs, err := filepath.Glob(filepath.Join(goldenDir, "platforms", string(format), "*.json"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(inputs), 2)
		for _, input := range inputs {
			name := strings.TrimSuffix(filepath.Base(input), ".json")
			t.Run(string(format)+"/"+name, func(t *testing.T) {
				var record platformRecord
				decoder := json.NewDecoder(bytes.NewReader(readFile(t, input)))
				decoder.DisallowUnknownFields()
				require.NoError(t, decoder.Decode(&record))
				e, d := compile(t, format, signedWith(vectorSecret)), delivery(record.decode(t))
				golden, got := strings.TrimSuffix(input, ".json")+".http", render(e, d)
				if *update {
					require.NoError(t, os.WriteFile(golden, got, 0o644))
				}
				require.Equal(t, string(readFile(t, golden)), string(got))

				m := compose(t, e, d)
				require.NoError(t, accept(format, m.received(), m.Body, vectorSecret, &testPair.PublicKey))
				if name == "envelope" {
					requireSameEnvelope(t, format, record.Value, string(m.Body))
				}
			})
		}
	}
}

func requireSameEnvelope(t *testing.T, format catalog.Format, in, out string) {
	t.Helper()
	if format == catalog.FormatReceeve { // whose signature is new
		const end = `,"signature":"`
		in, _, _ = strings.Cut(in, end)
		out, _, _ = strings.Cut(out, end)
	}
	require.Equal(t, in, out)
}
