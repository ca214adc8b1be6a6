package catalog

import (
	"encoding/json"
	"slices"
	"strings"
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
	// Sample is the data of such an event, as an example. An operator's type may have none.
	Sample json.RawMessage
}

// DomainRelay is the domain of the relay's own event types. It is not among Domains: no platform publishes it.
const DomainRelay = "relay"

// Domains lists the areas of the platform; by default each has a source topic of the same name. Those that an operator's
// files add come last.
func Domains() []string { return slices.Clone(listed().domains) }

// IsDomain reports whether a domain is one of Domains. Operators may configure topics of others.
func IsDomain(name string) bool { return slices.Contains(listed().domains, name) }

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
