package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress tells what a benchmark is doing: on a terminal in one line that is written over, else a line for each step.
// It belongs to the goroutine that runs the benchmark.
type progress struct {
	out      io.Writer
	terminal bool
	scenario string
	written  int // columns of the line that is there

	what  string    // of the run under way
	since time.Time // when its first deliveries were seen
	from  int
	next  time.Time
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if file, ok := out.(*os.File); ok {
		if info, err := file.Stat(); err == nil {
			p.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return p
}

// showEvery bounds how often the line is written.
const showEvery = 200 * time.Millisecond

// step says what begins.
func (p *progress) step(format string, args ...any) { p.show(fmt.Sprintf(format, args...)) }

// run says how far a run is.
func (p *progress) run(what string, done, total int) {
	now := time.Now()
	if what != p.what || done < p.from {
		p.what, p.since, p.from, p.next = what, now, done, now.Add(showEvery)
		if !p.terminal {
			p.show(what)
		}
		return
	}
	if !p.terminal || now.Before(p.next) {
		return
	}
	p.next = now.Add(showEvery)
	rate := float64(done-p.from) / now.Sub(p.since).Seconds()
	p.show(fmt.Sprintf("%s: %d of %d deliveries, %.0f/s", what, done, total, rate))
}

func (p *progress) show(text string) {
	text = p.scenario + ": " + text
	if !p.terminal {
		fmt.Fprintln(p.out, text)
		return
	}
	fmt.Fprintf(p.out, "\r%s%s", text, strings.Repeat(" ", max(0, p.written-len(text))))
	p.written = len(text)
}

// clear removes the line, so that something else can be printed.
func (p *progress) clear() {
	if p.terminal && p.written > 0 {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.written))
		p.written = 0
	}
}
