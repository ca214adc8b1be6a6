package dialect

import (
	"fmt"
	"slices"

	"eventrelay/catalog"
)

// everyEvent is the name by which a client subscribes to all types of the platform.
const everyEvent = "*"

// platformEvents are the names of the types in the platform's catalog, in the order of its page.
func platformEvents(platform catalog.Platform) []string {
	types := catalog.PlatformTypes(platform)
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	return names
}

// shownEvents are the platform's types that a webhook's patterns name, in the order of the page. What the platform
// does not document is not shown.
func shownEvents(platform catalog.Platform, patterns []string) []string {
	shown := []string{}
	parsed := make([]catalog.Pattern, 0, len(patterns))
	for _, text := range patterns {
		if p, err := catalog.ParsePattern(text); err == nil {
			parsed = append(parsed, p)
		}
	}
	for _, name := range platformEvents(platform) {
		if slices.ContainsFunc(parsed, func(p catalog.Pattern) bool { return p.Match(name) }) {
			shown = append(shown, name)
		}
	}
	return shown
}

// namesEveryEvent reports whether a webhook's patterns name every type of the platform.
func namesEveryEvent(platform catalog.Platform, patterns []string) bool {
	return len(shownEvents(platform, patterns)) == len(catalog.PlatformTypes(platform))
}

// namedEvents gives the patterns for the names that a client sent, each once; "*" stands for every type of the
// platform, and for no other platform's. stored are the webhook's patterns so far, nil on creation: if the client
// names what is shown of them they stay as they are. Names that the platform does not document are returned in
// wrong, under the name of the field.
func namedEvents(platform catalog.Platform, field string, sent, stored []string) (patterns []string, wrong []catalog.FieldError) {
	known := platformEvents(platform)
	patterns = []string{}
	for i, name := range sent {
		switch {
		case name == everyEvent:
			patterns = append(patterns, known...)
		case slices.Contains(known, name):
			patterns = append(patterns, name)
		default:
			wrong = append(wrong, catalog.FieldError{
				Path: fmt.Sprintf("%s[%d]", field, i), Message: fmt.Sprintf("%q is not an event of this platform", shorten(name)),
			})
		}
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	patterns = slices.DeleteFunc(slices.Clone(known), func(name string) bool { return !slices.Contains(patterns, name) })
	if stored != nil && slices.Equal(patterns, shownEvents(platform, stored)) {
		return stored, nil
	}
	return patterns, nil
}

// shorten keeps what a client wrote from filling an answer.
func shorten(text string) string {
	const most = 64 // bytes
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
