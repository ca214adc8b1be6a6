package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"eventrelay/cmd/relay/bench"
)

// benchCmd is `relay bench`: it measures the relay on this machine, against a bare loop. It reads none of the settings
// of `relay serve`: what is measured is the relay as it comes.
type benchCmd struct {
	Scenario []string `arg:"" optional:"" help:"What to measure; everything when none is named. See relay bench --list."`

	List       bool          `help:"List the scenarios and what each proves, and measure nothing."`
	Kafka      string        `placeholder:"HOST:PORT" help:"Use this Kafka, on loopback, instead of an embedded one."`
	Redis      string        `placeholder:"HOST:PORT" help:"Use this Redis, on loopback, instead of an embedded one."`
	Rounds     int           `default:"3" help:"Rounds of each scenario, the bare loop and the relay in turns."`
	Deliveries int           `name:"events" default:"200000" placeholder:"N" help:"Deliveries of a round that works off a backlog (${default})."`
	Duration   time.Duration `default:"8s" help:"How long a round at a steady rate is measured (${default})."`
	Webhooks   int           `default:"100000" placeholder:"N" help:"Webhooks that are registered (${default})."`
	Diverted   int           `default:"1000000" placeholder:"N" help:"Diverted events to list (${default})."`
	JSON       bool          `name:"json" help:"Print the outcome as JSON."`
	Profile    string        `placeholder:"DIR" help:"Leave CPU and allocation profiles of the relay and the bare loop in this directory."`
	Limit      time.Duration `default:"1h" help:"End after this time, whatever is missing (${default})."`
}

// check implements checker.
func (c *benchCmd) check(p *problems) {
	for flag, addr := range map[string]string{"kafka": c.Kafka, "redis": c.Redis} {
		if addr == "" {
			continue
		}
		p.dialAddr(flag, addr)
		if !isLoopback(addr) {
			p.add(flag, "is %s: a benchmark writes millions of records and stays on this machine (127.0.0.1)", addr)
		}
	}
	p.between("rounds", int64(c.Rounds), 1, 100)
	p.between("events", int64(c.Deliveries), 1000, 100_000_000)
	p.between("webhooks", int64(c.Webhooks), 1, 10_000_000)
	p.between("diverted", int64(c.Diverted), 1000, 10_000_000)
	p.durationBetween("duration", c.Duration, time.Second, time.Hour)
	p.durationBetween("limit", c.Limit, time.Minute, 24*time.Hour)
}

func isLoopback(addr string) bool {
	return strings.HasPrefix(addr, "127.") || strings.HasPrefix(addr, "localhost:") || strings.HasPrefix(addr, "[::1]:")
}

// Run measures and prints.
func (c *benchCmd) Run(ctx context.Context, s streams) error {
	if c.List {
		for _, scenario := range bench.Scenarios() {
			fmt.Fprintf(s.Out, "%-10s %s\n", scenario[0], scenario[1])
		}
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, which plays the other roles: %w", err)
	}
	return bench.Run(ctx, bench.Options{
		Scenarios: c.Scenario, Kafka: c.Kafka, Redis: c.Redis, Rounds: c.Rounds, Deliveries: c.Deliveries, Duration: c.Duration,
		Webhooks: c.Webhooks, Diverted: c.Diverted, JSON: c.JSON, Profile: c.Profile, Limit: c.Limit, Out: s.Out, Err: s.Err,
		Command: func(args ...string) *exec.Cmd {
			return benchProcess(program, append([]string{"bench-role"}, args...))
		},
	})
}

// benchProcess makes the command that runs this program with args. Tests, which are another program, replace it.
var benchProcess = func(program string, args []string) *exec.Cmd {
	return exec.Command(program, args...) //nolint:gosec // this program itself
}

// benchRoleCmd is a process of `relay bench`.
type benchRoleCmd struct {
	Role string   `arg:""`
	Args []string `arg:"" optional:"" passthrough:""`
}

// errServe is how the relay under measurement ends when it does not end well; it has logged why.
var errServe = errors.New("the relay ended with an error")

// Run plays the role until standard input ends.
func (c *benchRoleCmd) Run(ctx context.Context, s streams) error {
	serve := func(ctx context.Context, args []string) error {
		if code := run(ctx, args, streams{In: strings.NewReader(""), Out: s.Err, Err: s.Err}); code != exitOK {
			return fmt.Errorf("%w: exit code %d", errServe, code)
		}
		return nil
	}
	return bench.Play(ctx, c.Role, c.Args, s.In, s.Out, serve)
}
