package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/alecthomas/kong"

	"eventrelay/catalog"
)

// cli is the command line: the subcommands, and the flag that they share.
type cli struct {
	configFlag

	Dev     devCmd     `cmd:"" help:"Everything in one process, with an embedded Kafka and Redis, a local receiver and sample events. Not for production."`
	Serve   serveCmd   `cmd:"" help:"Relay events from Kafka to webhooks, and serve the admin API."`
	Publish publishCmd `cmd:"" help:"Publish an event, a file of events or a sample to Kafka."`
	Listen  listenCmd  `cmd:"" help:"A receiver for trying things out: verifies signatures and prints what arrives."`
	Topics  topicsCmd  `cmd:"" help:"The relay's topics."`
	Health  healthCmd  `cmd:"" help:"Ask the relay on this machine whether it is ready; exits 1 when it is not."`
	Bench   benchCmd   `cmd:"" help:"Measure the relay on this machine, against a bare loop."`
	Version versionCmd `cmd:"" help:"Print the version."`

	BenchRole benchRoleCmd `cmd:"" hidden:"" name:"bench-role" help:"A process of relay bench."`
}

// errHelp ends parsing after the help was printed.
var errHelp = errors.New("help was printed")

// helpPrinted is how kong's exit after --help gets out of the parser.
type helpPrinted struct{}

// parseArgs fills and checks the configuration of the command that args name. Help goes to stdout and gives errHelp;
// every other error is the user's to put right.
func parseArgs(args []string, stdout, stderr io.Writer) (ctx *kong.Context, err error) {
	found := &settings{args: make(map[string]bool)}
	app, err := kong.New(&cli{},
		kong.Name("relay"),
		kong.Description("Delivers a platform's events from Kafka to webhooks: signed, retried, isolated per endpoint."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { panic(helpPrinted{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.TypeMapper(reflect.TypeFor[catalog.Secret](), kong.MapperFunc(decodeSecret)),
		kong.Bind(found),
		configVars(),
	)
	if err != nil {
		return nil, fmt.Errorf("build the command line: %w", err)
	}
	defer func() {
		switch reason := recover(); reason.(type) {
		case nil:
		case helpPrinted:
			ctx, err = nil, errHelp
		default:
			panic(reason)
		}
	}()
	if ctx, err = app.Parse(args); err != nil {
		return nil, err
	}
	for _, path := range ctx.Path {
		if path.Flag != nil && !path.Resolved {
			found.args[path.Flag.Name] = true
		}
	}
	if command, ok := selected(ctx).(checker); ok {
		if err := checkEnv(app.Model, os.Environ()); err != nil {
			return nil, err
		}
		p := newProblems(ctx, found)
		command.check(p)
		if err := p.err(); err != nil {
			return nil, err
		}
	}
	return ctx, nil
}

// decodeSecret reads a secret. It cannot fail, and so no message quotes one.
func decodeSecret(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("secret", &text); err != nil {
		return err
	}
	target.Set(reflect.ValueOf(catalog.NewSecret(text)))
	return nil
}

// streams are what a command reads and writes.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// runCommand runs what parseArgs selected. A command has a method Run with any of these parameters: a
// context.Context that ends at the first signal, an io.Writer for its output, streams.
func runCommand(ctx context.Context, command *kong.Context, s streams) error {
	command.BindTo(ctx, (*context.Context)(nil))
	command.BindTo(s.Out, (*io.Writer)(nil))
	return command.Run(s)
}
