package relay

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// TopicState is one topic as the cluster tells it.
type TopicState struct {
	Partitions int32
	// Replicas of the partition that has the fewest.
	Replicas int
	// Configs are the settings in force, whoever made them. One that the broker does not tell is missing.
	Configs map[string]string
	// Err is why the topic or its settings cannot be read, an *AccessError as a rule.
	Err error
}

// TopicAction is what is to be done about a topic.
type TopicAction int

const (
	// TopicKeep: it is as it must be.
	TopicKeep TopicAction = iota
	// TopicCreate: it is missing.
	TopicCreate
	// TopicAlter: settings differ, and can be set.
	TopicAlter
	// TopicGrow: it has fewer partitions than it should, and more do no harm.
	TopicGrow
	// TopicRefuse: it differs in what only an operator may change.
	TopicRefuse
	// TopicUnknown: the broker does not tell some settings, so that nothing is known about them.
	TopicUnknown
)

func (a TopicAction) String() string {
	return [...]string{"ok", "create", "alter", "grow", "refuse", "unknown"}[a]
}

// TopicSetting is a setting that is not as it must be.
type TopicSetting struct{ Name, Found, Wanted string }

// TopicChange is one thing that a plan says about one topic.
type TopicChange struct {
	Spec   TopicSpec
	Action TopicAction
	// Settings, of TopicAlter and TopicUnknown, by name.
	Settings []TopicSetting
	// Partitions that the topic has.
	Partitions int32
	// Reason of TopicRefuse, and what an operator can do.
	Reason string
	// Err is behind the reason when the topic could not be read.
	Err error
}

// String is the change as a line for an operator: "alter relay.diverted retention.ms: 604800000 → -1".
func (c TopicChange) String() string {
	text := c.Action.String() + " " + c.Spec.Name
	switch c.Action {
	case TopicCreate:
		text += fmt.Sprintf(" partitions=%d", c.Spec.Partitions)
		for _, name := range slices.Sorted(maps.Keys(c.Spec.Configs)) {
			text += " " + name + "=" + c.Spec.Configs[name]
		}
	case TopicAlter:
		parts := make([]string, len(c.Settings))
		for i, s := range c.Settings {
			parts[i] = fmt.Sprintf("%s: %s → %s", s.Name, s.Found, s.Wanted)
		}
		text += " " + strings.Join(parts, ", ")
	case TopicGrow:
		text += fmt.Sprintf(" partitions: %d → %d", c.Partitions, c.Spec.Partitions)
	case TopicRefuse:
		text += ": " + c.Reason
	case TopicUnknown:
		parts := make([]string, len(c.Settings))
		for i, s := range c.Settings {
			parts[i] = s.Name + "=" + s.Wanted
		}
		text += ": the broker does not tell these settings; see to it that they are " + strings.Join(parts, ", ")
	}
	return text
}

// PlanTopics says of each topic, in the order of the specs, what is to be done to make it what its spec wants. states
// has no entry for a topic that does not exist.
func PlanTopics(specs []TopicSpec, states map[string]TopicState) []TopicChange {
	var plan []TopicChange
	for _, spec := range specs {
		state, exists := states[spec.Name]
		switch {
		case !exists:
			plan = append(plan, TopicChange{Spec: spec, Action: TopicCreate})
		case state.Err != nil:
			plan = append(plan, TopicChange{Spec: spec, Action: TopicRefuse, Reason: state.Err.Error(), Err: state.Err})
		case spec.Foreign:
			plan = append(plan, TopicChange{Spec: spec, Action: TopicKeep, Partitions: state.Partitions})
		default:
			plan = append(plan, planTopic(spec, state)...)
		}
	}
	return plan
}

// planTopic compares a topic of the relay's own that exists.
func planTopic(spec TopicSpec, state TopicState) []TopicChange {
	var plan []TopicChange
	change := func(action TopicAction) TopicChange {
		return TopicChange{Spec: spec, Action: action, Partitions: state.Partitions}
	}
	switch {
	case spec.Single && state.Partitions != 1:
		c := change(TopicRefuse)
		c.Reason = fmt.Sprintf("it has %d partitions and is compacted; the relay needs exactly one, which orders all writes. "+
			"Stop all relays; if it holds nothing, delete it and run this again, else choose another --topic-prefix and copy its records, keys included", state.Partitions)
		plan = append(plan, c)
	case spec.Compacted && state.Partitions != spec.Partitions:
		c := change(TopicRefuse)
		c.Reason = fmt.Sprintf("it has %d partitions and is compacted; with %d, new records would be in other partitions than the older ones of their keys. "+
			"Set --topic-partitions to %d, or choose another --topic-prefix", state.Partitions, spec.Partitions, state.Partitions)
		plan = append(plan, c)
	case !spec.Compacted && state.Partitions < spec.Partitions:
		// More than wanted are kept: they can be read as well, and no broker takes one away.
		plan = append(plan, change(TopicGrow))
	}
	alter, unknown := change(TopicAlter), change(TopicUnknown)
	for _, name := range slices.Sorted(maps.Keys(spec.Configs)) {
		wanted := spec.Configs[name]
		found, told := state.Configs[name]
		switch {
		case !told:
			unknown.Settings = append(unknown.Settings, TopicSetting{Name: name, Wanted: wanted})
		case !satisfies(name, found, wanted):
			alter.Settings = append(alter.Settings, TopicSetting{Name: name, Found: found, Wanted: wanted})
		}
	}
	for _, c := range []TopicChange{alter, unknown} {
		if len(c.Settings) > 0 {
			plan = append(plan, c)
		}
	}
	if len(plan) == 0 {
		plan = append(plan, change(TopicKeep))
	}
	return plan
}

// bound is how a setting may differ from what is wanted.
type bound int

const (
	exactly bound = iota
	atLeast       // what an operator keeps for longer, or lets be larger, serves as well
	atMost        // what an operator has compacted sooner serves as well
)

var settingBounds = map[string]bound{
	"max.message.bytes":         atLeast,
	"retention.ms":              atLeast,
	"retention.bytes":           atLeast,
	"delete.retention.ms":       atLeast,
	"segment.ms":                atMost,
	"max.compaction.lag.ms":     atMost,
	"min.cleanable.dirty.ratio": atMost,
}

// satisfies reports whether the value found does what the wanted one is for.
func satisfies(name, found, wanted string) bool {
	if found == wanted {
		return true
	}
	f, errFound := strconv.ParseFloat(found, 64)
	w, errWanted := strconv.ParseFloat(wanted, 64)
	if errFound != nil || errWanted != nil {
		return false
	}
	switch settingBounds[name] {
	case atLeast:
		// -1 is no limit.
		return f == -1 || w != -1 && f >= w
	case atMost:
		return f <= w
	default:
		return f == w
	}
}

// TopicHazard is one difference of a topic as a start sees it: what was found, what is wanted, and whether the topic
// may lose what it holds if the relay went on.
type TopicHazard struct {
	Topic, Problem string
	Loses          bool
}

// TopicHazards are the differences in a plan that matter to a relay that starts, except topics that are missing or
// could not be read. The partition counts of topics that may have any are none: the relay takes them as they are.
func TopicHazards(plan []TopicChange) []TopicHazard {
	var hazards []TopicHazard
	for _, c := range plan {
		add := func(loses bool, format string, args ...any) {
			hazards = append(hazards, TopicHazard{Topic: c.Spec.Name, Problem: fmt.Sprintf(format, args...), Loses: loses})
		}
		switch c.Action {
		case TopicAlter:
			for _, s := range c.Settings {
				add(slices.Contains(c.Spec.Vital, s.Name), "%s is %s and must be %s", s.Name, s.Found, s.Wanted)
			}
		case TopicUnknown:
			for _, s := range c.Settings {
				add(false, "%s is not told by the broker and must be %s", s.Name, s.Wanted)
			}
		case TopicRefuse:
			if c.Spec.Single && c.Err == nil {
				add(true, "it has %d partitions and must have one", c.Partitions)
			}
		case TopicKeep, TopicCreate, TopicGrow: // nothing to fear
		}
	}
	return hazards
}
