package demo

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 7e6, time.UTC)

func ExamplePrinter() {
	p := NewPrinter(os.Stdout)
	p.Print(Line{At: noon, EventType: "debt.paid", Webhook: "demo-standard", Format: "standard", Status: 204, Latency: 420 * time.Microsecond, Attempt: 1})
	p.Print(Line{At: noon, EventType: "RecurringPayments.charge.failed", Webhook: "demo-cloudevents-binary", Format: "cloudevents-binary", Class: "timeout", Latency: 15 * time.Second, Attempt: 2, Note: "retry in 5s"})
	p.Print(Line{At: noon, EventType: "a.type.that.is.too.long.for.its.column", Webhook: "demo-flaky", Format: "standard", Note: "breaker open, next probe in 15s"})
	p.Say("The receiver works again.")
	// Output:
	// TIME          EVENT TYPE                       WEBHOOK                  FORMAT              STATUS      LATENCY   TRY  NOTE
	// 12:00:00.007  debt.paid                        demo-standard            standard            204          0.42ms    #1
	// 12:00:00.007  RecurringPayments.charge.failed  demo-cloudevents-binary  cloudevents-binary  timeout      15.00s    #2  retry in 5s
	// 12:00:00.007  a.type.that.is.too.long.for.it…  demo-flaky               standard            -                          breaker open, next probe in 15s
	// The receiver works again.
}

func TestPrinter_DoesNotLetTextSteerTheTerminal(t *testing.T) {
	var out bytes.Buffer
	p := NewPrinter(&out)
	p.Print(Line{At: noon, EventType: "evil\x1b[2J\r\n", Webhook: "ü\u202e", Note: "a\x07b"})
	p.Say("x\x1b[31m")
	require.NotContains(t, out.String(), "\x1b")
	require.NotContains(t, out.String(), "\r")
	require.NotContains(t, out.String(), "\x07")
	require.NotContains(t, out.String(), "\u202e")
	require.Equal(t, 3, strings.Count(out.String(), "\n"))
}

func TestPrinter_Colours(t *testing.T) {
	var out bytes.Buffer
	p := NewPrinter(&out)
	require.False(t, p.colour, "a buffer is no terminal")
	p.colour, p.headed = true, true
	for _, tt := range []struct {
		line Line
		want string
	}{
		{Line{Status: 204, Attempt: 1}, colourGreen},
		{Line{Status: 503, Attempt: 1}, colourRed},
		{Line{Class: "connect", Attempt: 1}, colourRed},
		{Line{Note: "postponed"}, colourYellow},
	} {
		out.Reset()
		p.Print(tt.line)
		require.True(t, strings.HasPrefix(out.String(), tt.want))
		require.True(t, strings.HasSuffix(out.String(), colourReset+"\n"))
	}
}

func TestPrinter_ManyAtOnce(t *testing.T) {
	var out bytes.Buffer // not safe for concurrent use: the printer is
	p := NewPrinter(&out)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			p.Print(Line{At: noon, EventType: fmt.Sprint("type", i)})
			p.Say("said")
		})
	}
	all.Wait()
	require.Len(t, strings.Split(strings.TrimSpace(out.String()), "\n"), 41)
}

func TestShortLatency(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.00ms", 420 * time.Microsecond: "0.42ms", 12345 * time.Microsecond: "12.3ms", 120 * time.Millisecond: "120ms", 1250 * time.Millisecond: "1.25s",
	} {
		require.Equal(t, want, shortLatency(d))
	}
}

func TestBanner(t *testing.T) {
	o := BannerOptions{
		AdminURL: "http://127.0.0.1:8080", OpsURL: "http://127.0.0.1:8081", Kafka: "127.0.0.1:9092", Redis: "127.0.0.1:6379",
		Receiver: "http://127.0.0.1:8082", DataDir: ".relay", KeyFile: "admin.key", Program: "go run ./cmd/relay",
	}
	var out bytes.Buffer
	require.NoError(t, Banner(&out, o))
	for _, part := range []string{"NOT FOR PRODUCTION", "http://127.0.0.1:8080", ".relay/client.json", `"Authorization: Bearer $(cat .relay/admin.key)"`, "http://127.0.0.1:8082", "go run ./cmd/relay publish"} {
		require.Contains(t, out.String(), part)
	}
	o.Receiver = ""
	out.Reset()
	require.NoError(t, Banner(&out, o))
	require.NotContains(t, out.String(), "receiver")
}

func TestShellQuote(t *testing.T) {
	sh, err := exec.LookPath("sh")
	require.NoError(t, err)
	for _, path := range []string{".relay/admin.key", "/tmp/my data/admin.key", "/it's/$HOME/`x`"} {
		got, err := exec.CommandContext(testContext(t), sh, "-c", "printf %s "+shellQuote(path)).Output()
		require.NoError(t, err)
		require.Equal(t, path, string(got))
	}
	require.Equal(t, ".relay/admin.key", shellQuote(".relay/admin.key"))
}
