// Package events holds sample records of the five domains, in the shapes in which their platforms publish them. The
// demo traffic and `relay publish --sample` send them; tests decode and deliver them.
//
// A file <domain>/<event type>.json is one record. It may contain {{id}}, {{time}} (RFC 3339, milliseconds, UTC) and
// {{time_ms}} (milliseconds since 1970), always inside a string. It is otherwise sent as the bytes that it is.
package events

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

//go:embed */*.json
var files embed.FS

// timeFormat is RFC 3339 with the milliseconds that the platforms write.
const timeFormat = "2006-01-02T15:04:05.000Z"

// sampleTime is the time of the samples as All gives them.
var sampleTime = time.Date(2026, time.March, 14, 15, 9, 26, 535e6, time.UTC)

// Sample is one record that a platform publishes.
type Sample struct {
	Domain string
	// Name is the file's: "debt/debt.paid.json".
	Name string
	// Type is the event type.
	Type string
	// Value is the record's value, with an id and a time that never change.
	Value []byte
	// Headers are the record's headers; most samples have none.
	Headers []kgo.RecordHeader

	template string
}

// All lists the samples, by domain and type.
func All() []Sample { return slices.Clone(samples) }

// ByType gives the sample of an event type.
func ByType(eventType string) (Sample, bool) {
	i := slices.IndexFunc(samples, func(s Sample) bool { return s.Type == eventType })
	if i < 0 {
		return Sample{}, false
	}
	return samples[i], true
}

// Fresh is the value of the sample with an id and a time of its own. The id must need no escaping in JSON.
func Fresh(sample Sample, id string, now time.Time) []byte {
	now = now.UTC()
	return []byte(strings.NewReplacer(
		"{{id}}", id,
		"{{time}}", now.Format(timeFormat),
		"{{time_ms}}", strconv.FormatInt(now.UnixMilli(), 10),
	).Replace(sample.template))
}

var samples = load()

// load reads the embedded files. They are part of the program, so that one that cannot be read is a broken build.
func load() []Sample {
	names, err := fs.Glob(files, "*/*.json")
	if err != nil {
		panic(fmt.Sprintf("events: %v", err))
	}
	loaded := make([]Sample, 0, len(names))
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("events: %v", err))
		}
		s := Sample{
			Domain: path.Dir(name), Name: name, Type: strings.TrimSuffix(path.Base(name), ".json"),
			template: strings.TrimRight(string(text), "\n"),
		}
		if s.Domain == "sms" {
			// This platform says in no field which office an event belongs to.
			s.Headers = []kgo.RecordHeader{{Key: "ce_office", Value: []byte("springfield")}}
		}
		s.Value = Fresh(s, "sample-1", sampleTime)
		loaded = append(loaded, s)
	}
	return loaded
}
