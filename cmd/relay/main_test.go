package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func runWith(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return code, out.String(), errs.String()
}

func TestRun_ExitCodes(t *testing.T) {
	code, stdout, stderr := runWith(t, "version")
	require.Equal(t, exitOK, code)
	require.Contains(t, stdout, "relay ")
	require.Empty(t, stderr)

	code, stdout, _ = runWith(t, "--help")
	require.Equal(t, exitOK, code)
	for _, command := range []string{"dev", "serve", "publish", "version"} {
		require.Contains(t, stdout, command)
	}

	code, stdout, _ = runWith(t, "serve", "--help")
	require.Equal(t, exitOK, code)
	require.Contains(t, stdout, "RELAY_MASTER_KEY")

	code, _, stderr = runWith(t, "serve")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "openssl rand -base64 32")

	code, _, stderr = runWith(t, "sevre")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "sevre")

	code, _, _ = runWith(t)
	require.Equal(t, exitUsage, code)
}

func TestRunCommand_BindsContextAndStreams(t *testing.T) {
	grammar := &struct {
		Good goodCmd `cmd:""`
		Bad  badCmd  `cmd:""`
	}{}
	app, err := kong.New(grammar)
	require.NoError(t, err)
	var out bytes.Buffer

	parsed, err := app.Parse([]string{"good"})
	require.NoError(t, err)
	require.NoError(t, runCommand(t.Context(), parsed, streams{In: strings.NewReader("in"), Out: &out}))
	require.Equal(t, "in", out.String())

	parsed, err = app.Parse([]string{"bad"})
	require.NoError(t, err)
	require.ErrorIs(t, runCommand(t.Context(), parsed, streams{}), errBad)
}

type goodCmd struct{}

func (goodCmd) Run(ctx context.Context, out io.Writer, s streams) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err := io.Copy(out, s.In)
	return err
}

type badCmd struct{}

var errBad = errors.New("bad")

func (badCmd) Run() error { return errBad }

func TestInterruptible(t *testing.T) {
	t.Run("the first signal asks, the second does not", func(t *testing.T) {
		signals, exited := make(chan os.Signal), make(chan struct{})
		ctx, stop := interruptible(t.Context(), signals, func() { close(exited) })
		defer stop()
		require.NoError(t, ctx.Err())

		signals <- syscall.SIGTERM
		<-ctx.Done()
		require.ErrorIs(t, context.Cause(ctx), errInterrupted)

		signals <- os.Interrupt
		<-exited
	})
	t.Run("stopped without a signal", func(t *testing.T) {
		ctx, stop := interruptible(t.Context(), make(chan os.Signal), func() { t.Error("exited") })
		stop()
		require.NotErrorIs(t, context.Cause(ctx), errInterrupted)
	})
}
