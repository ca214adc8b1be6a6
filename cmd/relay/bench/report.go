package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"text/tabwriter"
	"time"
)

// report prints outcomes as they come, or all of them as one JSON document at the end.
type report struct {
	out      io.Writer
	json     bool
	outcomes []Outcome
}

func newReport(out io.Writer, asJSON bool) *report {
	return &report{out: out, json: asJSON, outcomes: []Outcome{}}
}

func (r *report) add(o Outcome) error {
	r.outcomes = append(r.outcomes, o)
	if r.json {
		return nil
	}
	return o.print(r.out)
}

func (r *report) end() error {
	if !r.json {
		return nil
	}
	encoder := json.NewEncoder(r.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{
		"at": time.Now().UTC(), "go": runtime.Version(), "system": runtime.GOOS + "/" + runtime.GOARCH, "cpus": runtime.NumCPU(), "scenarios": r.outcomes,
	})
}

func (o Outcome) print(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "\n%s: %s\n\n", o.Scenario, o.Proves); err != nil {
		return err
	}
	if len(o.Rows) > 0 {
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "\tdeliveries/s\tµs CPU each\treceiver µs\tpeak RSS MiB\tpeak heap MiB\tconnections\tp50 ms\tp90\tp99\tp99.9\tduplicates\tlost\t")
		for _, row := range o.Rows {
			row.print(t)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range o.Figures {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", f.Name, f.text(), f.spread(), f.verdict())
	}
	return t.Flush()
}

func (row Row) print(out io.Writer) {
	rates := figure("", "", each(row, func(m Measurement) float64 { return m.Rate })...)
	fmt.Fprintf(out, "%s\t%s", row.Name, number(rates.Value))
	if spread := rates.spread(); spread != "" {
		fmt.Fprintf(out, " (%s)", spread)
	}
	column := func(f func(Measurement) float64) {
		fmt.Fprintf(out, "\t%s", number(median(each(row, f))))
	}
	column(func(m Measurement) float64 { return micros(m.CPU) })
	column(func(m Measurement) float64 { return micros(m.ReceiverCPU) })
	column(func(m Measurement) float64 { return mebibytes(m.RSS) })
	column(func(m Measurement) float64 { return mebibytes(m.Heap) })
	column(func(m Measurement) float64 { return float64(m.Connections) })
	for i := range latencyShares {
		if len(row.Rounds) > 0 && len(row.Rounds[0].Latency) == 0 {
			fmt.Fprint(out, "\t-") // a backlog: it waited before anybody read it
			continue
		}
		column(func(m Measurement) float64 { return millis(m.Latency[i]) })
	}
	column(func(m Measurement) float64 { return float64(m.Duplicates) })
	column(func(m Measurement) float64 { return float64(m.Lost) })
	fmt.Fprint(out, "\t\n")
}

// text is the value with its unit.
func (f Figure) text() string {
	if f.Unit == unitCount || f.Unit == unitShare || f.Unit == unitRate {
		return number(f.Value) + f.Unit
	}
	return number(f.Value) + " " + f.Unit
}

// verdict is the target and whether it was met.
func (f Figure) verdict() string {
	if f.Target == nil {
		return ""
	}
	bound, verdict := "≤ ", "missed"
	if f.Target.AtLeast {
		bound = "≥ "
	}
	if f.Target.Met {
		verdict = "ok"
	}
	return fmt.Sprintf("target %s%s: %s", bound, number(f.Target.Bound), verdict)
}

// number is a value with three significant digits, and with all of them before the point.
func number(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := 2
	if math.Abs(v) >= 10 {
		digits = 1
	}
	if v != 0 && math.Abs(v) < 1 {
		digits = 3
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}
