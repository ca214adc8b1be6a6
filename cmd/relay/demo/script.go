package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// ScriptOptions configure a Script. Fields without a default are required.
type ScriptOptions struct {
	API      *API
	Receiver *Receiver
	Printer  *Printer
	// DataDir is where the signing secrets are kept.
	DataDir string
	Log     *slog.Logger

	// Wanted is how many events must be diverted before the receiver is repaired. Default 3.
	Wanted int
	// Patience bounds each wait of a round. Default 3 min: the flaky webhook's retries, and the breaker's probes of
	// up to 15 s that delay them, fit in several times.
	Patience time.Duration
	// Rest is the pause between two rounds. Default 2 min.
	Rest time.Duration
	// Poll is how often the API is asked during a wait. Default 1 s.
	Poll time.Duration
}

// flakyRetries are the waits of the webhook that fails. The retry wheel rounds them up to its smallest delay.
var flakyRetries = []time.Duration{time.Second, 2 * time.Second}

func (o ScriptOptions) withDefaults() ScriptOptions {
	if o.Wanted <= 0 {
		o.Wanted = 3
	}
	if o.Patience <= 0 {
		o.Patience = 3 * time.Minute
	}
	if o.Rest <= 0 {
		o.Rest = 2 * time.Minute
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	return o
}

// Script plays the demo: it registers the webhooks, then lets one receiver fail and recover, round after round.
type Script struct{ o ScriptOptions }

// NewScript returns a script that does nothing until Register and Run.
func NewScript(o ScriptOptions) *Script { return &Script{o: o.withDefaults()} }

// Register makes the demo's webhooks, or adopts those of an earlier start: they are given this receiver's address and
// secret, and keep what a developer has changed about them otherwise.
func (s *Script) Register(ctx context.Context) error {
	secrets, err := loadSecrets(s.o.DataDir, webhooks)
	if err != nil {
		return err
	}
	for _, w := range webhooks {
		url, secret := s.o.Receiver.URL()+w.path(), secrets[w.ID]
		// The receiver knows the secret first, so that no delivery finds it ignorant.
		verify, err := w.verifier(secret, s.o.API.PublicKey)
		if err != nil {
			return fmt.Errorf("%s of the demo's webhook %s: %w", secretsFile, w.ID, err)
		}
		s.o.Receiver.ExpectVerified(w.path(), verify)
		there, err := s.o.API.Webhook(ctx, w.ID)
		switch {
		case err == nil:
			err = w.adopt(ctx, s.o.API, there, url, secret)
		case hasStatus(err, http.StatusNotFound):
			err = w.create(ctx, s.o.API, url, secret)
		}
		if err != nil {
			return fmt.Errorf("register the demo's webhook %s: %w", w.ID, err)
		}
	}
	return nil
}

func hasStatus(err error, status int) bool {
	var answer *APIError
	return errors.As(err, &answer) && answer.Status == status
}

// Run plays rounds until ctx ends. A step that fails is logged and the round goes on: a demo that stops because its
// webhook was deleted, or because the API is being tried out, shows less than one that does not.
func (s *Script) Run(ctx context.Context) {
	flaky := Webhook{ID: flakyID}.path()
	defer s.o.Receiver.SetFailing(flaky, false)
	for ctx.Err() == nil {
		for _, step := range []func(context.Context, string) error{s.fail, s.repair, s.rest} {
			if err := step(ctx, flaky); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("demo_step_failed", "err", err)
			}
		}
	}
}

// fail breaks the receiver and waits until enough was diverted.
func (s *Script) fail(ctx context.Context, path string) error {
	s.o.Printer.Say(fmt.Sprintf("The receiver at %s now answers 503: watch %s retry, its breaker open, and what is given up be diverted. The others go on.", path, flakyID))
	s.o.Receiver.SetFailing(path, true)
	return s.until(ctx, fmt.Sprintf("%d diverted events of %s", s.o.Wanted, flakyID), func(diverted []Diverted) bool {
		return countPlain(diverted) >= s.o.Wanted
	})
}

// repair has the receiver work again, resends what was diverted, and waits until it has arrived.
func (s *Script) repair(ctx context.Context, path string) error {
	s.o.Receiver.SetFailing(path, false)
	diverted, err := s.o.API.ListDiverted(ctx, flakyID)
	if err != nil {
		s.o.Printer.Say(fmt.Sprintf("The receiver at %s works again.", path))
		return err
	}
	s.o.Printer.Say(fmt.Sprintf("The receiver at %s works again. %s has %d diverted events; they are resent through the API, as you would:", path, flakyID, len(diverted)))
	var failed error
	for _, d := range diverted {
		if d.State == stateResending {
			continue
		}
		// Gone or being resent already: somebody else was at it, which is what the API is for.
		if err := s.o.API.Resend(ctx, flakyID, d.DeliveryID); err != nil && !hasStatus(err, http.StatusNotFound) && !hasStatus(err, http.StatusConflict) {
			failed = errors.Join(failed, err)
			continue
		}
		s.o.Printer.Say(fmt.Sprintf("  POST %s/%s/resend   (%s, %s)", divertedPath(flakyID), d.DeliveryID, d.EventType, d.Reason))
	}
	if failed != nil {
		return failed
	}
	if err := s.until(ctx, "the resent events to arrive", func(diverted []Diverted) bool { return len(diverted) == 0 }); err != nil {
		return err
	}
	s.o.Printer.Say("Everything that was diverted has been delivered.")
	return nil
}

func (s *Script) rest(ctx context.Context, _ string) error {
	select {
	case <-time.After(s.o.Rest):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stateResending is the state of a diverted event whose resend is under way.
const stateResending = "resending"

func countPlain(diverted []Diverted) int {
	n := 0
	for _, d := range diverted {
		if d.State != stateResending {
			n++
		}
	}
	return n
}

// until asks for the flaky webhook's diverted events until ready says so. The API may be briefly unable to answer
// (503 while its index catches up), so that an error only counts when the time is up.
func (s *Script) until(ctx context.Context, what string, ready func([]Diverted) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.Patience, fmt.Errorf("waited %s for %s", s.o.Patience, what))
	defer cancel()
	tick := time.NewTicker(s.o.Poll)
	defer tick.Stop()
	for {
		diverted, err := s.o.API.ListDiverted(ctx, flakyID)
		if err == nil && ready(diverted) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
