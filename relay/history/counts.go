package history

import (
	"strconv"
	"time"
)

// counter is one number of a webhook's counts. Its name is that of the field in Redis, so a name is never given another
// meaning.
type counter uint8

const (
	countAttempts  counter = iota // requests that were made
	countDelivered                // … and answered with a 2xx
	countRetried                  // deliveries that are tried again
	countDiverted                 // … are kept for an operator, suspended ones included
	countDropped                  // … are dropped by the webhook's own failure handling
	countCancelled                // … are cancelled because the webhook was deleted or disabled
	counters
)

var counterNames = [counters]string{countAttempts: "a", countDelivered: "ok", countRetried: "r", countDiverted: "dv", countDropped: "dr", countCancelled: "c"}

// latencyBounds are the upper bounds of the buckets that latencies are counted in, in milliseconds; the last bucket has
// none.
var latencyBounds = [...]float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000}

const latencyBuckets = len(latencyBounds) + 1

// counts are numbers of one webhook for one span of time.
type counts struct {
	n       [counters]int64
	latency [latencyBuckets]int64
}

// minuteCounts are counts of one minute.
type minuteCounts struct {
	minute int64 // Unix minutes
	counts
}

// count adds what one attempt says. A tally is written soon, so that it covers one minute or two.
func (t *tally) count(a *Attempt) {
	minute := a.At.Unix() / 60
	last := len(t.minutes) - 1
	if last < 0 || t.minutes[last].minute != minute {
		t.minutes = append(t.minutes, minuteCounts{minute: minute})
		last++
	}
	t.minutes[last].add(a)
}

func (c *counts) add(a *Attempt) {
	if a.Attempt > 0 {
		c.n[countAttempts]++
		c.latency[latencyBucket(a.LatencyMS)]++
	}
	switch a.Outcome {
	case OutcomeDelivered:
		c.n[countDelivered]++
	case OutcomeRetried:
		c.n[countRetried]++
	case OutcomeDiverted, OutcomeSuspended:
		c.n[countDiverted]++
	case OutcomeDropped:
		c.n[countDropped]++
	case OutcomeCancelled:
		c.n[countCancelled]++
	}
}

func latencyBucket(ms float64) int {
	for i, bound := range latencyBounds {
		if ms <= bound {
			return i
		}
	}
	return len(latencyBounds)
}

func (c *counts) plus(other *counts) {
	for i := range c.n {
		c.n[i] += other.n[i]
	}
	for i := range c.latency {
		c.latency[i] += other.latency[i]
	}
}

// percentile is the bound of the bucket that the p-th part of the latencies lies in: exact to the bucket. false: there
// are none.
func (c *counts) percentile(p float64) (ms float64, ok bool) {
	var total int64
	for _, n := range c.latency {
		total += n
	}
	if total == 0 {
		return 0, false
	}
	rank, seen := int64(p*float64(total-1)), int64(0)
	for i, n := range c.latency {
		if seen += n; seen > rank {
			return latencyBounds[min(i, len(latencyBounds)-1)], true
		}
	}
	return latencyBounds[len(latencyBounds)-1], true
}

// fields calls f with the name and value of every number that is not 0.
func (c *counts) fields(f func(name string, n int64)) {
	for i, n := range c.n {
		if n != 0 {
			f(counterNames[i], n)
		}
	}
	for i, n := range c.latency {
		if n != 0 {
			f("l"+strconv.Itoa(i), n)
		}
	}
}

// set is the reverse of fields; a name that is not known is left alone.
func (c *counts) set(name string, n int64) {
	for i, known := range counterNames {
		if known == name {
			c.n[i] = n
			return
		}
	}
	if len(name) > 1 && name[0] == 'l' {
		if i, err := strconv.Atoi(name[1:]); err == nil && i >= 0 && i < latencyBuckets {
			c.latency[i] = n
		}
	}
}

// grain is how finely counts are kept. Those of several steps share a Redis hash, so that it expires as a whole.
type grain struct {
	letter      string
	step, group time.Duration
	keptFor     time.Duration
}

// The grains: by the minute for the last hours, by the hour for as long as anything is kept.
var (
	byMinute = grain{"m", time.Minute, time.Hour, 6 * time.Hour}
	byHour   = grain{"h", time.Hour, 24 * time.Hour, keptFor}
)

// groupOf is the number of the hash that holds a time, and stepOf that of the step inside it.
func (g grain) groupOf(unix int64) int64 { return unix / int64(g.group/time.Second) }
func (g grain) stepOf(unix int64) int64 {
	return unix % int64(g.group/time.Second) / int64(g.step/time.Second)
}

// ttl keeps a hash until its last step is too old.
func (g grain) ttl() time.Duration { return g.keptFor + g.group }
