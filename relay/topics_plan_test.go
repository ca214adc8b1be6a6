package relay

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
)

var planned = Topics{Prefix: "relay.", Delays: DefaultDelays[:1], Partitions: 12, Replication: 3, MaxEventBytes: 1 << 20}

// stateOf is a topic set up as its spec wants it, but for the settings that differ; "-" is one that the broker does not
// tell.
func stateOf(spec TopicSpec, differ map[string]string) TopicState {
	configs := maps.Clone(spec.Configs)
	for name, value := range differ {
		if configs[name] = value; value == "-" {
			delete(configs, name)
		}
	}
	return TopicState{Partitions: spec.Partitions, Replicas: 3, Configs: configs}
}

func specOf(t *testing.T, name string) TopicSpec {
	t.Helper()
	for _, spec := range append(planned.Specs(), planned.DomainSpecs([]string{"debt"})...) {
		if spec.Name == name {
			return spec
		}
	}
	t.Fatalf("no topic %s", name)
	return TopicSpec{}
}

func TestPlanTopics(t *testing.T) {
	denied := &AccessError{Topic: "relay.webhooks", Operation: aclDescribeConfigs, Err: kerr.TopicAuthorizationFailed}
	for _, tt := range []struct {
		name, topic string
		differ      map[string]string
		partitions  int32 // 0: as many as wanted
		err         error
		want        []string
	}{
		{name: "as it must be", topic: "relay.webhooks", want: []string{"ok relay.webhooks"}},
		{name: "a setting", topic: "relay.diverted", differ: map[string]string{"retention.ms": "604800000"},
			want: []string{"alter relay.diverted retention.ms: 604800000 → -1"}},
		{name: "several settings", topic: "relay.retry.5s", differ: map[string]string{"message.timestamp.type": "CreateTime", "cleanup.policy": "compact"},
			want: []string{"alter relay.retry.5s cleanup.policy: compact → delete, message.timestamp.type: CreateTime → LogAppendTime"}},
		{name: "larger, longer and sooner serve as well", topic: "relay.diverted",
			differ: map[string]string{"max.message.bytes": "20000000", "delete.retention.ms": "999999999", "segment.ms": "60000", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "60000"},
			want:   []string{"ok relay.diverted"}},
		{name: "smaller, shorter and later do not", topic: "relay.diverted",
			differ: map[string]string{"max.message.bytes": "1048588", "delete.retention.ms": "86400000", "segment.ms": "604800000", "min.cleanable.dirty.ratio": "0.5", "max.compaction.lag.ms": "9223372036854775807"},
			want: []string{"alter relay.diverted delete.retention.ms: 86400000 → 604800000, max.compaction.lag.ms: 9223372036854775807 → 86400000, " +
				"max.message.bytes: 1048588 → 1114112, min.cleanable.dirty.ratio: 0.5 → 0.1, segment.ms: 604800000 → 3600000"}},
		{name: "kept for ever serves as well", topic: "relay.attempts", differ: map[string]string{"retention.ms": "-1"}, want: []string{"ok relay.attempts"}},
		{name: "compaction beside deletion", topic: "relay.jobs", differ: map[string]string{"cleanup.policy": "compact,delete"},
			want: []string{"alter relay.jobs cleanup.policy: compact,delete → compact"}},
		{name: "a number that is none", topic: "relay.attempts", differ: map[string]string{"retention.ms": "a week"},
			want: []string{"alter relay.attempts retention.ms: a week → 604800000"}},
		{name: "not told", topic: "relay.attempts", differ: map[string]string{"retention.ms": "-"},
			want: []string{"unknown relay.attempts: the broker does not tell these settings; see to it that they are retention.ms=604800000"}},
		{name: "too few partitions", topic: "relay.retry.5s", partitions: 4, want: []string{"grow relay.retry.5s partitions: 4 → 12"}},
		{name: "more partitions", topic: "relay.attempts", partitions: 24, want: []string{"ok relay.attempts"}},
		{name: "the webhooks in several partitions", topic: "relay.webhooks", partitions: 3, want: []string{"refuse relay.webhooks: it has 3 partitions and is compacted; the relay needs exactly one"}},
		{name: "a compacted topic with fewer", topic: "relay.diverted", partitions: 3, want: []string{"refuse relay.diverted: it has 3 partitions and is compacted; with 12,"}},
		{name: "a compacted topic with more", topic: "relay.diverted", partitions: 24, want: []string{"Set --topic-partitions to 24"}},
		{name: "refused and altered", topic: "relay.diverted", partitions: 3, differ: map[string]string{"cleanup.policy": "delete"},
			want: []string{"refuse relay.diverted: ", "alter relay.diverted cleanup.policy: delete → compact"}},
		{name: "not to be read", topic: "relay.webhooks", err: denied,
			want: []string{"refuse relay.webhooks: the relay's Kafka user may not read the settings of topic relay.webhooks: add an ACL that allows the operation DescribeConfigs"}},
		{name: "the platform's", topic: "debt", partitions: 1, differ: map[string]string{"max.message.bytes": "1"}, want: []string{"ok debt"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec := specOf(t, tt.topic)
			state := stateOf(spec, tt.differ)
			state.Err = tt.err
			if tt.partitions != 0 {
				state.Partitions = tt.partitions
			}
			plan := PlanTopics([]TopicSpec{spec}, map[string]TopicState{tt.topic: state})
			require.Len(t, plan, len(tt.want))
			for i, c := range plan {
				require.Contains(t, c.String(), tt.want[i])
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		plan := PlanTopics([]TopicSpec{specOf(t, "relay.attempts"), specOf(t, "debt")}, nil)
		require.Equal(t, "create relay.attempts partitions=12 cleanup.policy=delete retention.ms=604800000", plan[0].String())
		require.Equal(t, "create debt partitions=12 max.message.bytes=1114112", plan[1].String())
	})
}

// What the relay cannot survive is told from what it can.
func TestTopicHazards(t *testing.T) {
	for _, tt := range []struct {
		topic      string
		differ     map[string]string
		partitions int32
		err        error
		want       []TopicHazard
	}{
		{topic: "relay.webhooks", partitions: 3, want: []TopicHazard{{Problem: "it has 3 partitions and must have one", Loses: true}}},
		{topic: "relay.jobs", partitions: 2, want: []TopicHazard{{Problem: "it has 2 partitions and must have one", Loses: true}}},
		{topic: "relay.webhooks", differ: map[string]string{"cleanup.policy": "delete"}, want: []TopicHazard{{Problem: "cleanup.policy is delete and must be compact", Loses: true}}},
		{topic: "relay.webhooks", differ: map[string]string{"cleanup.policy": "compact,delete"}, want: []TopicHazard{{Problem: "cleanup.policy is compact,delete and must be compact", Loses: true}}},
		{topic: "relay.diverted", differ: map[string]string{"cleanup.policy": "delete", "max.message.bytes": "1000"}, want: []TopicHazard{
			{Problem: "cleanup.policy is delete and must be compact", Loses: true}, {Problem: "max.message.bytes is 1000 and must be 1114112"}}},
		{topic: "relay.diverted", differ: map[string]string{"retention.ms": "1000"}, want: []TopicHazard{{Problem: "retention.ms is 1000 and must be -1"}}},
		{topic: "relay.diverted", partitions: 3},
		{topic: "relay.retry.5s", differ: map[string]string{"retention.ms": "604800000"}, want: []TopicHazard{{Problem: "retention.ms is 604800000 and must be -1", Loses: true}}},
		{topic: "relay.retry.5s", differ: map[string]string{"retention.bytes": "1"}, want: []TopicHazard{{Problem: "retention.bytes is 1 and must be -1", Loses: true}}},
		{topic: "relay.retry.5s", differ: map[string]string{"cleanup.policy": "compact"}, want: []TopicHazard{{Problem: "cleanup.policy is compact and must be delete", Loses: true}}},
		{topic: "relay.retry.5s", differ: map[string]string{"message.timestamp.type": "CreateTime"}, want: []TopicHazard{{Problem: "message.timestamp.type is CreateTime and must be LogAppendTime"}}},
		{topic: "relay.retry.5s", partitions: 3},
		{topic: "relay.webhooks", differ: map[string]string{"cleanup.policy": "-"}, want: []TopicHazard{{Problem: "cleanup.policy is not told by the broker and must be compact"}}},
		{topic: "relay.webhooks", err: &AccessError{Topic: "relay.webhooks", Operation: aclDescribeConfigs, Err: kerr.TopicAuthorizationFailed}},
		{topic: "debt", partitions: 1},
	} {
		spec := specOf(t, tt.topic)
		state := stateOf(spec, tt.differ)
		state.Err = tt.err
		if tt.partitions != 0 {
			state.Partitions = tt.partitions
		}
		for i := range tt.want {
			tt.want[i].Topic = tt.topic
		}
		require.Equal(t, tt.want, TopicHazards(PlanTopics([]TopicSpec{spec}, map[string]TopicState{tt.topic: state})))
	}
	require.Empty(t, TopicHazards(PlanTopics(planned.Specs(), nil)), "missing topics are another matter")
}

func TestTopicRisks(t *testing.T) {
	state := func(replicas int, configs ...string) TopicState {
		s := TopicState{Partitions: 1, Replicas: replicas, Configs: map[string]string{}}
		for _, c := range configs {
			name, value, _ := strings.Cut(c, "=")
			s.Configs[name] = value
		}
		return s
	}
	specs := []TopicSpec{{Name: "a"}, {Name: "b"}, {Name: "missing"}, {Name: "theirs", Foreign: true}}
	for _, tt := range []struct {
		name  string
		state TopicState
		want  string
	}{
		{"three replicas, two in sync", state(3, "min.insync.replicas=2"), ""},
		{"one replica", state(1, "min.insync.replicas=1"), "one replica"},
		{"one in sync", state(3, "min.insync.replicas=1"), "min.insync.replicas is 1: "},
		{"more in sync than there are", state(1, "min.insync.replicas=2"), "the broker takes no record"},
		{"unclean", state(3, "min.insync.replicas=2", "unclean.leader.election.enable=true"), "unclean.leader.election.enable is true"},
		{"not told", state(3), ""},
		{"not read", TopicState{Err: kerr.TopicAuthorizationFailed}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			risks := TopicRisks(specs, map[string]TopicState{"a": tt.state, "b": tt.state, "theirs": state(1)})
			if tt.want == "" {
				require.Empty(t, risks)
				return
			}
			require.Len(t, risks, 1, "one risk that names all its topics")
			require.Equal(t, []string{"a", "b"}, risks[0].Topics)
			require.Contains(t, risks[0].String(), "a, b: ")
			require.Contains(t, risks[0].Problem, tt.want)
		})
	}
}
