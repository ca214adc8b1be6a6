package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/payload/receive"
)

// listenCmd is `relay listen`: a receiver for trying things out. It checks requests as the receivers of a format do,
// prints what arrives, and answers what it is told to.
type listenCmd struct {
	Addr      string         `default:"127.0.0.1:9000" placeholder:"HOST:PORT" help:"Where to listen."`
	Format    catalog.Format `placeholder:"FORMAT" help:"Check that each request is as this format documents it, and whether it came before: standard, cloudevents, cloudevents-binary, raw, ophelos, socotra, ocelot, donutwork, receeve."`
	Secret    catalog.Secret `placeholder:"SECRET" help:"What to know the sender by: a signing secret (whsec_… without --format, or as it was shown), Donutwork's token, or the password of Basic authentication for ocelot."`
	User      string         `placeholder:"NAME" help:"User of Basic authentication, for ocelot."`
	PublicKey string         `placeholder:"URL|FILE" help:"The tenant's public key, for receeve: http://127.0.0.1:8080/receeve/public-key, or a PEM file."`
	Status    int            `default:"200" help:"Status to answer with: 500 makes a broken receiver."`
	Slow      time.Duration  `placeholder:"DURATION" help:"How long to wait before answering."`
}

// check implements checker.
func (c *listenCmd) check(p *problems) {
	p.listenAddr("addr", c.Addr)
	p.between("status", int64(c.Status), 200, 599)
	p.durationBetween("slow", c.Slow, 0, time.Hour)
	if c.Format != "" {
		p.oneOf("format", string(c.Format), listenFormats...)
	}
	if c.User != "" && c.Format != catalog.FormatOcelot {
		p.add("user", "is set, which only --format ocelot has a use for")
	}
	if c.Format == catalog.FormatOcelot && c.Secret.IsSet() != (c.User != "") {
		p.add("user", "and --secret belong together: the user and the password of Basic authentication")
	}
	if c.PublicKey != "" && c.Format != catalog.FormatReceeve {
		p.add("public-key", "is set, which only --format receeve has a use for")
	}
	if c.Secret.IsSet() && c.Format == catalog.FormatReceeve {
		p.add("secret", "is set, but receeve signs with a key pair: give --public-key")
	}
}

// listenFormats are what a receiver can be made for.
var listenFormats = []string{"standard", "cloudevents", "cloudevents-binary", "raw", "ophelos", "socotra", "ocelot", "donutwork", "receeve"}

// listenBody bounds what is read of a request, and listenPrinted what is printed of it: a body that is cut does not verify.
const (
	listenBody    = 64 << 20
	listenPrinted = 64 << 10
)

// listenSeen is how many ids are remembered to tell what came before.
const listenSeen = 10_000

// Run receives until ctx ends.
func (c *listenCmd) Run(ctx context.Context, s streams) error {
	printer, err := c.printer(s.Out)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("--addr %s: %w (choose another address with --addr)", c.Addr, err)
	}
	fmt.Fprintf(s.Out, "listening on http://%s, answering %d; Ctrl-C stops\n", listener.Addr(), c.Status)
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, listenBody))
		if err != nil {
			http.Error(w, "the body could not be read", http.StatusBadRequest)
			return
		}
		printer.print(r, body)
		select {
		case <-time.After(c.Slow):
		case <-r.Context().Done():
		}
		w.WriteHeader(c.Status)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", c.Addr, err)
	}
	<-done
	return nil
}

// requestPrinter says of each request what a receiver of the format makes of it.
type requestPrinter struct {
	receiver *receive.Receiver
	sender   bool   // who sent it is checked
	needs    string // the flag that it would be checked with
	envelope bool   // what it looks like is checked
	seen     *receive.Seen
	status   int

	mu  sync.Mutex // one request is printed at a time
	out io.Writer
}

func (c *listenCmd) printer(out io.Writer) (*requestPrinter, error) {
	o := receive.Options{Format: c.Format, Secret: c.Secret, User: c.User, AnySender: !c.Secret.IsSet() && c.PublicKey == ""}
	if c.PublicKey != "" {
		o.PublicKey = receive.PublicKeyAt(c.PublicKey)
	}
	needs := "--secret"
	if c.Format == catalog.FormatReceeve {
		needs = "--public-key"
	}
	receiver, err := receive.New(o)
	if err != nil {
		return nil, fmt.Errorf("--secret cannot be used: %w", err)
	}
	return &requestPrinter{receiver: receiver, sender: !o.AnySender, needs: needs, envelope: c.Format != "",
		seen: receive.NewSeen(listenSeen), status: c.Status, out: out}, nil
}

func (p *requestPrinter) print(r *http.Request, body []byte) {
	verdict, trusted := "not checked (give "+p.needs+")", true
	if p.sender {
		verdict = "valid"
		if err := p.receiver.Authenticate(r.Context(), r.Header, body); err != nil {
			verdict, trusted = "INVALID: "+err.Error(), false
		}
	}
	opened := ""
	if p.envelope {
		opened = "  " + p.open(r.Header, body, trusted) + "\n"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "\n%s  %s %s  %s  attempt %s  → %d\n", time.Now().Format("15:04:05.000"), r.Method, printable(r.URL.Path),
		r.Header.Get("webhook-event-type"), r.Header.Get("webhook-attempt"), p.status)
	fmt.Fprintf(p.out, "  webhook-id %s   signature %s\n", r.Header.Get("webhook-id"), printable(verdict))
	fmt.Fprintf(p.out, "%s  %s\n", printable(opened), printable(string(body[:min(len(body), listenPrinted)])))
}

// open says what the envelope holds, and whether it came before. What comes from somebody else is not remembered: it would
// make the event itself look like a repeat.
func (p *requestPrinter) open(header http.Header, body []byte, trusted bool) string {
	event, err := p.receiver.Open(header, body)
	switch {
	case err != nil:
		return "envelope INVALID: " + err.Error()
	case event.Failure != nil:
		return fmt.Sprintf("envelope valid: FailureMessage of webhook %s: %s", event.Failure.WebhookName, event.Failure.ActualStatus)
	case trusted && !p.seen.First(event.ID):
		return fmt.Sprintf("envelope valid: %s, id %s, seen before", event.Type, event.ID)
	default:
		return fmt.Sprintf("envelope valid: %s, id %s", event.Type, event.ID)
	}
}

// printable keeps a sender from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
