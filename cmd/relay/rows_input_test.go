package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// catcher is a receiver that keeps what it got, by event id.
type catcher struct {
	*httptest.Server
	mu     sync.Mutex
	bodies map[string][]string
	ids    map[string]map[string]bool // webhook-id
}

func newCatcher(t *testing.T) *catcher {
	t.Helper()
	c := &catcher{bodies: map[string][]string{}, ids: map[string]map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		id := r.Header.Get("webhook-event-id")
		c.bodies[id] = append(c.bodies[id], string(body))
		if c.ids[id] == nil {
			c.ids[id] = map[string]bool{}
		}
		c.ids[id][r.Header.Get("webhook-id")] = true
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *catcher) got(id string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bodies[id]
}

// ceHeaders are the headers of a CloudEvent in binary mode.
func ceHeaders(id, kind string, extra ...string) []kgo.RecordHeader {
	headers := []kgo.RecordHeader{{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(id)},
		{Key: "ce_source", Value: []byte("/s")}, {Key: "ce_type", Value: []byte(kind)}}
	for i := 0; i < len(extra); i += 2 {
		headers = append(headers, kgo.RecordHeader{Key: extra[i], Value: []byte(extra[i+1])})
	}
	return headers
}

// TestRows_Input runs one relay through whatever a platform may write.
func TestRows_Input(t *testing.T) {
	t.Parallel()
	f := newFleet(t, time.Second)
	c := newCatcher(t)
	p := f.start(t, "one")
	p.awaitReady(t, f)
	_, err := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "w", "url": c.URL, "events": []string{"load.*"}, "format": "raw",
		"filter": map[string]any{"data": map[string]any{"refused": map[string]any{"$exists": false}}}}, nil)
	require.NoError(t, err)
	producer, err := kgo.NewClient(append(append([]kgo.Opt{}, f.kafka...), kgo.ProducerBatchMaxBytes(4<<20), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer producer.Close()
	publish := func(t *testing.T, records ...*kgo.Record) { // all on one partition: none may stop it
		t.Helper()
		for _, rec := range records {
			rec.Topic, rec.Partition = f.domains[0], 1
		}
		require.NoError(t, producer.ProduceSync(t.Context(), records...).FirstErr())
	}
	arrives := func(t *testing.T, id string, times int) []string {
		t.Helper()
		require.Eventually(t, func() bool { return len(c.got(id)) >= times }, 20*time.Second, 10*time.Millisecond, "%s:\n%s", id, &f.logs)
		return c.got(id)
	}

	t.Run("TestRow70_MalformedRecords", func(t *testing.T) {
		before := p.metrics(t)
		noise := make([]byte, 4096)
		_, _ = rand.Read(noise)
		publish(t, &kgo.Record{Value: noise}, &kgo.Record{Value: []byte("{\"type\":\"\xff\xfe\"}")}, &kgo.Record{Value: []byte{}}, &kgo.Record{Value: []byte("null")},
			&kgo.Record{Value: []byte(`{"id":1`)}, &kgo.Record{Value: nil}, &kgo.Record{Value: []byte("{}"), Headers: ceHeaders("a\r\nb", "load.x")},
			&kgo.Record{Value: []byte(`{}`), Headers: ceHeaders("after-noise", "load.x")})
		arrives(t, "after-noise", 1)
		after := p.metrics(t)
		count := func(kind string) float64 {
			series := fmt.Sprintf("relay_events_total{kind=%q}", kind)
			return after[series] - before[series]
		}
		require.EqualValues(t, 8, count("rejected")+count("tombstone")+count("event"), "each is counted")
		require.GreaterOrEqual(t, count("tombstone"), 1.0)
		require.GreaterOrEqual(t, count("rejected"), 5.0)
	})
	t.Run("TestRow71_ManyTypes", func(t *testing.T) {
		types := 5_000
		if full() {
			types = 1_000_000
		}
		before := p.metrics(t)
		for i := range types {
			producer.Produce(t.Context(), &kgo.Record{Topic: f.domains[0], Partition: 1, Value: []byte(`{}`), Headers: ceHeaders("t", fmt.Sprintf("other.type%d", i))}, nil)
		}
		publish(t, &kgo.Record{Value: []byte(`{}`), Headers: ceHeaders("after-types", "load.x")})
		arrives(t, "after-types", 1)
		after := p.metrics(t)
		require.GreaterOrEqual(t, after["relay_events_unlisted_total"]-before["relay_events_unlisted_total"], float64(types))
		require.LessOrEqual(t, after["series"], before["series"]+20, "a type makes no series")
	})
	t.Run("TestRow73_HostileJSON", func(t *testing.T) {
		var keys strings.Builder
		for i := range 60_000 {
			fmt.Fprintf(&keys, `"k%d":%d,`, i, i)
		}
		for name, value := range map[string]string{
			"deep":       strings.Repeat(`{"a":[`, 5_000) + strings.Repeat(`]}`, 5_000),
			"wide":       `{` + keys.String() + `"z":0}`,
			"same keys":  `{"a":1,"a":2, "a" : 3}`,
			"huge":       `{"n":1e400,"m":-1E+9999,"tiny":1e-400,"long":` + strings.Repeat("9", 10_000) + `}`,
			"precise":    `{"n":12345678901234567890.123456789012345678901234567890}`,
			"no escapes": "{\"s\":\"\\u0000\\ud800 <>&\u2028\"}",
		} {
			publish(t, &kgo.Record{Value: []byte(value), Headers: ceHeaders("json "+name, "load.json")})
			publish(t, &kgo.Record{Value: []byte(`{}`), Headers: ceHeaders("after "+name, "load.json")})
			begun := time.Now()
			arrives(t, strings.ReplaceAll("after "+name, " ", "%20"), 1)
			require.Less(t, time.Since(begun), 5*time.Second, "%s: it takes its time", name)
			escaped := strings.ReplaceAll("json "+name, " ", "%20")
			if name == "deep" { // deeper than a filter looks is not a non-match: an operator decides
				continue
			}
			require.Equal(t, []string{value}, arrives(t, escaped, 1), "%s: not the same bytes", name)
		}
	})
	t.Run("TestRow74_SameIDs", func(t *testing.T) {
		publish(t, &kgo.Record{Value: []byte(`{"v":1}`), Headers: ceHeaders("twice", "load.x")}, &kgo.Record{Value: []byte(`{"v":1}`), Headers: ceHeaders("twice", "load.x")},
			&kgo.Record{Value: []byte(`{"v":2}`), Headers: ceHeaders("twice", "load.x")})
		require.ElementsMatch(t, []string{`{"v":1}`, `{"v":1}`, `{"v":2}`}, arrives(t, "twice", 3))
		c.mu.Lock()
		defer c.mu.Unlock()
		require.Len(t, c.ids["twice"], 1, "receivers tell repetitions by it")
	})
	t.Run("TestRow75_Timestamps", func(t *testing.T) {
		// Records are stamped in the past: a broker refuses those from a future that is far.
		for i, at := range []string{"9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z"} {
			id := fmt.Sprintf("at-%d", i)
			begun := time.Now()
			publish(t, &kgo.Record{Value: []byte(`{}`), Timestamp: time.Now().Add(time.Duration(i-3) * 1000 * time.Hour), Headers: ceHeaders(id, "load.x", "ce_time", at)})
			arrives(t, id, 1)
			require.Less(t, time.Since(begun), 5*time.Second, "a time says nothing about when to deliver")
		}
	})
	require.Eventually(t, func() bool {
		behind, err := lag(t.Context(), f.admin, f.group, f.domains...)
		return err == nil && behind == 0
	}, 20*time.Second, 50*time.Millisecond, "a record stops its partition")
}
