package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Options of a benchmark. Command, Out and Err are required.
type Options struct {
	// Scenarios to play, by name; empty means all.
	Scenarios []string
	// Kafka and Redis are addresses of services to use instead of embedded ones.
	Kafka, Redis string
	// Rounds of each scenario that compares two things. Default 3.
	Rounds int
	// Deliveries of a round of a scenario that works off a backlog. Default 200 000.
	Deliveries int
	// Duration of a round of a scenario that publishes at a steady rate. Default 8 s.
	Duration time.Duration
	// Webhooks that are registered. Default 100 000.
	Webhooks int
	// Diverted events of the scenario that lists them. Default 1 000 000.
	Diverted int
	// JSON writes the outcome for machines.
	JSON bool
	// Profile is a directory for CPU and allocation profiles of the relay and the bare loop; empty takes none.
	Profile string
	// Limit of the whole run. Default 1 h.
	Limit time.Duration

	// Command makes the command that plays a role in a process of its own (see Play): args are the role and what
	// goes with it.
	Command func(args ...string) *exec.Cmd
	Out     io.Writer // the outcome
	Err     io.Writer // progress

	env []string // of the processes, in addition to this one's
}

func (o Options) withDefaults() Options {
	setDefault(&o.Rounds, 3)
	setDefault(&o.Deliveries, 200_000)
	setDefault(&o.Duration, 8*time.Second)
	setDefault(&o.Webhooks, 100_000)
	setDefault(&o.Diverted, 1_000_000)
	setDefault(&o.Limit, time.Hour)
	return o
}

func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// ErrLost says that deliveries did not arrive.
var ErrLost = errors.New("deliveries were lost")

// Run plays the scenarios one after the other and prints what came of each. It fails with ErrLost when any delivery did
// not arrive; a number that misses its target is printed as such and fails nothing.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	chosen, err := choose(o.Scenarios)
	if err != nil {
		return err
	}
	if o.Profile != "" {
		if err := os.MkdirAll(o.Profile, 0o750); err != nil {
			return fmt.Errorf("directory of profiles: %w", err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Limit, fmt.Errorf("the benchmark took longer than %s (--limit)", o.Limit))
	defer cancel()
	say := newProgress(o.Err)
	report := newReport(o.Out, o.JSON)
	lost := 0
	for _, sc := range chosen {
		say.scenario = sc.name
		say.step("starting: %s", sc.proves)
		outcome, err := play(ctx, o, sc, say)
		say.clear()
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", sc.name, err), report.end()) // what was measured is kept
		}
		lost += outcome.lost()
		if err := report.add(outcome); err != nil {
			return err
		}
	}
	if err := report.end(); err != nil {
		return err
	}
	if lost > 0 {
		return fmt.Errorf("%w: %d", ErrLost, lost)
	}
	return nil
}

func play(ctx context.Context, o Options, sc scenario, say *progress) (outcome Outcome, err error) {
	s, err := setStage(ctx, o, sc.name, say)
	if s != nil {
		defer func() { err = errors.Join(err, s.strike(ctx)) }()
	}
	if err != nil {
		return Outcome{}, err
	}
	outcome, err = sc.play(ctx, s)
	outcome.Scenario, outcome.Proves = sc.name, sc.proves
	return outcome, err
}

// scenario is one thing to measure.
type scenario struct {
	name   string
	proves string
	play   func(ctx context.Context, s *stage) (Outcome, error)
}

// scenarios in the order in which they are played.
func scenarios() []scenario {
	return []scenario{
		{"drain", "a backlog of one endpoint is worked off at most of the speed that the machine has, with everything on", drain},
		{"steady", "at 2 000 events a second a delivery begins about a millisecond after its event was published", steady},
		{"fanout", "an event that 1 000 webhooks want costs no more per delivery than 1 000 events", fanout},
		{"many", "100 000 busy webhooks over 1 000 endpoints and 10 tenants are as fast as one", many},
		{"slow", "receivers that answer after 50 ms are served at the speed that their concurrency allows", slow},
		{"hang", "one endpoint of 1 000 that hangs does not slow the others down", hang},
		{"fail", "every fifth request answered 500 is retried until it is delivered, once", fail},
		{"group", "relays that join and leave a group share a backlog, and nothing is delivered twice", group},
		{"start", "a relay with 100 000 webhooks delivers soon after it was started, from Redis and from Kafka alone", start},
		{"match", "finding the webhooks that want an event costs the same among 1 000 and among 1 000 000", matching},
		{"diverted", "a million diverted events are listed page by page without delay, and sent again", diverted},
		{"api", "the admin API answers at once among 100 000 webhooks and a million diverted events", callAPI},
	}
}

// Scenarios lists the names and what each proves.
func Scenarios() [][2]string {
	var list [][2]string
	for _, sc := range scenarios() {
		list = append(list, [2]string{sc.name, sc.proves})
	}
	return list
}

// ErrUnknownScenario is matched by the error of Run for a name that no scenario has.
var ErrUnknownScenario = errors.New("no such scenario")

func choose(names []string) ([]scenario, error) {
	all := scenarios()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []scenario
	for _, name := range names {
		found := false
		for _, sc := range all {
			if sc.name == name {
				chosen, found = append(chosen, sc), true
			}
		}
		if !found {
			known := make([]string, len(all))
			for i, sc := range all {
				known[i] = sc.name
			}
			return nil, fmt.Errorf("%w: %q is not one of %s", ErrUnknownScenario, name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}
