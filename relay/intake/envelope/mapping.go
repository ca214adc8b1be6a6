package envelope

import (
	"errors"
	"fmt"
	"strings"
)

// Mapping understands one shape of plain JSON: which keys tell it from others, and where each attribute is.
//
// A place is a JSON pointer ("/payload/messageId"), or the name of a top-level key ("id"), or "header:" and the name
// of a record header. An empty place means that the shape has no such attribute, except for Data, where it means the
// whole value, as the empty JSON pointer does.
//
// A mapping fits a record when all Required places are present, all Literals are as given, and Type is a string.
type Mapping struct {
	// Name is for error messages and must be given.
	Name string `json:"name" yaml:"name"`
	// Topics narrows the mapping to these; empty means every topic.
	Topics []string `json:"topics,omitempty" yaml:"topics,omitempty"`
	// Required places must be present; null counts as present.
	Required []string `json:"required,omitempty" yaml:"required,omitempty"`
	// Literals are places whose text must be exactly the one given: {"object": "event"}.
	Literals map[string]string `json:"literals,omitempty" yaml:"literals,omitempty"`

	Type           string `json:"type" yaml:"type"`
	Data           string `json:"data,omitempty" yaml:"data,omitempty"`
	ID             string `json:"id,omitempty" yaml:"id,omitempty"`
	Time           string `json:"time,omitempty" yaml:"time,omitempty"`
	Source         string `json:"source,omitempty" yaml:"source,omitempty"`
	Subject        string `json:"subject,omitempty" yaml:"subject,omitempty"`
	Tenant         string `json:"tenant,omitempty" yaml:"tenant,omitempty"`
	Office         string `json:"office,omitempty" yaml:"office,omitempty"`
	TransactionID  string `json:"transactionId,omitempty" yaml:"transactionId,omitempty"`
	Username       string `json:"username,omitempty" yaml:"username,omitempty"`
	UserID         string `json:"userId,omitempty" yaml:"userId,omitempty"`
	UserPoolID     string `json:"userPoolId,omitempty" yaml:"userPoolId,omitempty"`
	UserOriginator string `json:"userOriginator,omitempty" yaml:"userOriginator,omitempty"`
	Livemode       string `json:"livemode,omitempty" yaml:"livemode,omitempty"`
}

// place is a compiled place. The zero value is nowhere.
type place struct {
	header string
	member int      // slot in the outline plus one, so that zero is none
	path   []string // from that member inwards
}

func (p *place) nowhere() bool { return p.header == "" && p.member == 0 }

// headerPlace begins a place that is a record header.
const headerPlace = "header:"

// shape is a compiled Mapping.
type shape struct {
	name     string
	topics   []string
	required []place
	literals []literal

	typ, id, time, source, subject, tenant, office, transactionID place
	username, userID, userPoolID, userOriginator, livemode, data  place
}

type literal struct {
	at   place
	text string
}

// compile checks m and finds a slot in o for each top-level key that it looks at.
func (m Mapping) compile(o *outline) (shape, error) {
	s := shape{name: m.Name, topics: m.Topics}
	if m.Name == "" {
		return shape{}, errors.New("mapping without a name")
	}
	if m.Type == "" {
		return shape{}, fmt.Errorf("mapping %q: type is missing: say where the event type is", m.Name)
	}
	if strings.HasPrefix(m.Data, headerPlace) {
		return shape{}, fmt.Errorf("mapping %q: data: data is taken from the value, not from a header", m.Name)
	}
	for _, field := range []struct {
		name, text string
		into       *place
	}{
		{"type", m.Type, &s.typ}, {"data", m.Data, &s.data}, {"id", m.ID, &s.id}, {"time", m.Time, &s.time},
		{"source", m.Source, &s.source}, {"subject", m.Subject, &s.subject}, {"tenant", m.Tenant, &s.tenant},
		{"office", m.Office, &s.office}, {"transactionId", m.TransactionID, &s.transactionID},
		{"username", m.Username, &s.username}, {"userId", m.UserID, &s.userID}, {"userPoolId", m.UserPoolID, &s.userPoolID},
		{"userOriginator", m.UserOriginator, &s.userOriginator}, {"livemode", m.Livemode, &s.livemode},
	} {
		if field.text == "" {
			continue
		}
		p, err := o.place(field.text)
		if err != nil {
			return shape{}, fmt.Errorf("mapping %q: %s: %w", m.Name, field.name, err)
		}
		*field.into = p
	}
	for _, text := range m.Required {
		p, err := o.place(text)
		if err != nil {
			return shape{}, fmt.Errorf("mapping %q: required: %w", m.Name, err)
		}
		s.required = append(s.required, p)
	}
	for text, want := range m.Literals {
		p, err := o.place(text)
		if err != nil {
			return shape{}, fmt.Errorf("mapping %q: literals: %w", m.Name, err)
		}
		s.literals = append(s.literals, literal{at: p, text: want})
	}
	return s, nil
}

// maxMembers is how many different top-level keys all mappings together may look at: an outline of that size is
// kept on the stack while a record is decoded.
const maxMembers = 64

// outline gives each top-level key that some mapping looks at a slot, so that one pass over a value finds them all.
type outline struct {
	slots map[string]int
}

// place compiles the text of a place.
func (o *outline) place(text string) (place, error) {
	if name, ok := strings.CutPrefix(text, headerPlace); ok {
		if name == "" {
			return place{}, fmt.Errorf("%q names no header", text)
		}
		return place{header: name}, nil
	}
	keys := []string{text}
	if pointer, ok := strings.CutPrefix(text, "/"); ok {
		keys = strings.Split(pointer, "/")
		for i, key := range keys {
			if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(key), "~") {
				return place{}, fmt.Errorf("%q is not a JSON pointer: ~ must be written ~0", text)
			}
			keys[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		}
	}
	if text == "" {
		return place{}, errors.New("a place is empty")
	}
	slot, ok := o.slots[keys[0]]
	if !ok {
		if slot = len(o.slots); slot == maxMembers {
			return place{}, fmt.Errorf("the mappings look at more than %d different top-level keys", maxMembers)
		}
		if o.slots == nil {
			o.slots = make(map[string]int)
		}
		o.slots[keys[0]] = slot
	}
	return place{member: slot + 1, path: keys[1:]}, nil
}
