package catalog

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// TypeFile is a file of event types of one domain, in YAML:
//
//	domain: debt                        # one of Domains, or a new one
//	groups:
//	  - platform: ophelos               # whose "*" includes the types; left out, they belong to none
//	    versioned: true                 # the names end in ".v1" and so on
//	    types:
//	      - {name: event.debt.sold.v1, description: A debt was sold}
//	samples:                            # optional: the longest prefix that fits gives a type its sample
//	  - prefix: event.debt.
//	    data: '{"debt": "deb_1"}'
type TypeFile struct {
	// Name of the file, for messages.
	Name string
	Text []byte
}

// Types is a catalog of event types: those that are part of the program and those of an operator's files. It is
// immutable.
type Types struct {
	types     []EventType
	byName    map[string]int // index into types
	versioned map[string]bool
	domains   []string
}

//go:embed types/*.yaml
var typeFiles embed.FS

// builtInDomains in the order in which they are shown. Each has a file in types/, and so has DomainRelay.
var builtInDomains = []string{"debt", "payment", "claim", "policy", "sms"}

// builtIn reads the embedded files once. They are part of the program: one that does not parse is a defect that the
// tests of this package find, not a condition to handle.
var builtIn = sync.OnceValue(func() *Types {
	t := &Types{byName: map[string]int{}, versioned: map[string]bool{}}
	for _, domain := range append(slices.Clone(builtInDomains), DomainRelay) {
		name := "types/" + domain + ".yaml"
		text, err := typeFiles.ReadFile(name)
		if err == nil {
			err = t.add(TypeFile{Name: name, Text: text}, true)
		}
		if err != nil {
			panic("catalog: " + err.Error())
		}
	}
	return t
})

// inUse is the catalog that Use put in place; nil means the built-in one.
var inUse atomic.Pointer[Types]

// listed is the catalog in use.
func listed() *Types {
	if t := inUse.Load(); t != nil {
		return t
	}
	return builtIn()
}

// ParseTypes adds an operator's files to the types that are built in. The error names file and line of everything that
// is wrong; matching errors is of no use, as only the files' author can do anything about them.
func ParseTypes(files ...TypeFile) (*Types, error) {
	base := builtIn()
	t := &Types{
		types: slices.Clone(base.types), byName: maps.Clone(base.byName), versioned: maps.Clone(base.versioned), domains: slices.Clone(base.domains),
	}
	var problems []error
	for _, file := range files {
		problems = append(problems, t.add(file, false))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return t, nil
}

// Use makes t the catalog of this process. Call it at start, before webhooks are read: patterns that were compiled
// before keep what they were compiled against.
func (t *Types) Use() { inUse.Store(t) }

// typeFile is the content of a TypeFile.
type typeFile struct {
	Domain located `yaml:"domain"`
	Groups []struct {
		Platform  located `yaml:"platform"`
		Versioned bool    `yaml:"versioned"`
		Types     []struct {
			Name        located `yaml:"name"`
			Description string  `yaml:"description"`
		} `yaml:"types"`
	} `yaml:"groups"`
	Samples []struct {
		Prefix string  `yaml:"prefix"`
		Data   located `yaml:"data"` // JSON, kept as it is written
	} `yaml:"samples"`
}

// located is a text and the line where it stands, 1 for one that is left out.
type located struct {
	text string
	line int
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (l *located) UnmarshalYAML(node ast.Node) error {
	l.line = node.GetToken().Position.Line
	return yaml.NodeToValue(node, &l.text)
}

// add adds the types of a file. Everything that is wrong with it is in the error, by line.
func (t *Types) add(f TypeFile, own bool) error {
	file, err := decodeTypeFile(f.Text)
	if err != nil {
		return syntaxError(f.Name, err)
	}
	var problems []error
	fail := func(at located, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s:%d: %s", f.Name, max(at.line, 1), fmt.Sprintf(format, args...)))
	}
	domain := file.Domain.text
	switch {
	case own:
	case !isDomainName(domain):
		fail(file.Domain, "domain %q is not a domain: lower-case letters, digits, - and _", domain)
	case domain == DomainRelay:
		fail(file.Domain, "domain %q is that of the relay's own event types", domain)
	}
	if domain != DomainRelay && !slices.Contains(t.domains, domain) {
		t.domains = append(t.domains, domain)
	}
	for _, s := range file.Samples {
		if !json.Valid([]byte(s.Data.text)) {
			fail(s.Data, "the sample of %q is not JSON", s.Prefix)
		}
	}
	for _, group := range file.Groups {
		platform := group.Platform
		if platform.text == "" {
			platform.text = string(PlatformV1)
		}
		if !slices.Contains(platforms, Platform(platform.text)) {
			fail(platform, "there is no platform %q", platform.text)
		}
		for _, entry := range group.Types {
			name := entry.Name.text
			if why := t.refuses(name, group.Versioned, own); why != "" {
				fail(entry.Name, "%s", why)
				continue
			}
			if base, _ := cutVersion(name); group.Versioned {
				t.versioned[base] = true
			}
			t.byName[name] = len(t.types)
			t.types = append(t.types, EventType{
				Name: name, Domain: domain, Platform: platform.text, Description: entry.Description,
				Versioned: group.Versioned, Sample: file.sampleFor(name),
			})
		}
	}
	return errors.Join(problems...)
}

// decodeTypeFile reads a file. The parser panics at some tags ("!0 {}"), which is no reason to end the process.
func decodeTypeFile(text []byte) (file typeFile, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	err = yaml.UnmarshalWithOptions(text, &file, yaml.Strict())
	return file, err
}

// refuses says why a type cannot be listed, or nothing.
func (t *Types) refuses(name string, versioned, own bool) string {
	pattern, err := ParsePattern(name)
	_, taken := t.byName[name]
	_, version := cutVersion(name)
	switch {
	case err != nil:
		return err.Error()
	case pattern.Kind() != PatternExact:
		return fmt.Sprintf("%q is a pattern, not the name of an event type", name)
	case !own && IsRelayEvent(name):
		return fmt.Sprintf("%q is named like the relay's own event types", name)
	case taken:
		return fmt.Sprintf("%q is listed already", name)
	case versioned && version == "":
		return fmt.Sprintf("%q has no version, such as \".v1\", and its group is versioned", name)
	}
	return ""
}

// sampleFor gives the sample with the longest prefix that fits, nil when none does.
func (f *typeFile) sampleFor(name string) json.RawMessage {
	longest, data := -1, ""
	for _, s := range f.Samples {
		if len(s.Prefix) > longest && strings.HasPrefix(name, s.Prefix) {
			longest, data = len(s.Prefix), s.Data.text
		}
	}
	if longest < 0 {
		return nil
	}
	return bytes.TrimSpace([]byte(data))
}

// syntaxError keeps the message and line of the parser's error, without the excerpt of the file that it draws.
func syntaxError(file string, err error) error {
	var detailed yaml.Error
	if errors.As(err, &detailed) && detailed.GetToken() != nil {
		message, _, _ := strings.Cut(detailed.GetMessage(), "\n")
		return fmt.Errorf("%s:%d: %s", file, detailed.GetToken().Position.Line, message)
	}
	return fmt.Errorf("%s:1: not a YAML file", file)
}
