package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

// topicsCluster is an empty broker.
type topicsCluster struct {
	seeds string
	kafka []kgo.Opt
	admin *kadm.Client
}

func newTopicsCluster(t *testing.T, opts ...kfake.Opt) topicsCluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	c := topicsCluster{seeds: strings.Join(cluster.ListenAddrs(), ","), kafka: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}}
	client, err := kgo.NewClient(c.kafka...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	c.admin = kadm.NewClient(client)
	return c
}

// set changes a setting of a topic, as somebody might.
func (c topicsCluster) set(t *testing.T, topic, name, value string) {
	t.Helper()
	answers, err := c.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic)
	require.NoError(t, err)
	require.NoError(t, answers[0].Err)
}

func (c topicsCluster) apply(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return runWith(t, append([]string{"topics", "apply", "--kafka", c.seeds}, args...)...)
}

func TestTopicsApply(t *testing.T) {
	c := newTopicsCluster(t, kfake.SeedTopics(2, "debt"))

	code, out, _ := c.apply(t, "--domains", "--dry-run")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "create relay.webhooks partitions=1 cleanup.policy=compact ")
	require.Contains(t, out, "create sms partitions=12 max.message.bytes=10551296\n")
	require.Contains(t, out, "ok debt\n")
	require.Contains(t, out, "18 topics: would create 17 and change 0\n")
	topics, err := c.admin.ListTopics(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"debt"}, topics.Names())

	code, out, _ = c.apply(t)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "13 topics: created 13 and changed 0\n")
	require.NotContains(t, out, "sms")
	require.Contains(t, out, "warn relay.webhooks, relay.diverted, ")
	require.Contains(t, out, ": one replica: ")

	code, out, _ = c.apply(t, "--domains")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "18 topics: created 4 and changed 0\n")

	c.set(t, "relay.diverted", "retention.ms", "604800000")
	code, out, _ = c.apply(t, "--dry-run", "--topic-partitions", "12")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "alter relay.diverted retention.ms: 604800000 → -1\n")
	require.Contains(t, out, "13 topics: would create 0 and change 1\n")
	_, out, _ = c.apply(t)
	require.Contains(t, out, "alter relay.diverted retention.ms: 604800000 → -1\n")
	require.Contains(t, out, "13 topics: created 0 and changed 1\n")
	_, out, _ = c.apply(t)
	require.Contains(t, out, "ok relay.diverted\n")
	require.Contains(t, out, "13 topics: created 0 and changed 0\n")

	for _, args := range [][]string{{"--dry-run"}, {}} {
		code, out, stderr := c.apply(t, append(args, "--topic-partitions", "24")...)
		require.Equal(t, exitFailed, code, "refused, with --dry-run too")
		require.Contains(t, out, "refuse relay.diverted: it has 12 partitions and is compacted")
		require.Contains(t, out, "grow relay.retry.6h partitions: 12 → 24\n")
		require.Contains(t, stderr, "refused 1, failed 0")
	}
}

func TestTopicsApply_FailuresAreLines(t *testing.T) {
	c := newTopicsCluster(t)
	code, out, stderr := c.apply(t, "--topic-replication", "3")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "failed create relay.webhooks")
	require.Contains(t, out, "INVALID_REPLICATION_FACTOR")
	require.Contains(t, stderr, "not all topics are in place: 13 topics: created 0 and changed 0, refused 0, failed 13")
}

// A start refuses what would lose records, names topic, setting, what was found and wanted, and the command, and logs
// the rest.
func TestServe_JudgesTopics(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		damage               func(t *testing.T, c topicsCluster)
		refuses, warns, mute string
	}{
		{name: "as made", warns: "topic_replication"},
		{name: "a topic is missing", damage: func(t *testing.T, c topicsCluster) {
			_, err := c.admin.DeleteTopics(t.Context(), "relay.jobs")
			require.NoError(t, err)
		}, refuses: "topics [relay.jobs] are missing: create them with `relay topics apply`"},
		{name: "a domain topic is missing", damage: func(t *testing.T, c topicsCluster) {
			_, err := c.admin.DeleteTopics(t.Context(), "debt")
			require.NoError(t, err)
		}, refuses: "domain topics [debt] are missing"},
		{name: "the webhooks are deleted by time", damage: func(t *testing.T, c topicsCluster) {
			c.set(t, "relay.webhooks", "cleanup.policy", "delete")
		}, refuses: "`relay topics apply` says what to do:\n- topic relay.webhooks: cleanup.policy is delete and must be compact"},
		{name: "retries are deleted by time", damage: func(t *testing.T, c topicsCluster) {
			c.set(t, "relay.retry.1h", "retention.ms", "3600000")
		}, refuses: "- topic relay.retry.1h: retention.ms is 3600000 and must be -1"},
		{name: "the webhooks are in three partitions", damage: func(t *testing.T, c topicsCluster) {
			_, err := c.admin.UpdatePartitions(t.Context(), 3, "relay.webhooks")
			require.NoError(t, err)
		}, refuses: "- topic relay.webhooks: it has 3 partitions and must have one"},
		{name: "the largest event does not fit", damage: func(t *testing.T, c topicsCluster) {
			c.set(t, "relay.diverted", "max.message.bytes", "1048588")
		}, warns: `msg=topic_setting topic=relay.diverted problem="max.message.bytes is 1048588 and must be 1114112" hint="relay topics apply"`},
		{name: "more partitions than configured", damage: func(t *testing.T, c topicsCluster) {
			_, err := c.admin.UpdatePartitions(t.Context(), 5, "relay.diverted", "relay.attempts")
			require.NoError(t, err)
		}, mute: "topic_setting"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newTopicsCluster(t, kfake.SeedTopics(1, "debt"))
			topics := relay.Topics{Prefix: "relay.", Delays: relay.DefaultDelays, Partitions: 2, Replication: 1, MaxEventBytes: 1 << 20}
			_, err := relay.CreateTopics(t.Context(), c.admin, 1, topics.Specs())
			require.NoError(t, err)
			if tt.damage != nil {
				tt.damage(t, c)
			}
			var logged bytes.Buffer
			err = awaitTopics(t.Context(), c.kafka, topics, []string{"debt"}, slog.New(slog.NewTextHandler(&logged, nil)))
			if tt.refuses == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.refuses)
			}
			require.Contains(t, logged.String(), tt.warns)
			if tt.mute != "" {
				require.NotContains(t, logged.String(), tt.mute)
			}
		})
	}
}

// A user that may see the topics and not their settings can start; one that cannot see them is told why.
func TestServe_JudgesTopicsThatItMayNotRead(t *testing.T) {
	specs := relay.Topics{Prefix: "relay.", Delays: relay.DefaultDelays[:1], Partitions: 1}.Specs()
	judge := func(operation string) (string, error) {
		states := map[string]relay.TopicState{}
		for _, spec := range specs {
			states[spec.Name] = relay.TopicState{Partitions: 1, Err: &relay.AccessError{Topic: spec.Name, Operation: operation, Err: kerr.TopicAuthorizationFailed}}
		}
		var logged bytes.Buffer
		err := judgeTopics(specs, states, slog.New(slog.NewTextHandler(&logged, nil)))
		return logged.String(), err
	}
	logged, err := judge("DescribeConfigs")
	require.NoError(t, err)
	require.Contains(t, logged, "msg=topic_settings_unknown topics=relay.webhooks,relay.diverted,")
	_, err = judge("Describe")
	require.ErrorContains(t, err, "the relay's Kafka user may not see topic relay.webhooks: add an ACL that allows the operation Describe")
}
