package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Line is one attempt, or one decision without an attempt, as it is shown.
type Line struct {
	At        time.Time
	EventType string
	Webhook   string
	Format    string
	Status    int    // HTTP status; 0 when there was no answer
	Class     string // why there was none: "timeout", "connect", …
	Latency   time.Duration
	Attempt   int    // 0 when no attempt was made
	Note      string // what follows: "retry in 5s", "diverted: exhausted", "resent", …
}

// Printer writes lines in aligned columns, whole and one at a time, whoever prints.
type Printer struct {
	mu     sync.Mutex // guards out and headed
	out    io.Writer
	colour bool
	headed bool
}

// NewPrinter prints to out, in colour if out is a terminal and the environment does not say NO_COLOR.
func NewPrinter(out io.Writer) *Printer {
	return &Printer{out: out, colour: isTerminal(out) && os.Getenv("NO_COLOR") == ""}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// The columns, in characters. The widest usual value fits: "RecurringPayments.charge.failed" (31),
// "demo-cloudevents-binary" (23), "cloudevents-binary" (18).
const (
	timeLayout    = "15:04:05.000"
	widthType     = 31
	widthWebhook  = 23
	widthFormat   = 18
	widthOutcome  = 9
	widthLatency  = 8
	widthAttempts = 4
)

// ANSI colours of lines.
const (
	colourNone   = ""
	colourGreen  = "\x1b[32m"
	colourYellow = "\x1b[33m"
	colourRed    = "\x1b[31m"
	colourBold   = "\x1b[1m"
	colourReset  = "\x1b[0m"
)

// Print writes one line, under a heading before the first.
func (p *Printer) Print(l Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.headed {
		p.headed = true
		p.write(colourBold, columns("TIME", "EVENT TYPE", "WEBHOOK", "FORMAT", "STATUS", "LATENCY", "TRY", "NOTE"))
	}
	p.write(l.colour(), l.text())
}

// Say writes text between the lines.
func (p *Printer) Say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write(colourBold, clean(text))
}

// write is called with the mutex held. The demo goes on when its terminal is gone.
func (p *Printer) write(colour, text string) {
	if p.colour && colour != colourNone {
		text = colour + text + colourReset
	}
	_, _ = io.WriteString(p.out, text+"\n")
}

func (l Line) text() string {
	attempt, latency := "", ""
	if l.Attempt > 0 {
		attempt, latency = fmt.Sprintf("#%d", l.Attempt), shortLatency(l.Latency)
	}
	return columns(l.At.Format(timeLayout), l.EventType, l.Webhook, l.Format, l.outcome(), latency, attempt, l.Note)
}

// outcome is the status, or why there is none.
func (l Line) outcome() string {
	switch {
	case l.Status != 0:
		return fmt.Sprint(l.Status)
	case l.Class != "":
		return l.Class
	default:
		return "-"
	}
}

func (l Line) colour() string {
	switch {
	case l.Status/100 == 2:
		return colourGreen
	case l.Status == 0 && l.Class == "":
		return colourYellow // nothing was tried: postponed, diverted while suspended, …
	default:
		return colourRed
	}
}

func columns(at, eventType, webhook, format, outcome, latency, attempt, note string) string {
	return strings.TrimRight(strings.Join([]string{
		left(at, len(timeLayout)), left(eventType, widthType), left(webhook, widthWebhook), left(format, widthFormat),
		left(outcome, widthOutcome), right(latency, widthLatency), right(attempt, widthAttempts), clean(note),
	}, "  "), " ")
}

func left(text string, width int) string {
	text = fit(text, width)
	return text + strings.Repeat(" ", width-utf8.RuneCountInString(text))
}

func right(text string, width int) string {
	text = fit(text, width)
	return strings.Repeat(" ", width-utf8.RuneCountInString(text)) + text
}

// fit cleans and shortens a text to width characters, the last of which says that there was more.
func fit(text string, width int) string {
	text = clean(text)
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// clean replaces what is not printable: event types come from outside and must not steer the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// shortLatency has three digits at most: 0.42ms, 12.3ms, 1.25s.
func shortLatency(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2fms", float64(d)/float64(time.Millisecond))
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
}
