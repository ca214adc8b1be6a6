package catalog

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

// EventType is a kind of event that the catalog lists.
type EventType struct {
	// Name, for example "debt.paid".
	Name string
	// Domain is the area of the platform, DomainRelay for the relay's own.
	Domain string
	// Platform is the one whose page documents the type (see Platform).
	Platform    string
	Description string
	// Versioned types end in ".v" and a number. An exact pattern without that suffix matches every version.
	Versioned bool
	// Sample is the data of such an event, as an example.
	Sample json.RawMessage
}

// DomainRelay is the domain of the relay's own event types. It is not among Domains: no platform publishes it.
const DomainRelay = "relay"

// domains in the order in which they are shown.
var domains = []string{"debt", "payment", "claim", "policy", "sms"}

// Domains lists the areas of the platform; by default each has a source topic of the same name.
func Domains() []string { return slices.Clone(domains) }

// IsDomain reports whether a domain is one of Domains. Operators may configure others.
func IsDomain(name string) bool { return slices.Contains(domains, name) }

// EventTypes lists the catalog, by domain and then in the order of the platforms' pages. The relay's own come last.
func EventTypes() []EventType { return slices.Clone(listed().types) }

// PlatformTypes lists the types that one platform documents: what "*" means in its dialect.
func PlatformTypes(platform Platform) []EventType {
	var types []EventType
	for _, t := range listed().types {
		if t.Platform == string(platform) {
			types = append(types, t)
		}
	}
	return types
}

// LookupEventType finds a type by its exact name.
func LookupEventType(name string) (EventType, bool) {
	i, found := listed().byName[name]
	if !found {
		return EventType{}, false
	}
	return listed().types[i], true
}

// VersionBase gives the name of an event type without its version, when the catalog marks the type as versioned:
// "event.claim.created" for "event.claim.created.v1", and for versions the catalog has not heard of. Whoever looks
// up exact patterns looks up the base as well.
func VersionBase(eventType string) (string, bool) {
	base, version := cutVersion(eventType)
	if version == "" || !listed().versioned[base] {
		return "", false
	}
	return base, true
}

// IsKnownType reports whether an exact pattern of this name can match a type of the catalog.
func IsKnownType(name string) bool {
	c := listed()
	if _, found := c.byName[name]; found {
		return true
	}
	_, isVersion := VersionBase(name)
	return isVersion || c.versioned[name]
}

// cutVersion splits ".v" and digits off; version is empty when there is none.
func cutVersion(eventType string) (base, version string) {
	at := strings.LastIndex(eventType, ".v")
	if at <= 0 {
		return eventType, ""
	}
	digits := eventType[at+2:]
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return eventType, ""
	}
	return eventType[:at], digits
}

//go:embed types/*.yaml
var typeFiles embed.FS

// typeFile is the form of a file in types/, one for each domain.
type typeFile struct {
	Domain string `yaml:"domain"`
	Groups []struct {
		Platform  string `yaml:"platform"`
		Versioned bool   `yaml:"versioned"`
		Types     []struct {
			Name        string `yaml:"name"`
			Description string `yaml:"description"`
		} `yaml:"types"`
	} `yaml:"groups"`
	Samples []struct {
		Prefix string `yaml:"prefix"`
		Data   string `yaml:"data"` // JSON, kept as it is written
	} `yaml:"samples"`
}

type typeCatalog struct {
	types     []EventType
	byName    map[string]int // index into types
	versioned map[string]bool
}

// listed reads the embedded files once. They are part of the program: one that does not parse is a defect that the
// tests of this package find, not a condition to handle.
var listed = sync.OnceValue(func() *typeCatalog {
	c := &typeCatalog{byName: map[string]int{}, versioned: map[string]bool{}}
	for _, domain := range append(Domains(), DomainRelay) {
		if err := c.load(domain); err != nil {
			panic(fmt.Sprintf("catalog: types/%s.yaml: %v", domain, err))
		}
	}
	return c
})

func (c *typeCatalog) load(domain string) error {
	text, err := typeFiles.ReadFile("types/" + domain + ".yaml")
	if err != nil {
		return err
	}
	var file typeFile
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return err
	}
	if file.Domain != domain {
		return fmt.Errorf("its domain is %q", file.Domain)
	}
	for _, group := range file.Groups {
		for _, t := range group.Types {
			sample, err := file.sampleFor(t.Name)
			if err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			if _, taken := c.byName[t.Name]; taken {
				return fmt.Errorf("%s is listed twice", t.Name)
			}
			if group.Versioned {
				base, version := cutVersion(t.Name)
				if version == "" {
					return fmt.Errorf("%s has no version", t.Name)
				}
				c.versioned[base] = true
			}
			c.byName[t.Name] = len(c.types)
			c.types = append(c.types, EventType{
				Name: t.Name, Domain: domain, Platform: group.Platform, Description: t.Description,
				Versioned: group.Versioned, Sample: sample,
			})
		}
	}
	return nil
}

// sampleFor gives the sample with the longest prefix that fits.
func (f *typeFile) sampleFor(name string) (json.RawMessage, error) {
	longest, data := -1, ""
	for _, s := range f.Samples {
		if len(s.Prefix) > longest && strings.HasPrefix(name, s.Prefix) {
			longest, data = len(s.Prefix), s.Data
		}
	}
	sample := bytes.TrimSpace([]byte(data))
	if !json.Valid(sample) {
		return nil, fmt.Errorf("its sample is missing or not JSON")
	}
	return sample, nil
}
