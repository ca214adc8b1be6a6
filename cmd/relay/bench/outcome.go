package bench

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Outcome is what came of a scenario.
type Outcome struct {
	Scenario string   `json:"scenario"`
	Proves   string   `json:"proves"`
	Rows     []Row    `json:"rows,omitempty"`
	Figures  []Figure `json:"figures"`
}

// Row is one thing that was measured, once in each round.
type Row struct {
	Name   string        `json:"name"`
	Rounds []Measurement `json:"rounds"`
}

// Figure is a number with its target, if it has one.
type Figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Value  float64   `json:"value"` // the median
	Rounds []float64 `json:"rounds,omitempty"`
	Target *Target   `json:"target,omitempty"`
}

// Target is a bound for a figure.
type Target struct {
	AtLeast bool    `json:"atLeast"` // else at most
	Bound   float64 `json:"bound"`
	Met     bool    `json:"met"`
}

func (o Outcome) lost() int {
	n := 0
	for _, row := range o.Rows {
		for _, m := range row.Rounds {
			n += m.Lost
		}
	}
	return n
}

// figure is the median of the rounds.
func figure(name, unit string, rounds ...float64) Figure {
	return Figure{Name: name, Unit: unit, Value: median(rounds), Rounds: rounds}
}

func (f Figure) atLeast(bound float64) Figure {
	f.Target = &Target{AtLeast: true, Bound: bound, Met: f.Value >= bound}
	return f
}

func (f Figure) atMost(bound float64) Figure {
	f.Target = &Target{Bound: bound, Met: f.Value <= bound}
	return f
}

// median of the values, the lower one of the middle two; the zero value of none.
func median[T cmp.Ordered](values []T) (m T) {
	if len(values) == 0 {
		return m
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// each applies f to the rounds of a row.
func each[T any](row Row, f func(Measurement) T) []T {
	values := make([]T, len(row.Rounds))
	for i, m := range row.Rounds {
		values[i] = f(m)
	}
	return values
}

// pairwise applies f to the rounds of two rows that were made together.
func pairwise(a, b Row, f func(a, b Measurement) float64) []float64 {
	values := make([]float64, min(len(a.Rounds), len(b.Rounds)))
	for i := range values {
		values[i] = f(a.Rounds[i], b.Rounds[i])
	}
	return values
}

// Units of figures.
const (
	unitShare  = "%"
	unitMicros = "µs"
	unitMillis = "ms"
	unitSecond = "s"
	unitMiB    = "MiB"
	unitBytes  = "B"
	unitNanos  = "ns"
	unitCount  = ""
	unitRate   = "/s"
)

func share(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return 100 * a / b
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func mebibytes(n int64) float64      { return float64(n) / (1 << 20) }

// compared are the figures of a row against the bare loop of the same rounds.
func compared(bare, relay Row) []Figure {
	return []Figure{
		figure("throughput against the bare loop", unitShare, pairwise(relay, bare, func(r, b Measurement) float64 { return share(r.Rate, b.Rate) })...),
		figure("CPU per delivery above the bare loop", unitMicros, pairwise(relay, bare, func(r, b Measurement) float64 { return micros(r.CPU - b.CPU) })...),
	}
}

// accounted are the figures that every relay is held to.
func accounted(relay Row) []Figure {
	sum := func(f func(Measurement) int) float64 {
		n := 0
		for _, m := range relay.Rounds {
			n += f(m)
		}
		return float64(n)
	}
	return []Figure{
		figure("lost", unitCount, sum(func(m Measurement) int { return m.Lost })).atMost(0),
		figure("handed off or postponed, not begun in time", unitCount, sum(func(m Measurement) int { return m.HandedOff + m.Postponed })),
		figure("attempts that failed", unitCount, sum(func(m Measurement) int { return m.Failed })),
		figure("duplicates", unitCount, sum(func(m Measurement) int { return m.Duplicates })).atMost(0),
	}
}

func (f Figure) spread() string {
	if len(f.Rounds) < 2 {
		return ""
	}
	return fmt.Sprintf("%s to %s", number(slices.Min(f.Rounds)), number(slices.Max(f.Rounds)))
}
