package relay

import (
	"strconv"
	"time"
)

// Topics names the relay's own topics and says how each must be set up.
type Topics struct {
	// Prefix is "relay." by default.
	Prefix string
	// Delays are the classes of the retry wheel, shortest first.
	Delays []time.Duration
	// Partitions of the retry, diverted and attempts topics.
	Partitions int32
	// Replication factor; -1 leaves it to the broker.
	Replication int16
	// MaxEventBytes is the largest event that is relayed; records that hold one may be EnvelopeBytes larger.
	MaxEventBytes int
	// AuditRetention is how long the audit trail is kept; 0 is DefaultAuditRetention.
	AuditRetention time.Duration
}

// DefaultDelays are the classes of the retry wheel. A delivery waits out the largest that fits and hops until due,
// so any due time works; the smallest is the wheel's precision.
var DefaultDelays = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour}

const (
	// DefaultMaxEventBytes is event.maxBytes.
	DefaultMaxEventBytes = 10 << 20
	// EnvelopeBytes is the room for headers and framing around an event in a record of ours.
	EnvelopeBytes = 64 << 10
	// DefaultAuditRetention covers a year and the time that its review takes.
	DefaultAuditRetention = 400 * day
)

// The topics; Specs says how each is set up.
func (t Topics) Webhooks() string { return t.Prefix + "webhooks" }
func (t Topics) Diverted() string { return t.Prefix + "diverted" }
func (t Topics) Attempts() string { return t.Prefix + "attempts" }
func (t Topics) Jobs() string     { return t.Prefix + "jobs" }
func (t Topics) Events() string   { return t.Prefix + "events" }
func (t Topics) Rejected() string { return t.Prefix + "rejected" }
func (t Topics) Audit() string    { return t.Prefix + "audit" }

// Retry is the topic of one delay class: relay.retry.5s, relay.retry.2m, relay.retry.1h.
func (t Topics) Retry(delay time.Duration) string { return t.Prefix + "retry." + DelayName(delay) }

// RetryAll are the retry topics, shortest delay first.
func (t Topics) RetryAll() []string {
	names := make([]string, len(t.Delays))
	for i, d := range t.Delays {
		names[i] = t.Retry(d)
	}
	return names
}

// DelayName is the shortest text of a delay, as topic names use it.
func DelayName(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d >= unit.size && d%unit.size == 0 {
			return strconv.FormatInt(int64(d/unit.size), 10) + unit.name
		}
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

// TopicSpec is how one topic must be set up.
type TopicSpec struct {
	Name       string
	Partitions int32
	Configs    map[string]string
	// Compacted topics are keyed state: their partition count must never change.
	Compacted bool
	// Single topics are one log: with any other number of partitions than one they cannot be read in order.
	Single bool
	// Vital are the settings that keep what the topic holds. With others the broker deletes it, and nobody is told.
	Vital []string
	// Foreign topics are the platform's: made when they are missing, and never changed.
	Foreign bool
}

const day = 24 * time.Hour

// Specs lists the relay's own topics.
func (t Topics) Specs() []TopicSpec {
	maxBytes := strconv.Itoa(t.MaxEventBytes + EnvelopeBytes)
	compact := func(extra map[string]string) map[string]string {
		c := map[string]string{
			"cleanup.policy": "compact",
			// A broker that also applies time retention would delete state that is merely old.
			"retention.ms":              "-1",
			"retention.bytes":           "-1",
			"min.cleanable.dirty.ratio": "0.1",
			"segment.ms":                millis(time.Hour),
			"max.compaction.lag.ms":     millis(day),
			"delete.retention.ms":       millis(TombstoneRetention),
		}
		for k, v := range extra {
			c[k] = v
		}
		return c
	}
	vital := []string{"cleanup.policy"}
	specs := []TopicSpec{
		{Name: t.Webhooks(), Partitions: 1, Compacted: true, Single: true, Vital: vital, Configs: compact(nil)},
		{Name: t.Diverted(), Partitions: t.Partitions, Compacted: true, Vital: vital, Configs: compact(map[string]string{"max.message.bytes": maxBytes})},
		{Name: t.Jobs(), Partitions: 1, Compacted: true, Single: true, Vital: vital, Configs: compact(nil)},
		{Name: t.Attempts(), Partitions: t.Partitions, Configs: map[string]string{"cleanup.policy": "delete", "retention.ms": millis(7 * day)}},
		{Name: t.Events(), Partitions: 1, Configs: map[string]string{"cleanup.policy": "delete", "retention.ms": millis(7 * day)}},
		{Name: t.Rejected(), Partitions: 1, Configs: map[string]string{"cleanup.policy": "delete", "retention.ms": millis(30 * day), "max.message.bytes": maxBytes}},
	}
	specs = append(specs, t.auditSpec(vital))
	for _, delay := range t.Delays {
		specs = append(specs, TopicSpec{Name: t.Retry(delay), Partitions: t.Partitions, Vital: []string{"cleanup.policy", "retention.ms", "retention.bytes"}, Configs: map[string]string{
			"cleanup.policy": "delete",
			// Waiting deliveries are never deleted by time; what is done is trimmed below the committed offset.
			"retention.ms": "-1", "retention.bytes": "-1",
			// Due times count from the broker's clock, so that no producer's clock matters.
			"message.timestamp.type": "LogAppendTime",
			"max.message.bytes":      maxBytes,
		}})
	}
	return specs
}

// auditSpec: compaction would keep one entry of each tenant, so the cleanup is vital.
func (t Topics) auditSpec(vital []string) TopicSpec {
	retention := t.AuditRetention
	if retention == 0 {
		retention = DefaultAuditRetention
	}
	return TopicSpec{Name: t.Audit(), Partitions: 1, Single: true, Vital: vital, Configs: map[string]string{
		"cleanup.policy": "delete", "retention.ms": millis(retention), "retention.bytes": "-1",
	}}
}

// DomainSpecs lists domain topics, as they are made where the platform has not made them.
func (t Topics) DomainSpecs(names []string) []TopicSpec {
	specs := make([]TopicSpec, len(names))
	for i, name := range names {
		specs[i] = TopicSpec{Name: name, Partitions: t.Partitions, Foreign: true, Configs: map[string]string{
			"max.message.bytes": strconv.Itoa(t.MaxEventBytes + EnvelopeBytes),
		}}
	}
	return specs
}

// TombstoneRetention is delete.retention.ms of the compacted topics: a copy older than this may have missed a
// tombstone and must not be trusted.
const TombstoneRetention = 7 * day

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
