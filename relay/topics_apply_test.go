package relay

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// topicsBroker is a broker for a test of topics, and the prefix of its own there. RELAY_TEST_KAFKA puts a real one in
// the place of kfake, which stores settings without acting on them.
func topicsBroker(t *testing.T) (client *kgo.Client, prefix string, genuine bool) {
	t.Helper()
	brokers := strings.Split(os.Getenv("RELAY_TEST_KAFKA"), ",")
	if genuine = brokers[0] != ""; !genuine {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		require.NoError(t, err)
		t.Cleanup(cluster.Close)
		brokers = cluster.ListenAddrs()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client, "topics-" + strings.ToLower(rand.Text()[:8]) + ".", genuine
}

// apply plans, makes all changes, and returns the lines of the plan.
func apply(t *testing.T, client *kgo.Client, dryRun bool, specs []TopicSpec) []string {
	t.Helper()
	var lines []string
	applier := TopicApplier{Admin: kadm.NewClient(client), Replication: 1, DryRun: dryRun}
	for _, change := range planOf(t, client, specs) {
		require.NoError(t, applier.Apply(t.Context(), change))
		lines = append(lines, change.String())
	}
	return lines
}

func planOf(t *testing.T, client *kgo.Client, specs []TopicSpec) []TopicChange {
	t.Helper()
	states, err := DescribeTopics(t.Context(), client, specs)
	require.NoError(t, err)
	return PlanTopics(specs, states)
}

// awaitPlan waits until a plan has the lines: a real broker answers with what it was told milliseconds before.
func awaitPlan(t *testing.T, client *kgo.Client, specs []TopicSpec, want []string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		states, err := DescribeTopics(t.Context(), client, specs)
		require.NoError(c, err)
		var lines []string
		for _, change := range PlanTopics(specs, states) {
			lines = append(lines, change.String())
		}
		require.Equal(c, want, lines)
	}, 10*time.Second, 20*time.Millisecond)
}

func okLines(specs []TopicSpec) []string {
	lines := make([]string, len(specs))
	for i, spec := range specs {
		lines[i] = "ok " + spec.Name
	}
	return lines
}

func TestTopicApplier(t *testing.T) {
	client, prefix, genuine := topicsBroker(t)
	admin := kadm.NewClient(client)
	topics := Topics{Prefix: prefix, Delays: DefaultDelays, Partitions: 3, Replication: 1, MaxEventBytes: DefaultMaxEventBytes}
	specs := append(topics.Specs(), topics.DomainSpecs([]string{prefix + "debt"})...)
	t.Cleanup(func() {
		for _, spec := range specs {
			_, _ = admin.DeleteTopics(context.WithoutCancel(t.Context()), spec.Name)
		}
	})

	for _, line := range apply(t, client, true, specs) {
		require.True(t, strings.HasPrefix(line, "create "), line)
	}
	states, err := DescribeTopics(t.Context(), client, specs)
	require.NoError(t, err)
	require.Empty(t, states, "a dry run creates nothing")

	require.Len(t, apply(t, client, false, specs), len(specs))
	awaitPlan(t, client, specs, okLines(specs))
	require.Equal(t, okLines(specs), apply(t, client, false, specs), "a second time there is nothing to do")
	if genuine {
		requireEffective(t, client, topics)
	}

	// Somebody changes settings; a dry run says so and changes nothing, a run puts them right.
	drifted := topics.Diverted()
	_, err = admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "cleanup.policy", Value: kadm.StringPtr("delete")},
		{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("604800000")},
		{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("20000000")}, // more than is needed
	}, drifted)
	require.NoError(t, err)
	spec := []TopicSpec{find(t, specs, drifted)}
	want := []string{"alter " + drifted + " cleanup.policy: delete → compact, retention.ms: 604800000 → -1"}
	awaitPlan(t, client, spec, want)
	apply(t, client, true, spec)
	require.Equal(t, want, apply(t, client, false, spec))
	awaitPlan(t, client, spec, []string{"ok " + drifted})

	// More partitions: the retry topics get them, compacted ones and the platform's keep what they have.
	topics.Partitions = 5
	grown := topics.Retry(topics.Delays[0])
	larger := topics.Specs()
	spec = []TopicSpec{find(t, larger, grown), find(t, larger, topics.Diverted()), topics.DomainSpecs([]string{prefix + "debt"})[0]}
	want = []string{"grow " + grown + " partitions: 3 → 5", "refuse " + topics.Diverted() + ": it has 3 partitions", "ok " + prefix + "debt"}
	apply(t, client, true, spec)
	for i, line := range apply(t, client, false, spec) {
		require.Contains(t, line, want[i])
	}
	require.Eventually(t, func() bool {
		states, err := DescribeTopics(t.Context(), client, spec)
		return err == nil && states[grown].Partitions == 5 && states[topics.Diverted()].Partitions == 3
	}, 10*time.Second, 20*time.Millisecond)
}

// requireEffective asserts what the broker itself says it does.
func requireEffective(t *testing.T, client *kgo.Client, topics Topics) {
	t.Helper()
	states, err := DescribeTopics(t.Context(), client, topics.Specs())
	require.NoError(t, err)
	for _, spec := range topics.Specs() {
		for name, value := range spec.Configs {
			require.Equal(t, value, states[spec.Name].Configs[name], "%s of %s", name, spec.Name)
		}
		require.Equal(t, spec.Partitions, states[spec.Name].Partitions, spec.Name)
		require.Equal(t, 1, states[spec.Name].Replicas, spec.Name)
		require.Contains(t, states[spec.Name].Configs, "min.insync.replicas")
	}
	retry := topics.Retry(topics.Delays[0])
	old := time.Unix(0, 0)
	other, err := kgo.NewClient(append(client.Opts(), kgo.ConsumeTopics(retry), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ProducerBatchMaxBytes(int32(topics.MaxEventBytes+EnvelopeBytes)), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.ProduceSync(t.Context(), &kgo.Record{Topic: retry, Value: make([]byte, topics.MaxEventBytes), Timestamp: old}).FirstErr(), "the largest event fits")
	fetched := other.PollFetches(t.Context())
	require.NoError(t, fetched.Err())
	require.True(t, fetched.Records()[0].Timestamp.After(old), "due times count from the broker's clock")
	require.Empty(t, BrokerRisk(t.Context(), kadm.NewClient(client), topics.MaxEventBytes+EnvelopeBytes))
	require.Contains(t, BrokerRisk(t.Context(), kadm.NewClient(client), 1<<30), "socket.request.max.bytes")
}

func find(t *testing.T, specs []TopicSpec, name string) TopicSpec {
	t.Helper()
	for _, spec := range specs {
		if spec.Name == name {
			return spec
		}
	}
	t.Fatalf("no topic %s", name)
	return TopicSpec{}
}

// Whoever lacks an ACL is told which.
func TestTopics_AccessErrors(t *testing.T) {
	allow := func(operation kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "relay.", Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: operation, Allow: true}
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "x"),
		kfake.User("PLAIN", "nobody", "x"),
		kfake.User("PLAIN", "reader", "x", allow(kmsg.ACLOperationDescribe)),
		kfake.User("PLAIN", "auditor", "x", allow(kmsg.ACLOperationDescribe), allow(kmsg.ACLOperationDescribeConfigs)))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	as := func(user string) *kgo.Client {
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.SASL(plain.Auth{User: user, Pass: "x"}.AsMechanism()))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		return client
	}
	specs := planned.Specs()[:1]
	requireAccess := func(err error, operation string) {
		t.Helper()
		var access *AccessError
		require.ErrorAs(t, err, &access)
		require.Equal(t, operation, access.Operation)
		require.Equal(t, "relay.webhooks", access.Topic)
		require.ErrorIs(t, err, kerr.TopicAuthorizationFailed)
		require.ErrorContains(t, err, "add an ACL that allows the operation "+operation)
	}
	create := TopicChange{Spec: specs[0], Action: TopicCreate}
	for _, dryRun := range []bool{true, false} {
		requireAccess(TopicApplier{Admin: kadm.NewClient(as("auditor")), Replication: 1, DryRun: dryRun}.Apply(t.Context(), create), "Create")
	}
	require.NoError(t, TopicApplier{Admin: kadm.NewClient(as("root")), Replication: 1}.Apply(t.Context(), create))

	plan := planOf(t, as("nobody"), specs)
	requireAccess(plan[0].Err, "Describe")
	require.Equal(t, TopicRefuse, plan[0].Action)
	plan = planOf(t, as("reader"), specs)
	requireAccess(plan[0].Err, "DescribeConfigs")
	plan = planOf(t, as("auditor"), specs)
	require.Equal(t, TopicKeep, plan[0].Action)

	auditor := TopicApplier{Admin: kadm.NewClient(as("auditor"))}
	requireAccess(auditor.Apply(t.Context(), TopicChange{Spec: specs[0], Action: TopicAlter, Settings: []TopicSetting{{Name: "retention.ms", Wanted: "-1"}}}), "AlterConfigs")
	requireAccess(auditor.Apply(t.Context(), TopicChange{Spec: TopicSpec{Name: "relay.webhooks", Partitions: 3}, Action: TopicGrow}), "Alter")
}

func TestTopicApplier_SaysWhatTheBrokerSays(t *testing.T) {
	client, prefix, _ := topicsBroker(t)
	applier := TopicApplier{Admin: kadm.NewClient(client), Replication: 100}
	change := TopicChange{Spec: TopicSpec{Name: prefix + "x", Partitions: 1}, Action: TopicCreate}
	err := applier.Apply(t.Context(), change)
	require.ErrorIs(t, err, kerr.InvalidReplicationFactor)
	require.ErrorContains(t, err, "create topic "+prefix+"x: ")
	err = applier.Apply(t.Context(), TopicChange{Spec: change.Spec, Action: TopicAlter, Settings: []TopicSetting{{Name: "retention.ms", Wanted: "-1"}}})
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
	err = applier.Apply(t.Context(), TopicChange{Spec: change.Spec, Action: TopicGrow})
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
}

// Another process that creates the same topics at the same moment is no error.
func TestTopicApplier_SomebodyWasFaster(t *testing.T) {
	client, prefix, _ := topicsBroker(t)
	applier := TopicApplier{Admin: kadm.NewClient(client), Replication: 1}
	change := TopicChange{Spec: TopicSpec{Name: prefix + "x", Partitions: 1}, Action: TopicCreate}
	t.Cleanup(func() {
		_, _ = kadm.NewClient(client).DeleteTopics(context.WithoutCancel(t.Context()), change.Spec.Name)
	})
	require.NoError(t, applier.Apply(t.Context(), change))
	require.NoError(t, applier.Apply(t.Context(), change))
	require.NoError(t, applier.Apply(t.Context(), TopicChange{Spec: change.Spec, Action: TopicRefuse}), "what is refused is left alone")
}
