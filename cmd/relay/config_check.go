package main

import (
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// checker is a command whose configuration has bounds.
type checker interface{ check(p *problems) }

// problems collects what is wrong with a configuration, all of it, so that it can be put right in one go. Each names
// the setting in the three places where it may be made, and the line of the file if it was made there.
type problems struct {
	flags map[string]*kong.Flag // of the selected command
	s     *settings
	list  []string
}

// ConfigError is a configuration that is refused.
type ConfigError struct{ Problems []string }

func (e *ConfigError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return fmt.Sprintf("the configuration has %d problems:\n- %s", len(e.Problems), strings.Join(e.Problems, "\n- "))
}

func newProblems(ctx *kong.Context, s *settings) *problems {
	p := &problems{flags: make(map[string]*kong.Flag), s: s}
	for _, flag := range ctx.Flags() {
		p.flags[flag.Name] = flag
	}
	return p
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return &ConfigError{Problems: p.list}
}

// add notes a problem with a flag; the message goes on after its name.
func (p *problems) add(name, format string, args ...any) {
	p.list = append(p.list, p.describe(name)+" "+fmt.Sprintf(format, args...))
}

// describe names a setting: "--group (RELAY_GROUP, or group in the file)", after the place in the file if its value
// comes from there.
func (p *problems) describe(name string) string {
	flag, ok := p.flags[name]
	if !ok {
		return "--" + name
	}
	var also []string
	if len(flag.Envs) > 0 {
		also = append(also, flag.Envs[0])
	}
	key := flag.Tag.Get("yaml")
	if key != "" {
		also = append(also, key+" in the file")
	}
	text := "--" + name
	if len(also) > 0 {
		text += " (" + strings.Join(also, ", ") + ")"
	}
	if line, ok := p.s.lineOf(flag); ok {
		text = fmt.Sprintf("%s:%d: %s", p.s.file.name, line, text)
	}
	return text
}

func (p *problems) oneOf(name, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	p.add(name, "is %q: must be one of %s", value, strings.Join(allowed, ", "))
}

func (p *problems) between(name string, value, low, high int64) {
	if value < low || value > high {
		p.add(name, "is %d: must be between %d and %d", value, low, high)
	}
}

func (p *problems) durationBetween(name string, value, low, high time.Duration) {
	if value < low || value > high {
		p.add(name, "is %s: must be between %s and %s", value, low, high)
	}
}

// listenAddr wants host:port; an empty host is every interface, port 0 a free one.
func (p *problems) listenAddr(name, addr string) { p.addr(name, addr, 0) }

// dialAddr wants host:port with both.
func (p *problems) dialAddr(name, addr string) {
	if host, _, err := net.SplitHostPort(addr); err == nil && host == "" {
		p.add(name, "is %q: must be host:port", addr)
		return
	}
	p.addr(name, addr, 1)
}

func (p *problems) addr(name, addr string, lowest int) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		p.add(name, "is %q: must be host:port", addr)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < lowest || n > 65535 {
		p.add(name, "is %q: the port must be between %d and 65535", addr, lowest)
	}
}

// settings is what parsing found out besides the values.
type settings struct {
	file *yamlFile       // nil without --config
	args map[string]bool // flags that the command line sets, by name
}

// lineOf is the line of the file that the flag's value comes from.
func (s *settings) lineOf(flag *kong.Flag) (int, bool) {
	if s.file == nil || s.args[flag.Name] || envSet(flag) {
		return 0, false
	}
	v, ok := s.file.values[flag.Tag.Get("yaml")]
	return v.line, ok
}

// eachFlag visits the flags of the application and of all its commands.
func eachFlag(app *kong.Application, f func(*kong.Flag)) {
	var visit func(node *kong.Node)
	visit = func(node *kong.Node) {
		for _, flag := range node.Flags {
			f(flag)
		}
		for _, child := range node.Children {
			visit(child)
		}
	}
	visit(app.Node)
}

// selected is the struct of the command that the arguments name.
func selected(ctx *kong.Context) any {
	node := ctx.Selected()
	if node == nil || !node.Target.IsValid() || node.Target.Kind() == reflect.Pointer || !node.Target.CanAddr() {
		return nil
	}
	return node.Target.Addr().Interface()
}
