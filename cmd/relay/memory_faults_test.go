//go:build faults

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
	"eventrelay/relay/intake"
)

// gauge follows what a relay process uses, by the kernel's count and by its own metrics.
type gauge struct {
	peakMemory, peakRSS, peakGoroutines, peakWindow, peakBodies float64
	stop                                                        chan struct{}
	done                                                        sync.WaitGroup
}

// rss is the resident anonymous memory of a process: heap, stacks and the runtime's own.
func rss(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // it has ended
	}
	for line := range strings.Lines(string(text)) {
		if kib, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseFloat(strings.Fields(kib)[0], 64)
			assert.NoError(t, err)
			return n * 1024
		}
	}
	return 0
}

// sums adds up the samples of each of the names on a metrics page, whatever their labels; a name may carry labels of its own.
func sums(page io.Reader, names ...string) map[string]float64 {
	got := map[string]float64{}
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		for _, name := range names {
			if rest, ok := strings.CutPrefix(lines.Text(), name); ok && (rest[0] == ' ' || rest[0] == '{') {
				fields := strings.Fields(rest)
				n, _ := strconv.ParseFloat(fields[len(fields)-1], 64)
				got[name] += n
			}
		}
	}
	return got
}

func follow(t *testing.T, p *relayProcess) *gauge {
	t.Helper()
	g := &gauge{stop: make(chan struct{})}
	const mapped, released = "go_memstats_sys_bytes", "go_memstats_heap_released_bytes"
	const window, bodies = `relay_window_bytes{group="intake"}`, `relay_memory_used_bytes{part="bodies"}`
	g.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-g.stop:
				return
			case <-tick.C:
			}
			g.peakRSS = max(g.peakRSS, rss(t, p.cmd.Process.Pid))
			resp, err := http.Get(p.ops + "/metrics")
			if err != nil {
				continue
			}
			now := sums(resp.Body, "go_goroutines", mapped, released, window, bodies)
			_ = resp.Body.Close()
			g.peakMemory = max(g.peakMemory, now[mapped]-now[released])
			g.peakGoroutines = max(g.peakGoroutines, now["go_goroutines"])
			g.peakWindow, g.peakBodies = max(g.peakWindow, now[window]), max(g.peakBodies, now[bodies])
		}
	})
	return g
}

// end is the peaks, none of which is zero by mistake.
func (g *gauge) end(t *testing.T) {
	t.Helper()
	close(g.stop)
	g.done.Wait()
	t.Logf("peaks: %.0f MiB, %.0f MiB resident, %.0f goroutines, %.1f MiB in the window, %.1f MiB of large bodies", g.peakMemory/mib, g.peakRSS/mib, g.peakGoroutines, g.peakWindow/mib, g.peakBodies/mib)
	require.NotZero(t, g.peakMemory)
	require.NotZero(t, g.peakRSS)
	require.NotZero(t, g.peakGoroutines)
	require.NotZero(t, g.peakWindow)
}

// within holds the peaks against the configured memory. The race detector keeps several bytes of its own for each.
func (g *gauge) within(t *testing.T, memory float64) {
	t.Helper()
	const slack = 1.1 // what the README asks a container to have more
	require.LessOrEqual(t, g.peakMemory, slack*memory)
	if !raceDetector() {
		require.LessOrEqual(t, g.peakRSS, slack*memory)
	}
}

func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// allowLarge makes all topics take records of events of that size.
func (f *fleet) allowLarge(t *testing.T, eventMax int) {
	t.Helper()
	f.topics.MaxEventBytes = eventMax
	limit := strconv.Itoa(eventMax + relay.EnvelopeBytes)
	names := slices.Clone(f.domains)
	for _, spec := range f.topics.Specs() {
		names = append(names, spec.Name)
	}
	responses, err := f.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &limit}}, names...)
	require.NoError(t, err)
	for _, r := range responses {
		require.NoError(t, r.Err, r.Name)
	}
}

// tally counts what a receiver got, by webhook. One of every so many webhooks hangs, half of those without reading.
type tally struct {
	mu     sync.Mutex
	got    map[string]int
	bytes  atomic.Int64
	healed chan struct{} // closed when nobody hangs any more
}

func newTally(t *testing.T, every int) (*tally, *httptest.Server) {
	t.Helper()
	ta := &tally{got: map[string]int{}, healed: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		n, _ := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
		hang := n%every == 0
		if hang && n%(2*every) == 0 {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Minute): // the server notices a closed connection only when it reads
				return
			case <-ta.healed:
			}
		}
		read, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		if hang {
			select {
			case <-r.Context().Done():
				return
			case <-ta.healed:
			}
		}
		ta.bytes.Add(read)
		ta.mu.Lock()
		ta.got[name]++
		ta.mu.Unlock()
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { ta.heal() })
	return ta, server
}

func (ta *tally) heal() {
	ta.mu.Lock()
	defer ta.mu.Unlock()
	select {
	case <-ta.healed:
	default:
		close(ta.healed)
	}
}

// satisfied is how many webhooks got at least each events.
func (ta *tally) satisfied(each int) (n int) {
	ta.mu.Lock()
	defer ta.mu.Unlock()
	for _, got := range ta.got {
		if got >= each {
			n++
		}
	}
	return n
}

func publishOne(t *testing.T, f *fleet, topic, kind, id string, data []byte) {
	t.Helper()
	client, err := kgo.NewClient(append(slices.Clone(f.kafka), kgo.ProducerBatchMaxBytes(int32(f.topics.MaxEventBytes+relay.EnvelopeBytes)))...)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(id), Value: data,
		Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte("/load")},
			{Key: "ce_type", Value: []byte(kind)}, {Key: "ce_specversion", Value: []byte("1.0")}}}).FirstErr())
}

// TestRow72_LargeEventForManyWebhooks: an event of 10 MiB for 200 webhooks, a few of which hang, passes through a process
// that could not hold 40 copies of it. It arrives everywhere, and so do the small events that come behind it, at once.
func TestRow72_LargeEventForManyWebhooks(t *testing.T) {
	const webhooks, hanging, memory, eventMax = 200, 2, 400 * mib, 10 * mib
	size := eventMax - 64<<10
	if raceDetector() {
		size = 3 * mib // each byte costs it several times as much
	}
	f := newFleet(t, time.Second, 5*time.Second)
	f.timeout = 5 * time.Second
	f.allowLarge(t, eventMax)
	ta, server := newTally(t, webhooks/hanging)
	p := f.start(t, "memory", "--memory", "400MiB", "--event-max-bytes", "10MiB")
	p.awaitReady(t, f)
	f.register(t, p.api, newOracle(), server.URL, webhooks, 1)
	small, smallServer := newTally(t, webhooks) // hook-000 hangs, the other does not
	_, err := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{
		"id": "small-001", "url": smallServer.URL + "/hook/small-001", "events": []string{"load.small"}}, nil)
	require.NoError(t, err)

	g := follow(t, p)
	begun := time.Now()
	publishOne(t, f, f.domains[0], "load.type0", "large", append(append([]byte(`{"text":"`), bytes.Repeat([]byte("0123456789abcdef"), size/16)...), `"}`...))
	const smalls = 20
	for i := range smalls {
		publishOne(t, f, f.domains[0], "load.small", fmt.Sprintf("small-%d", i), []byte(`{"n":1}`))
	}
	arrived := func(n int) bool {
		return assert.Eventually(t, func() bool { return ta.satisfied(1) >= n }, settleTimeout, 50*time.Millisecond)
	}
	require.Eventually(t, func() bool { return small.satisfied(smalls) == 1 }, settleTimeout, 20*time.Millisecond, "%s", &f.logs)
	t.Logf("small events behind it: %s, when %d webhooks had the large one", time.Since(begun).Round(time.Millisecond), ta.satisfied(1))
	if !arrived(webhooks - hanging) {
		t.Fatalf("%d of %d webhooks have it:\n%s", ta.satisfied(1), webhooks, &f.logs)
	}
	t.Logf("all that do not hang: %s", time.Since(begun).Round(time.Millisecond))
	ta.heal()
	if !arrived(webhooks) {
		t.Fatalf("after the hanging ones healed, %d of %d webhooks have it:\n%s", ta.satisfied(1), webhooks, &f.logs)
	}
	g.end(t)
	t.Logf("all: %s, %d MiB arrived", time.Since(begun).Round(time.Millisecond), ta.bytes.Load()/mib)
	g.within(t, memory)
	m, err := divideMemory(memory, eventMax, intake.Limits{})
	require.NoError(t, err)
	require.LessOrEqual(t, g.peakBodies, float64(m.Bodies))
	require.LessOrEqual(t, g.peakWindow, float64(m.Window+m.Fetch), "one poll is what a window may be passed by")
	require.LessOrEqual(t, g.peakGoroutines, f.goroutines(webhooks+1))
}

// TestRow37_BacklogWithHangingEndpoints: a backlog of small events, and a fifth of the endpoints hang. The memory is the
// least that there is, intake pauses and goes on, and goroutines are bounded by what may be under way.
func TestRow37_BacklogWithHangingEndpoints(t *testing.T) {
	const webhooks, types, memory = 50, 10, 128 * mib
	events := 60_000 // 20 times what the window holds
	if raceDetector() {
		events = 8_000
	}
	if os.Getenv("RELAY_TEST_FULL") != "" {
		events = 2_000_000
	}
	f := newFleet(t, time.Second, 5*time.Second)
	ta, server := newTally(t, 5)
	seed := f.start(t, "memory", "--memory", "128MiB")
	seed.awaitReady(t, f)
	l := f.register(t, seed.api, newOracle(), server.URL, webhooks, types)
	seed.stop(t, f)
	text := strings.Repeat("lorem ipsum ", 50)
	for i := range events {
		id := fmt.Sprintf("evt-%07d", i)
		f.client.Produce(t.Context(), &kgo.Record{Topic: f.domains[i%len(f.domains)], Key: []byte(id), Value: []byte(fmt.Sprintf(`{"n":%d,"text":%q}`, i, text)),
			Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte("/load")},
				{Key: "ce_type", Value: []byte(fmt.Sprintf("load.type%d", i%types))}, {Key: "ce_specversion", Value: []byte("1.0")}}}, nil)
	}
	require.NoError(t, f.client.Flush(t.Context()))

	p := f.start(t, "memory", "--memory", "128MiB")
	g := follow(t, p)
	each := events / types
	settled := assert.Eventually(t, func() bool {
		left, err := lag(t.Context(), f.admin, f.group, f.domains...)
		return err == nil && left == 0 && ta.satisfied(each) >= webhooks-webhooks/5
	}, 2*settleTimeout, 200*time.Millisecond)
	g.end(t)
	if !settled {
		t.Fatalf("%d of %d webhooks have all:\n%s", ta.satisfied(each), webhooks, &f.logs)
	}
	g.within(t, memory)
	m, err := divideMemory(memory, mib, intake.Limits{})
	require.NoError(t, err)
	require.LessOrEqual(t, g.peakWindow, float64(m.Window+m.Fetch))

	require.LessOrEqual(t, g.peakGoroutines, f.goroutines(len(l.names)))
}

// goroutines is the bound of one process: two of each connection to Kafka and Redis and of each API connection, two of
// each partition that may be assigned, and those of the attempts that may be under way.
func (f *fleet) goroutines(endpoints int) float64 {
	const clients, concurrency = 250, 8
	partitions := len(f.domains)*domainPartitions + len(f.topics.Delays)*int(f.topics.Partitions)
	return float64(clients + 2*partitions + concurrency*endpoints)
}
