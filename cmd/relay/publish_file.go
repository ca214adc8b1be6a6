package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"
)

// publishPart is one record's value in a file, and the line on which it begins.
type publishPart struct {
	value []byte
	line  int
}

// fromFile reads the records of a file. A JSON object that says that it is a CloudEvent is sent as one in structured
// mode; any other is sent as it stands.
func (c *publishCmd) fromFile(stdin io.Reader) ([]publishRecord, error) {
	name, content, err := publishRead(c.File, stdin)
	if err != nil {
		return nil, err
	}
	parts, err := publishSplit(name, content)
	if err != nil {
		return nil, err
	}
	records := make([]publishRecord, 0, len(parts))
	for _, part := range parts {
		rec := &kgo.Record{Value: part.value, Headers: c.headers()}
		if gjson.GetBytes(part.value, "specversion").Exists() {
			rec.Headers = append(rec.Headers, publishHeader("content-type", "application/cloudevents+json"))
		}
		records = append(records, publishRecord{record: rec, from: fmt.Sprintf("%s:%d", name, part.line)})
	}
	return records, nil
}

func publishRead(path string, stdin io.Reader) (name string, content []byte, err error) {
	if path == "-" {
		if content, err = io.ReadAll(stdin); err != nil {
			return "", nil, fmt.Errorf("read standard input: %w", err)
		}
		return "stdin", content, nil
	}
	if content, err = os.ReadFile(path); err != nil {
		return "", nil, fmt.Errorf("--file: %w", err)
	}
	return path, content, nil
}

// publishSplit finds the records in a file: the elements of one JSON array, one JSON text over any number of lines,
// or one JSON text per line. Errors name file and line. The bytes of each record are kept.
func publishSplit(name string, content []byte) ([]publishPart, error) {
	text := bytes.TrimLeft(content, " \t\r\n")
	line := 1 + bytes.Count(content[:len(content)-len(text)], []byte{'\n'})
	text = bytes.TrimRight(text, " \t\r\n")
	switch {
	case len(text) == 0:
		return nil, fmt.Errorf("%s: there is no record in it", name)
	case text[0] != '[' && !json.Valid(text) && publishLineWise(text):
		return publishLines(name, text, line)
	}
	if err := publishJSON(name, text, line); err != nil {
		return nil, err
	}
	if text[0] == '[' {
		return publishElements(name, text, line)
	}
	return []publishPart{{value: text, line: line}}, nil
}

// publishLineWise reports whether text looks like one record per line: some line is a whole object.
func publishLineWise(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] == '{' && json.Valid(line) {
			return true
		}
	}
	return false
}

func publishLines(name string, text []byte, line int) ([]publishPart, error) {
	var parts []publishPart
	for value := range bytes.Lines(text) {
		if value = bytes.TrimSpace(value); len(value) > 0 {
			if err := publishJSON(name, value, line); err != nil {
				return nil, err
			}
			parts = append(parts, publishPart{value: value, line: line})
		}
		line++
	}
	return parts, nil
}

func publishElements(name string, text []byte, line int) ([]publishPart, error) {
	var parts []publishPart
	counted := 0 // line is that of text[counted]
	gjson.ParseBytes(text).ForEach(func(_, element gjson.Result) bool {
		line += bytes.Count(text[counted:element.Index], []byte{'\n'})
		counted = element.Index
		parts = append(parts, publishPart{value: text[element.Index : element.Index+len(element.Raw)], line: line})
		return true
	})
	if len(parts) == 0 {
		return nil, fmt.Errorf("%s:%d: the array is empty", name, line)
	}
	return parts, nil
}

// publishJSON checks that text, which begins on that line of the file, is one JSON text.
func publishJSON(name string, text []byte, line int) error {
	err := json.Unmarshal(text, new(json.RawMessage))
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		before := text[:min(max(int(syntax.Offset)-1, 0), len(text))]
		line += bytes.Count(before, []byte{'\n'})
	}
	if err != nil {
		return fmt.Errorf("%s:%d: not JSON: %w", name, line, err)
	}
	return nil
}
