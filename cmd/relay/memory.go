package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"sort"

	"github.com/prometheus/client_golang/prometheus"

	"eventrelay/relay"
	"eventrelay/relay/intake"
)

// memory is what a process may use, divided among what grows with traffic. Every part is bounded by its share; what is
// left is for what grows with the number of webhooks, and for the runtime.
type memory struct {
	total int64
	// Window holds the events that were read and not settled, RetryWindow those that fell due.
	Window, RetryWindow int64
	// Fetch is for answers of Kafka that were not polled yet, of all consumers together.
	Fetch int64
	// Producer is for records that wait to be written, and their encoded copies.
	Producer int64
	// Entries is what records and deliveries in both windows cost besides their bytes.
	Entries int64
	// Finished is what records cost that are settled above one that is not.
	Finished int64
	// Attempts is for attempts under way: stack, connection, buffers, and bodies of ordinary size.
	Attempts int64
	// Bodies is for larger bodies.
	Bodies int64
}

const (
	mib = 1 << 20
	// maxMemory is more than any machine has that this runs on: 1 TiB.
	maxMemory = 1 << 40
	// memoryParts: shares are counted in 32nds, 16 MiB each of the default of 512 MiB.
	memoryParts = 32
	// runtimeBytes is what a process needs that relays nothing: measured 25 MiB with its clients connected.
	runtimeBytes = 32 * mib
	// windows there are: of intake, and of the retry wheel.
	windows = 2
	// entryBytes is what a record and its delivery cost besides their bytes: measured 2 to 3 KiB.
	entryBytes = 3 << 10
	// maxEntries bounds the derived numbers of records and of deliveries in a window.
	maxEntries = 10_000
	// maxFinished bounds the derived number of finished records: 33 000 a second for the 30 s that an attempt may take.
	maxFinished = 1_000_000
	// consumers that may read events of the largest size: both windows', and the index of diverted events.
	consumers = windows + 1
	// fetchAnswers is how many answers of Kafka fit into a consumer's share: one for each broker, as stored.
	fetchAnswers = 8
	// minFetch keeps fetches of small shares worth their round trip.
	minFetch = mib
)

// divideMemory gives each part its share of total, and at least what one event of eventMax needs there. set is what the
// operator set for the window, 0 for its share; it counts with what it takes. The shares add up to at most total; a
// total that is too small for that is an error that names the least that is enough.
func divideMemory(total, eventMax int64, set intake.Limits) (memory, error) {
	m := shares(total, eventMax, set)
	if !m.fits() {
		least := sort.Search(maxMemory/mib, func(n int) bool { return shares(int64(n)*mib, eventMax, set).fits() })
		return memory{}, fmt.Errorf("is %s: events of %s and a window of %s need %s", byteSize(total), byteSize(eventMax), byteSize(m.Window), byteSize(least)*mib)
	}
	return m, nil
}

func (m memory) fits() bool { return m.sum()+runtimeBytes <= m.total }

// shares of a total, whether they fit into it or not.
func shares(total, eventMax int64, set intake.Limits) memory {
	record := eventMax + relay.EnvelopeBytes
	share := func(parts, records int64) int64 { return max(total/memoryParts*parts, records*record) }
	m := memory{total: total,
		Window:      share(4, 1),
		RetryWindow: share(2, 4),           // half of it for large values that are due, two at least
		Fetch:       share(2, 2*consumers), // of each one answer, and its batch decompressed
		Producer:    share(3, 2),           // one waits, one is being sent
		Entries:     max(share(4, 0), windows*entryBytes*int64(max(set.Records, set.Deliveries))),
		Finished:    share(3, 0),
		Attempts:    share(4, 0),
		Bodies:      share(2, largestBody),
	}
	if set.Bytes > 0 {
		m.Window = set.Bytes
	}
	return m
}

// largestBody is the largest body of an event in multiples of its size: the receeve format, which holds it twice, once
// escaped.
const largestBody = 4

// parts in a fixed order, by the names that metrics give them.
func (m memory) parts() []memoryPart {
	return []memoryPart{{"window", m.Window}, {"retry_window", m.RetryWindow}, {"fetch", m.Fetch}, {"producer", m.Producer},
		{"entries", m.Entries}, {"finished", m.Finished}, {"attempts", m.Attempts}, {"bodies", m.Bodies}}
}

type memoryPart struct {
	name  string
	bytes int64
}

func (m memory) sum() int64 {
	var sum int64
	for _, p := range m.parts() {
		sum += p.bytes
	}
	return sum
}

// entries is how many records, and how many deliveries, a window may hold where the operator set nothing.
func (m memory) entries() int { return int(min(m.Entries/windows/entryBytes, maxEntries)) }

// limits of the two windows. What the operator set wins over what is derived.
func (m memory) limits(set intake.Limits) (window, retry intake.Limits) {
	if set.Records == 0 {
		set.Records = m.entries()
	}
	if set.Deliveries == 0 {
		set.Deliveries = m.entries()
	}
	set.Bytes = m.Window
	set.Finished = int(min(m.Finished*3/4/intake.FinishedBytes, maxFinished))
	retry = set
	retry.Bytes = m.RetryWindow
	retry.Finished = int(min(m.Finished/4/intake.FinishedBytes, maxFinished))
	return set, retry
}

// fetchBytes of one answer of Kafka. A broker answers with at least one batch, however large.
func (m memory) fetchBytes() int {
	return int(min(max(m.Fetch/consumers/fetchAnswers, minFetch), 16*mib))
}

// journalBytes and attemptLogBytes bound the records that wait in the two producers: half of the share, because what
// is being sent is there a second time, encoded. A record that is larger than the bound would be refused.
func (m memory) journalBytes(eventMax int) int {
	return int(max(m.Producer*3/8, int64(eventMax)+relay.EnvelopeBytes))
}

func (m memory) attemptLogBytes() int { return int(m.Producer / 8) }

// limitRuntime makes the garbage collector keep the process within its memory, unless the environment says how much it
// may use (GOMEMLIMIT). It is not for `relay dev`, whose embedded Kafka keeps its records in memory.
func limitRuntime(total int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(total)
	}
}

// register exports the shares; what is used of them is exported by whoever holds it.
func (m memory) register(reg prometheus.Registerer) {
	shares := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "relay_memory_share_bytes", Help: "Shares of the configured memory, by the part of the process that each bounds; rest is for webhooks and the runtime."}, []string{"part"})
	for _, p := range m.parts() {
		shares.WithLabelValues(p.name).Set(float64(p.bytes))
	}
	shares.WithLabelValues("rest").Set(float64(m.total - m.sum()))
	reg.MustRegister(shares)
}
