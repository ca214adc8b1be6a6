package main

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"eventrelay/relay"
	"eventrelay/relay/intake"
)

func TestDivideMemory(t *testing.T) {
	t.Parallel()
	const record10 = 10*mib + relay.EnvelopeBytes
	for _, tc := range []struct {
		name            string
		total, eventMax int64
		set             intake.Limits
		want            memory
		refused         string
	}{
		{name: "default", total: 512 * mib, eventMax: 10 * mib, want: memory{total: 512 * mib, Window: 64 * mib, RetryWindow: 4 * record10,
			Fetch: 6 * record10, Producer: 48 * mib, Entries: 64 * mib, Finished: 48 * mib, Attempts: 64 * mib, Bodies: 4 * record10}},
		{name: "small events follow the shares", total: 128 * mib, eventMax: mib, want: memory{total: 128 * mib, Window: 16 * mib, RetryWindow: 8 * mib,
			Fetch: 8 * mib, Producer: 12 * mib, Entries: 16 * mib, Finished: 12 * mib, Attempts: 16 * mib, Bodies: 8 * mib}},
		{name: "large events raise them", total: 400 * mib, eventMax: 10 * mib, want: memory{total: 400 * mib, Window: 50 * mib, RetryWindow: 4 * record10,
			Fetch: 6 * record10, Producer: 75 * mib / 2, Entries: 50 * mib, Finished: 75 * mib / 2, Attempts: 50 * mib, Bodies: 4 * record10}},
		{name: "a window of the operator's", total: 512 * mib, eventMax: mib, set: intake.Limits{Bytes: 128 * mib}, want: memory{total: 512 * mib,
			Window: 128 * mib, RetryWindow: 32 * mib, Fetch: 32 * mib, Producer: 48 * mib, Entries: 64 * mib, Finished: 48 * mib, Attempts: 64 * mib, Bodies: 32 * mib}},
		{name: "more deliveries of the operator's", total: 512 * mib, eventMax: mib, set: intake.Limits{Records: 5, Deliveries: 20 << 10}, want: memory{total: 512 * mib,
			Window: 64 * mib, RetryWindow: 32 * mib, Fetch: 32 * mib, Producer: 48 * mib, Entries: 120 * mib, Finished: 48 * mib, Attempts: 64 * mib, Bodies: 32 * mib}},
		{name: "too small for anything", total: 127 * mib, eventMax: mib, refused: "is 127MiB: events of 1MiB and a window of 16256KiB need 128MiB"},
		{name: "too small for the events", total: 128 * mib, eventMax: 10 * mib, refused: "is 128MiB: events of 10MiB and a window of 16MiB need 396MiB"},
		{name: "too small for the window", total: 512 * mib, eventMax: mib, set: intake.Limits{Bytes: 512 * mib},
			refused: "is 512MiB: events of 1MiB and a window of 512MiB need 1451MiB"},
		{name: "too small for the records", total: 512 * mib, eventMax: mib, set: intake.Limits{Records: 1_000_000},
			refused: "is 512MiB: events of 1MiB and a window of 64MiB need 15711MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := divideMemory(tc.total, tc.eventMax, tc.set)
			if tc.refused != "" {
				require.EqualError(t, err, tc.refused)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

// Whatever is asked for: the parts add up to what there is at most, and each holds an event of the largest size. What is
// refused names a total that is enough, and the largest that is not is one MiB less.
func FuzzDivideMemory(f *testing.F) {
	f.Add(int64(512*mib), int64(10*mib), int64(0), 0)
	f.Add(int64(64*mib), int64(1<<10), int64(0), 0)
	f.Add(int64(1<<40), int64(maxEventMax), int64(64<<30), 10_000_000)
	f.Add(int64(1<<20), int64(maxEventMax), int64(64<<30), 10_000_000)
	f.Fuzz(func(t *testing.T, total, eventMax, window int64, entries int) {
		if total < 0 || total > maxMemory || eventMax < 0 || eventMax > maxEventMax || window < 0 || window > 64<<30 || entries < 0 || entries > 10_000_000 {
			t.Skip("refused by the configuration")
		}
		set := intake.Limits{Bytes: window, Records: entries, Deliveries: entries / 2}
		m, err := divideMemory(total, eventMax, set)
		if err != nil {
			text := err.Error()
			var least byteSize
			require.NoError(t, least.UnmarshalText([]byte(text[strings.LastIndexByte(text, ' ')+1:])))
			require.True(t, shares(int64(least), eventMax, set).fits())
			require.False(t, shares(int64(least)-mib, eventMax, set).fits())
			return
		}
		require.LessOrEqual(t, m.sum()+runtimeBytes, total)
		record := eventMax + relay.EnvelopeBytes
		require.GreaterOrEqual(t, m.RetryWindow, record)
		require.GreaterOrEqual(t, m.Bodies, largestBody*eventMax)
		require.GreaterOrEqual(t, int64(m.journalBytes(int(eventMax))), record, "a record that is larger than the buffer would be refused")
		require.LessOrEqual(t, int64(m.journalBytes(int(eventMax))+m.attemptLogBytes()), m.Producer)
		intakes, retries := m.limits(set)
		require.LessOrEqual(t, int64(intakes.Finished+retries.Finished)*intake.FinishedBytes, m.Finished)
		require.LessOrEqual(t, int64(max(intakes.Records, intakes.Deliveries)+max(retries.Records, retries.Deliveries))*entryBytes, m.Entries)
		require.Positive(t, min(intakes.Records, intakes.Deliveries, intakes.Finished, retries.Records, retries.Deliveries, retries.Finished))
	})
}

func TestMemory_Limits(t *testing.T) {
	t.Parallel()
	m, err := divideMemory(512*mib, 10*mib, intake.Limits{})
	require.NoError(t, err)
	window, retry := m.limits(intake.Limits{})
	require.Equal(t, intake.Limits{Records: 10_000, Bytes: 64 * mib, Deliveries: 10_000, Finished: 786_432}, window)
	require.Equal(t, intake.Limits{Records: 10_000, Bytes: 4 * (10*mib + relay.EnvelopeBytes), Deliveries: 10_000, Finished: 262_144}, retry)
	require.Equal(t, int(6*(10*mib+relay.EnvelopeBytes)/24), m.fetchBytes())

	small, err := divideMemory(128*mib, mib, intake.Limits{Records: 7})
	require.NoError(t, err)
	window, _ = small.limits(intake.Limits{Records: 7})
	require.Equal(t, intake.Limits{Records: 7, Bytes: 16 * mib, Deliveries: 2730, Finished: 196_608}, window, "what the operator sets wins, the rest follows the memory")
}

func TestMemory_Metrics(t *testing.T) {
	t.Parallel()
	m, err := divideMemory(512*mib, 10*mib, intake.Limits{})
	require.NoError(t, err)
	reg := prometheus.NewRegistry()
	m.register(reg)
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	sum := 0.0
	for _, metric := range families[0].Metric {
		sum += metric.Gauge.GetValue()
	}
	require.InDelta(t, 512*mib, sum, 0, "with the rest they are all there is")
}

func TestConfig_MemoryTooSmall(t *testing.T) {
	withKeys(t)
	_, err := parse("serve", "--memory", "64MiB")
	require.ErrorContains(t, err, "--memory (RELAY_MEMORY, memory in the file) is 64MiB: events of 10MiB and a window of ")
	require.ErrorContains(t, err, "raise it, or lower event.maxBytes or what is set of the window")
}
