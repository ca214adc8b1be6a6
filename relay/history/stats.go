package history

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Step is the span of time that one bucket of Stats covers.
type Step string

// The steps: minutes are kept for 6 h, hours for 7 d.
const (
	StepMinute Step = "minute"
	StepHour   Step = "hour"
)

func (s Step) grain() grain {
	if s == StepMinute {
		return byMinute
	}
	return byHour
}

// Counts are what became of a webhook's deliveries in a span of time.
type Counts struct {
	// Attempts are requests that were made; Delivered of them were answered with a 2xx and Failed were not.
	Attempts, Delivered, Failed int64
	// Deliveries that are tried again, kept for an operator, dropped by the webhook's own failure handling, or cancelled
	// because it was deleted or disabled. One delivery may be retried many times.
	Retried, Diverted, Dropped, Cancelled int64
	// Latency of the attempts; nil when there were none.
	Latency *Latency
}

// Latency are percentiles in milliseconds, rounded up to the bound of a bucket (1, 2, 5, 10, … 30 000).
type Latency struct{ P50, P90, P99 float64 }

func (c *counts) public() Counts {
	p := Counts{
		Attempts: c.n[countAttempts], Delivered: c.n[countDelivered], Failed: max(0, c.n[countAttempts]-c.n[countDelivered]),
		Retried: c.n[countRetried], Diverted: c.n[countDiverted], Dropped: c.n[countDropped], Cancelled: c.n[countCancelled],
	}
	if p50, ok := c.percentile(0.5); ok {
		p90, _ := c.percentile(0.9)
		p99, _ := c.percentile(0.99)
		p.Latency = &Latency{p50, p90, p99}
	}
	return p
}

// Bucket are the counts of one step, which begins at At.
type Bucket struct {
	At time.Time
	Counts
}

// Stats are a webhook's counts over time.
type Stats struct {
	// Since is when counting began: it covers nothing earlier.
	Since time.Time
	// Total of the buckets, which are the latest first; those in which nothing happened are left out.
	Total   Counts
	Buckets []Bucket
}

// StatsQuery selects counts. From and To bound the time: From inclusive, To exclusive; both are rounded down to steps.
type StatsQuery struct {
	UID      string
	Step     Step
	From, To time.Time
}

// Stats counts what became of a webhook's deliveries. ErrUnavailable.
func (h *History) Stats(ctx context.Context, q StatsQuery) (Stats, error) {
	g, now := q.Step.grain(), time.Now()
	earliest := now.Add(-g.keptFor).Unix()
	from, to := max(earliest, unixOf(q.From, earliest)), min(now.Unix(), unixOf(q.To, now.Unix()))
	step, group := int64(g.step/time.Second), int64(g.group/time.Second)
	from -= from % step

	var hashes []*redis.MapStringStringCmd
	first := g.groupOf(from)
	since, err := h.ask(ctx, func(p redis.Pipeliner) {
		for n := first; n <= g.groupOf(to); n++ {
			hashes = append(hashes, p.HGetAll(ctx, h.keys.counts(q.UID, g, n)))
		}
	})
	if err != nil {
		return Stats{}, err
	}
	var total counts
	stats := Stats{Since: since}
	for i, hash := range hashes {
		for s, c := range countsOf(hash.Val()) {
			at := (first+int64(i))*group + s*step
			if at < from || at > to || (!q.To.IsZero() && at >= q.To.Unix()) {
				continue
			}
			total.plus(c)
			stats.Buckets = append(stats.Buckets, Bucket{At: time.Unix(at, 0).UTC(), Counts: c.public()})
		}
	}
	slices.SortFunc(stats.Buckets, func(a, b Bucket) int { return b.At.Compare(a.At) })
	stats.Total = total.public()
	return stats, nil
}

func unixOf(t time.Time, otherwise int64) int64 {
	if t.IsZero() {
		return otherwise
	}
	return t.Unix()
}

// countsOf reads a hash: fields are "step.name". What is not of this form is left alone.
func countsOf(hash map[string]string) map[int64]*counts {
	steps := map[int64]*counts{}
	for field, text := range hash {
		step, name, ok := strings.Cut(field, ".")
		s, stepErr := strconv.ParseInt(step, 10, 64)
		n, err := strconv.ParseInt(text, 10, 64)
		if !ok || errors.Join(stepErr, err) != nil || s < 0 || n < 0 {
			continue
		}
		c := steps[s]
		if c == nil {
			c = &counts{}
			steps[s] = c
		}
		c.set(name, n)
	}
	return steps
}
