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

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"eventrelay/catalog"
)

// listenCmd is `relay listen`: a receiver for trying things out. It verifies signatures with the official Standard
// Webhooks library, prints what arrives, and answers what it is told to.
type listenCmd struct {
	Addr   string         `default:"127.0.0.1:9000" placeholder:"HOST:PORT" help:"Where to listen."`
	Secret catalog.Secret `placeholder:"WHSEC" help:"Signing secret (whsec_…) to verify requests with."`
	Status int            `default:"200" help:"Status to answer with: 500 makes a broken receiver."`
	Slow   time.Duration  `placeholder:"DURATION" help:"How long to wait before answering."`
}

// check implements checker.
func (c *listenCmd) check(p *problems) {
	p.listenAddr("addr", c.Addr)
	p.between("status", int64(c.Status), 200, 599)
	p.durationBetween("slow", c.Slow, 0, time.Hour)
}

// listenBody bounds what is read and printed of a request.
const listenBody = 64 << 10

// Run receives until ctx ends.
func (c *listenCmd) Run(ctx context.Context, s streams) error {
	var verifier *standardwebhooks.Webhook
	if c.Secret.IsSet() {
		var err error
		if verifier, err = standardwebhooks.NewWebhook(c.Secret.Reveal()); err != nil {
			return errors.New("--secret is not a signing secret: it begins with whsec_ and goes on in base64")
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("--addr %s: %w (choose another address with --addr)", c.Addr, err)
	}
	fmt.Fprintf(s.Out, "listening on http://%s, answering %d; Ctrl-C stops\n", listener.Addr(), c.Status)
	var mu sync.Mutex // one request is printed at a time
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, listenBody))
		if err != nil {
			return
		}
		mu.Lock()
		printRequest(s.Out, r, body, verifier, c.Status)
		mu.Unlock()
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

func printRequest(out io.Writer, r *http.Request, body []byte, verifier *standardwebhooks.Webhook, status int) {
	verdict := "not checked (give --secret)"
	if verifier != nil {
		verdict = "valid"
		if err := verifier.Verify(body, r.Header); err != nil {
			verdict = "INVALID: " + err.Error()
		}
	}
	fmt.Fprintf(out, "\n%s  %s %s  %s  attempt %s  → %d\n", time.Now().Format("15:04:05.000"), r.Method, r.URL.Path,
		r.Header.Get("webhook-event-type"), r.Header.Get("webhook-attempt"), status)
	fmt.Fprintf(out, "  webhook-id %s   signature %s\n", r.Header.Get("webhook-id"), verdict)
	fmt.Fprintf(out, "  %s\n", printable(body))
}

// printable keeps a sender from steering the terminal.
func printable(body []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(string(body), "\uFFFD"))
}
