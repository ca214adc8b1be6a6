package history

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

func observe(r *Recent, a Attempt, response string) { r.Observe(&a, []byte(response)) }

func ids(items []Attempt) []string {
	var list []string
	for _, a := range items {
		list = append(list, a.EventID)
	}
	return list
}

func TestRecent_KeepsTheLatestAndTheLatestFailures(t *testing.T) {
	b := newBench(t)
	r := b.recent()
	for i := range 250 {
		observe(r, attempt("w", i), "no")
	}
	r.write(t.Context())
	for i := 250; i < 280; i++ {
		observe(r, attempt("w", i), "no")
	}
	r.write(t.Context())

	all, err := b.Recent(t.Context(), RecentQuery{Tenant: "acme", UID: "w", Limit: 200})
	require.NoError(t, err)
	require.Len(t, all.Items, kept)
	require.Equal(t, "evt-279", all.Items[0].EventID)
	require.Equal(t, "evt-180", all.Items[99].EventID)
	require.Empty(t, all.Next)
	first := all.Items[0]
	require.Equal(t, attempt("w", 279).At, first.At)
	require.Equal(t, first.At.Add(5*time.Second), first.NextAt())
	require.Equal(t, "no", first.Response)
	require.True(t, all.Items[1].NextAt().IsZero())

	failed, err := b.Recent(t.Context(), RecentQuery{Tenant: "acme", UID: "w", Result: ResultFailed, Limit: 200})
	require.NoError(t, err)
	require.Len(t, failed.Items, 94, "every failure there was, which reach further back than those among all")
	require.Equal(t, "evt-0", failed.Items[93].EventID)
	require.Equal(t, time.Duration(keptFor), b.mini.TTL("relay:{history:w}:all"))
}

func TestRecent_FiltersAndPages(t *testing.T) {
	b := newBench(t)
	r := b.recent()
	for i := range 10 {
		observe(r, attempt("w", i), "")
	}
	r.write(t.Context())
	for _, c := range []struct {
		name  string
		query RecentQuery
		want  string
	}{
		{"delivered", RecentQuery{Result: ResultDelivered}, "evt-8 evt-7 evt-5 evt-4 evt-2 evt-1"},
		{"failed", RecentQuery{Result: ResultFailed}, "evt-9 evt-6 evt-3 evt-0"},
		{"event", RecentQuery{EventID: "evt-4"}, "evt-4"},
		{"before", RecentQuery{To: attempt("w", 2).At}, "evt-1 evt-0"},
		{"another tenant", RecentQuery{Tenant: "other"}, ""},
		{"another webhook", RecentQuery{UID: "v"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.query.Limit = 100
			if c.query.Tenant == "" {
				c.query.Tenant = "acme"
			}
			if c.query.UID == "" {
				c.query.UID = "w"
			}
			got, err := b.Recent(t.Context(), c.query)
			require.NoError(t, err)
			require.Equal(t, c.want, strings.Join(ids(got.Items), " "))
		})
	}

	var seen []string
	q := RecentQuery{Tenant: "acme", UID: "w", Limit: 3}
	for page := 0; ; page++ {
		got, err := b.Recent(t.Context(), q)
		require.NoError(t, err)
		seen = append(seen, ids(got.Items)...)
		if q.Cursor = got.Next; q.Cursor == "" {
			break
		}
		observe(r, attempt("w", 100+page), "") // what comes in between shifts nothing
		r.write(t.Context())
	}
	require.Equal(t, "evt-9 evt-8 evt-7 evt-6 evt-5 evt-4 evt-3 evt-2 evt-1 evt-0", strings.Join(seen, " "))
	for _, bad := range []string{"x", "1/2", "a/1/d", "1/a/d"} {
		_, err := b.Recent(t.Context(), RecentQuery{Tenant: "acme", UID: "w", Limit: 3, Cursor: bad})
		require.ErrorIs(t, err, ErrBadCursor, bad)
	}
}

func TestStats_CountByMinuteAndByHour(t *testing.T) {
	b := newBench(t)
	r := b.recent()
	for i := range 9 {
		observe(r, attempt("w", i), "")
	}
	later := attempt("w", 1)
	later.At = start.Add(5 * time.Minute)
	observe(r, later, "")
	for _, outcome := range []string{OutcomeDiverted, OutcomeSuspended, OutcomeDropped, OutcomeCancelled} {
		a := attempt("w", 3)
		a.Attempt, a.Outcome = 0, outcome
		observe(r, a, "")
	}
	r.write(t.Context())

	for _, step := range []Step{StepMinute, StepHour} {
		stats, err := b.Stats(t.Context(), StatsQuery{UID: "w", Step: step})
		require.NoError(t, err)
		require.Equal(t, Counts{Attempts: 10, Delivered: 7, Failed: 3, Retried: 3, Diverted: 2, Dropped: 1, Cancelled: 1,
			Latency: &Latency{P50: 5, P90: 1000, P99: 1000}}, stats.Total)
		require.WithinDuration(t, time.Now(), stats.Since, time.Minute)
		if step == StepMinute {
			require.Len(t, stats.Buckets, 2)
			require.Equal(t, start.Add(5*time.Minute).Truncate(time.Minute), stats.Buckets[0].At)
			require.EqualValues(t, 1, stats.Buckets[0].Attempts)
			require.Equal(t, start.Truncate(time.Minute), stats.Buckets[1].At)
			continue
		}
		require.Len(t, stats.Buckets, 1)
		require.Equal(t, start.Truncate(time.Hour), stats.Buckets[0].At)
	}
	stats, err := b.Stats(t.Context(), StatsQuery{UID: "w", Step: StepMinute, From: start, To: start.Add(time.Minute)})
	require.NoError(t, err)
	require.EqualValues(t, 9, stats.Total.Attempts)
	stats, err = b.Stats(t.Context(), StatsQuery{UID: "nobody", Step: StepHour})
	require.NoError(t, err)
	require.Zero(t, stats.Total)
}

// TestRecent_BeginsAnew: after FLUSHALL, and after a batch that Redis did not take, the recent view says since when it
// counts.
func TestRecent_BeginsAnew(t *testing.T) {
	b := newBench(t)
	r := b.recent()
	since := func() time.Time {
		stats, err := b.Stats(t.Context(), StatsQuery{UID: "w", Step: StepHour})
		require.NoError(t, err)
		return stats.Since
	}
	hourAgo := time.Now().Add(-time.Hour).UnixMilli()
	setSince := func() { require.NoError(t, b.mini.Set("relay:history:since", fmt.Sprint(hourAgo))) }

	setSince()
	observe(r, attempt("w", 1), "")
	r.write(t.Context())
	require.Equal(t, hourAgo, since().UnixMilli(), "nothing was lost")

	b.mini.FlushAll()
	require.WithinDuration(t, time.Now(), since(), time.Minute)
	observe(r, attempt("w", 1), "")
	r.write(t.Context())
	page, err := b.Recent(t.Context(), RecentQuery{Tenant: "acme", UID: "w", Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)

	setSince()
	b.mini.SetError("LOADING")
	observe(r, attempt("w", 2), "")
	r.write(t.Context())
	require.EqualValues(t, 1, counted(t, r.metrics.lost))
	_, err = b.Recent(t.Context(), RecentQuery{Tenant: "acme", UID: "w", Limit: 10})
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = b.Stats(t.Context(), StatsQuery{UID: "w", Step: StepHour})
	require.ErrorIs(t, err, ErrUnavailable)
	b.mini.SetError("")
	r.write(t.Context())
	require.WithinDuration(t, time.Now(), since(), time.Minute, "the lost batch is not covered")

	require.NoError(t, b.mini.Set("relay:history:since", fmt.Sprint(time.Now().Add(-keptFor-time.Hour).UnixMilli())))
	require.WithinDuration(t, time.Now().Add(-keptFor), since(), time.Minute, "what is older than it is kept is not covered")
}

// TestRecent_IsBounded: more than fits is shed and counted, and nothing waits for a Redis that hangs.
func TestRecent_IsBounded(t *testing.T) {
	b := newBench(t)
	r := b.recent()
	for i := range maxEntries + 500 {
		a := attempt(fmt.Sprintf("w%d", i%1000), 1)
		observe(r, a, strings.Repeat("x", 1024))
	}
	require.Equal(t, maxEntries, r.entries)
	require.EqualValues(t, 500, counted(t, r.metrics.shedEntries))
	require.False(t, r.incomplete.Load(), "attempts were shed, their counts were not")
	for i := range maxWebhooks {
		observe(r, attempt(fmt.Sprintf("v%d", i), 1), "")
	}
	require.Equal(t, maxWebhooks, r.waiting())
	require.EqualValues(t, 1000, counted(t, r.metrics.shedCounts))
	require.True(t, r.incomplete.Load())
	taken := 0
	for r.waiting() > 0 {
		batch := r.take()
		require.LessOrEqual(t, len(batch), batchWebhooks)
		taken += len(batch)
	}
	require.Equal(t, maxWebhooks, taken)
	require.Zero(t, r.entries)
}

func TestRecent_RunWritesWhatIsLeftAtTheEnd(t *testing.T) {
	b := newBench(t)
	r := b.recent()
	ctx, stop := context.WithCancel(t.Context())
	r.every = time.Millisecond
	var run sync.WaitGroup
	run.Go(func() { r.Run(ctx) })
	observe(r, attempt("w", 1), "")
	require.Eventually(t, func() bool {
		page, err := b.Recent(t.Context(), RecentQuery{Tenant: "acme", UID: "w", Limit: 10})
		return err == nil && len(page.Items) == 1
	}, 10*time.Second, time.Millisecond)
	stop()
	run.Wait()
	observe(r, attempt("v", 1), "")
	r.Run(ctx)
	page, err := b.Recent(t.Context(), RecentQuery{Tenant: "acme", UID: "v", Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
}

// TestRecent_ResponseIsTextAndBounded: whatever a receiver answers can be shown.
func TestRecent_ResponseIsTextAndBounded(t *testing.T) {
	b := newBench(t)
	r := b.recent()
	observe(r, attempt("w", 1), "\xff<script>"+strings.Repeat("ä", 600))
	r.write(t.Context())
	page, err := b.Recent(t.Context(), RecentQuery{Tenant: "acme", UID: "w", Limit: 10})
	require.NoError(t, err)
	require.LessOrEqual(t, len(page.Items[0].Response), keptResponse+6, "what is not UTF-8 is replaced by three bytes")
	require.True(t, strings.HasPrefix(page.Items[0].Response, "\uFFFD<script>ä"))
}

func TestCounts_Percentile(t *testing.T) {
	var c counts
	_, ok := c.percentile(0.5)
	require.False(t, ok)
	for _, ms := range []float64{0.2, 1, 1.1, 40, 1e6} {
		c.latency[latencyBucket(ms)]++
	}
	for p, want := range map[float64]float64{0: 1, 0.5: 2, 0.75: 50, 1: 30_000} {
		got, ok := c.percentile(p)
		require.True(t, ok)
		require.Equal(t, want, got, p)
	}
}

// FuzzCountsOf: whatever Redis holds under our keys is read without harm.
func FuzzCountsOf(f *testing.F) {
	f.Add("3.ok", "1")
	f.Add("3.l99", "-1")
	f.Add(".", "")
	f.Fuzz(func(t *testing.T, field, value string) {
		for _, c := range countsOf(map[string]string{field: value}) {
			require.GreaterOrEqual(t, c.public().Attempts, int64(0))
		}
	})
}

// BenchmarkRecent_Observe is what the delivery path pays for each attempt, with a goroutine that takes what was observed.
func BenchmarkRecent_Observe(b *testing.B) {
	for _, webhooks := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(webhooks), func(b *testing.B) {
			r := NewRecent(RecentOptions{})
			attempts := make([]Attempt, webhooks)
			for i := range attempts {
				attempts[i] = attempt(fmt.Sprintf("wh_%026d", i), 1)
			}
			response := []byte("ok")
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				r.Observe(&attempts[i%webhooks], response)
				if i++; i%20_000 == 0 { // about a second's
					for r.waiting() > 0 {
						r.recycle(r.take())
					}
				}
			}
		})
	}
}

// BenchmarkRecent_Encode is what writing a full batch costs besides Redis' own time.
func BenchmarkRecent_Encode(b *testing.B) {
	t := &tally{uid: "wh_1"}
	for i := range kept {
		a := attempt("wh_1", i)
		t.count(&a)
		t.all.put(entry{attempt: a, response: []byte("ok")})
	}
	for b.Loop() {
		keys{"relay:"}.push(t)
	}
}

func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	require.NoError(t, c.Write(&m))
	return m.GetCounter().GetValue()
}
