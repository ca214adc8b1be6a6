// Command relay delivers events from Kafka to webhooks.
//
// main.go starts and ends the process; arguments.go reads the command line into the structs of config*.go, each
// subcommand has a file of its own. Only this package wires the others together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1 // the command ran and failed
	exitUsage   = 2 // arguments or configuration are wrong; nothing was started
	exitSignals = 130
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// The root of all contexts of the process.
	ctx, stop := interruptible(context.Background(), signals, func() { os.Exit(exitSignals) })
	code := run(ctx, os.Args[1:], streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}

// run is the process without its signals and its end.
func run(ctx context.Context, args []string, s streams) int {
	command, err := parseArgs(args, s.Out, s.Err)
	switch {
	case errors.Is(err, errHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(s.Err, "relay: %v\n", err)
		return exitUsage
	}
	if err := runCommand(ctx, command, s); err != nil && !errors.Is(err, errInterrupted) {
		fmt.Fprintf(s.Err, "relay: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// errInterrupted is the cause with which the process's context ends at the first signal.
var errInterrupted = errors.New("interrupted")

// interruptible ends the returned context at the first signal, so that the command can stop in order, and calls now at
// the second: whoever asks twice does not want to wait. stop ends the watching and waits for it.
func interruptible(parent context.Context, signals <-chan os.Signal, now func()) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for first := true; ; first = false {
			select {
			case <-signals:
			case <-quit:
				return
			}
			if !first {
				now()
				return
			}
			cancel(errInterrupted)
		}
	}()
	return ctx, func() {
		close(quit)
		<-done
		cancel(nil)
	}
}

// versionCmd is `relay version`.
type versionCmd struct{}

// Run prints the module's version and the revision that it was built from.
func (versionCmd) Run(out io.Writer) error {
	version, revision := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = " " + setting.Value
			}
		}
	}
	_, err := fmt.Fprintf(out, "relay %s%s\n", version, revision)
	return err
}
