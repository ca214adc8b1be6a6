package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// process is a role in a process of its own. It ends with its standard input, and so with this process at the latest;
// on Linux the system sees to that too.
type process struct {
	role string
	log  string // file of its standard error
	cmd  *exec.Cmd

	mu      sync.Mutex // one request at a time
	ask     io.WriteCloser
	answers *bufio.Reader
	ended   chan struct{} // closed when it has ended
}

// stopPatience is how long a process may take to end once it was asked to: a relay drains for 10 s at most.
const stopPatience = 40 * time.Second

// start starts a role. Its log goes to a file in dir.
func (o Options) start(dir, role string, args ...string) (*process, error) {
	cmd := o.Command(append([]string{role}, args...)...)
	cmd.Env = append(withoutRelayVariables(cmd.Environ()), o.env...)
	log, err := os.CreateTemp(dir, role+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", role, err)
	}
	defer func() { _ = log.Close() }() // the process has a descriptor of its own
	cmd.Stderr = log
	ownGroup(cmd)
	p := &process{role: role, log: log.Name(), cmd: cmd, ended: make(chan struct{})}
	if p.ask, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	return p, nil
}

// withoutRelayVariables keeps the relay's settings in the environment out of a benchmark: they are not what it measures.
func withoutRelayVariables(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, "RELAY_") && !strings.HasPrefix(v, "RELAY_TEST_")
	})
}

// call makes a request and decodes its result, unless result is nil. When ctx ends the process is killed: an answer
// that comes late would be taken for that of the next request.
func (p *process) call(ctx context.Context, name string, with, result any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { kill(p.cmd) })()
	raw, err := json.Marshal(with)
	if err != nil {
		return err
	}
	line, err := json.Marshal(request{Do: name, With: raw})
	if err != nil {
		return err
	}
	if _, err := p.ask.Write(append(line, '\n')); err != nil {
		return p.explain(ctx, name, err)
	}
	if line, err = p.answers.ReadBytes('\n'); err != nil {
		return p.explain(ctx, name, err)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("%s: answer to %s: %w", p.role, name, err)
	}
	if a.Error != "" {
		return fmt.Errorf("%s: %s%s", p.role, a.Error, p.lastWords())
	}
	if result == nil || a.Result == nil {
		return nil
	}
	if err := json.Unmarshal(a.Result, result); err != nil {
		return fmt.Errorf("%s: result of %s: %w", p.role, name, err)
	}
	return nil
}

// explain says why a process did not answer.
func (p *process) explain(ctx context.Context, name string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %s: %w", p.role, name, cause)
	}
	return fmt.Errorf("%s: it ended during %s: %w%s", p.role, name, err, p.lastWords())
}

// lastWordsBytes of a log are shown when its process fails.
const lastWordsBytes = 2 << 10

// lastWords are the end of the process's log.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil || len(text) == 0 {
		return ""
	}
	return "\nits log ends:\n" + strings.TrimSpace(string(text[max(0, len(text)-lastWordsBytes):]))
}

// stop ends the process, in order if it will, and waits for it. It may be called more than once.
func (p *process) stop() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	_ = p.ask.Close()
	impatient := time.AfterFunc(stopPatience, func() { kill(p.cmd) })
	err := p.cmd.Wait()
	kill(p.cmd) // whatever it started itself
	close(p.ended)
	if !impatient.Stop() {
		return fmt.Errorf("%s: did not end within %s and was killed", p.role, stopPatience)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%s: %w%s", p.role, err, p.lastWords())
	}
	return err
}

// usage asks what the process has used.
func (p *process) usage(ctx context.Context) (u usage, err error) {
	err = p.call(ctx, "usage", nil, &u)
	return u, err
}

// profile writes a CPU profile of the process from now to the call of the function that it returns, and a profile of
// allocations then, into dir. Without a directory it does nothing.
func (p *process) profile(ctx context.Context, dir, name string) (func() error, error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	if err := p.call(ctx, "profile", filepath.Join(dir, name+".cpu.pprof"), nil); err != nil {
		return nil, err
	}
	return func() error { return p.call(ctx, "profiled", filepath.Join(dir, name+".heap.pprof"), nil) }, nil
}
