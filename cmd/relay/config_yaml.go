package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// yamlFile is the configuration file, flattened: a value for each dotted key. It resolves flags for kong: a flag takes
// the value under its yaml tag, as the text that the command line would carry, so that each type has one parser.
type yamlFile struct {
	name   string // for messages
	values map[string]yamlValue
}

type yamlValue struct {
	line   int
	scalar *string
	list   []string
	pairs  []string // of a map-valued key: "key=value"
}

// configFile is the flag that names the file. Giving it, as a flag or in the environment, loads it.
type configFile string

// BeforeResolve loads the file and has kong look into it; kong calls it when the flag has a value.
func (configFile) BeforeResolve(ctx *kong.Context, trace *kong.Path, s *settings) error {
	path := string(ctx.FlagValue(trace.Flag).(configFile))
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration file (--config, RELAY_CONFIG): %w", err)
	}
	file, err := parseYAML(filepath.Base(path), text, yamlKeys(ctx.Model))
	if err != nil {
		return err
	}
	s.file = file
	ctx.AddResolver(file)
	return nil
}

// yamlKeys gives the keys that some command knows, and whether each holds a map. A file may serve several commands,
// so a key of another command is no mistake.
func yamlKeys(app *kong.Application) map[string]bool {
	keys := make(map[string]bool)
	eachFlag(app, func(flag *kong.Flag) {
		if key := flag.Tag.Get("yaml"); key != "" {
			keys[key] = flag.Target.Kind() == reflect.Map
		}
	})
	return keys
}

// parseYAML reads a file. Messages name the line and never quote a value, which may be a secret.
func parseYAML(name string, text []byte, known map[string]bool) (*yamlFile, error) {
	f := &yamlFile{name: name, values: make(map[string]yamlValue)}
	parsed, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, f.syntaxError(err)
	}
	if len(parsed.Docs) > 1 {
		return nil, fmt.Errorf("%s:%d: a second document: the file must hold one", name, line(parsed.Docs[1]))
	}
	var problems []error
	for _, doc := range parsed.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		problems = f.walk(doc.Body, "", known)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return f, nil
}

// syntaxError keeps the message and the line of a parser's error, without the excerpt of the file that it prints.
func (f *yamlFile) syntaxError(err error) error {
	var detailed yaml.Error
	if errors.As(err, &detailed) && detailed.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", f.name, detailed.GetToken().Position.Line, firstLine(detailed.GetMessage()))
	}
	return fmt.Errorf("%s: not a YAML file", f.name)
}

// walk flattens a mapping whose key is prefix ("" or ending in a dot) and returns all that is wrong in it.
func (f *yamlFile) walk(node ast.Node, prefix string, known map[string]bool) []error {
	entries, ok := mappingEntries(node)
	if !ok {
		return []error{f.problem(node, strings.TrimSuffix(prefix, "."), "must hold keys, not %s", describeNode(node))}
	}
	var problems []error
	for _, entry := range entries {
		key := prefix + entry.Key.String()
		isMap, isKey := known[key]
		var err error
		switch {
		case isKey && isMap:
			err = f.addPairs(key, entry)
		case isKey:
			err = f.addValue(key, entry)
		case isGroup(known, key):
			problems = append(problems, f.walk(entry.Value, key+".", known)...)
		default:
			err = fmt.Errorf("%s:%d: unknown key %q%s", f.name, line(entry.Key), key, suggest(key, known))
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

func (f *yamlFile) addValue(key string, entry *ast.MappingValueNode) error {
	v := yamlValue{line: line(entry.Key)}
	if seq, ok := entry.Value.(*ast.SequenceNode); ok {
		v.list = []string{}
		for _, item := range seq.Values {
			text, ok := scalarText(item)
			if !ok {
				return f.problem(item, key, "must be a list of single values, and one is %s", describeNode(item))
			}
			v.list = append(v.list, text)
		}
	} else {
		text, ok := scalarText(entry.Value)
		if !ok {
			return f.problem(entry.Key, key, "must be a value, not %s", describeNode(entry.Value))
		}
		v.scalar = &text
	}
	f.values[key] = v
	return nil
}

func (f *yamlFile) addPairs(key string, entry *ast.MappingValueNode) error {
	entries, ok := mappingEntries(entry.Value)
	if !ok {
		return f.problem(entry.Key, key, "must hold keys, not %s", describeNode(entry.Value))
	}
	v := yamlValue{line: line(entry.Key)}
	for _, pair := range entries {
		text, ok := scalarText(pair.Value)
		if !ok {
			return f.problem(pair.Key, key+"."+pair.Key.String(), "must be a value, not %s", describeNode(pair.Value))
		}
		v.pairs = append(v.pairs, scalarKey(pair.Key)+"="+text)
	}
	f.values[key] = v
	return nil
}

func (f *yamlFile) problem(at ast.Node, key, format string, args ...any) error {
	if key == "" {
		key = "the file"
	}
	return fmt.Errorf("%s:%d: %s "+format, append([]any{f.name, line(at), key}, args...)...)
}

// Validate implements kong.Resolver; parseYAML has done it.
func (f *yamlFile) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver. Kong asks it for flags that the command line does not set, and would let the
// answer win over the environment, so it does not answer for those that the environment sets.
func (f *yamlFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := f.values[flag.Tag.Get("yaml")]
	if !ok || envSet(flag) {
		return nil, nil
	}
	text, err := value.text(flag)
	if err == nil {
		// Kong parses the answer too, but its message does not know the line.
		err = flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: kong.Scan().PushTyped(text, kong.FlagValueToken)},
			reflect.New(flag.Target.Type()).Elem())
	}
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %s: %w", f.name, value.line, flag.Tag.Get("yaml"), err)
	}
	return text, nil
}

// text is the value as the command line would carry it.
func (v yamlValue) text(flag *kong.Flag) (string, error) {
	switch {
	case flag.Target.Kind() == reflect.Map:
		return kong.JoinEscaped(v.pairs, flag.Tag.MapSep), nil
	case v.list != nil && flag.Target.Kind() != reflect.Slice:
		return "", errors.New("must be one value, not a list")
	case v.list != nil:
		return kong.JoinEscaped(v.list, flag.Tag.Sep), nil
	default:
		return *v.scalar, nil
	}
}

func mappingEntries(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// scalarText is the value as it is written, unquoted: "010" and "1e3" stay what they look like.
func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func scalarKey(key ast.MapKeyNode) string {
	if text, ok := scalarText(key); ok {
		return text
	}
	return key.String()
}

func describeNode(node ast.Node) string {
	if node == nil || node.Type() == ast.NullType {
		return "nothing"
	}
	kind := strings.ToLower(node.Type().String())
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

func line(node ast.Node) int {
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return 0
	}
	return node.GetToken().Position.Line
}

func firstLine(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return first
}

func isGroup(known map[string]bool, key string) bool {
	for k := range known {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

// suggest offers the known key or group that a wrong key is closest to, as ` (did you mean "…"?)`.
func suggest(wrong string, known map[string]bool) string {
	var candidates []string
	for key := range known {
		for key != "" {
			candidates = append(candidates, key)
			key = key[:max(strings.LastIndexByte(key, '.'), 0)]
		}
	}
	sort.Strings(candidates)
	if best := closest(wrong, candidates); best != "" {
		return fmt.Sprintf(" (did you mean %q?)", best)
	}
	return ""
}

// closest is the candidate at the least edit distance, if that is small enough to be a typing error.
func closest(wrong string, candidates []string) string {
	best, bestDistance := "", 1+max(2, len(wrong)/4)
	for _, candidate := range candidates {
		if d := editDistance(strings.ToLower(wrong), strings.ToLower(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
