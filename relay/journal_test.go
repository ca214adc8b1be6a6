package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func broker(t *testing.T) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "relay.retry.5s"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return cluster, client
}

// refuse makes the broker answer produce requests with an error that the client does not retry.
func refuse(cluster *kfake.Cluster, refusing *atomic.Bool) {
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if !refusing.Load() {
			return nil, nil, false
		}
		produce := req.(*kmsg.ProduceRequest)
		resp := produce.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range produce.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				part := kmsg.NewProduceResponseTopicPartition()
				part.Partition, part.ErrorCode = p.Partition, kerr.PolicyViolation.Code
				answer.Partitions = append(answer.Partitions, part)
			}
			resp.Topics = append(resp.Topics, answer)
		}
		return resp, nil, true
	})
}

func TestJournal_WritesUntilAcknowledged(t *testing.T) {
	cluster, client := broker(t)
	var refusing atomic.Bool
	refusing.Store(true)
	refuse(cluster, &refusing)
	j := NewJournal(client, slog.New(slog.DiscardHandler))
	acked := make(chan struct{})
	j.Write(&kgo.Record{Topic: "relay.retry.5s", Value: []byte("x")}, func() { close(acked) })
	require.Eventually(t, func() bool { return j.Failing() == 1 }, 10*time.Second, time.Millisecond)
	select {
	case <-acked:
		t.Fatal("acknowledged although the broker refused")
	default:
	}
	refusing.Store(false)
	select {
	case <-acked:
	case <-time.After(10 * time.Second):
		t.Fatal("never written after the broker recovered")
	}
	require.Zero(t, j.Failing())
	require.NoError(t, j.Close(t.Context()))
}

func TestJournal_CloseGivesUpWhatCannotBeWritten(t *testing.T) {
	cluster, client := broker(t)
	var refusing atomic.Bool
	refusing.Store(true)
	refuse(cluster, &refusing)
	j := NewJournal(client, slog.New(slog.DiscardHandler))
	j.Write(&kgo.Record{Topic: "relay.retry.5s", Value: []byte("x")}, func() { t.Error("acknowledged although the broker refused") })
	require.Eventually(t, func() bool { return j.Failing() == 1 }, 10*time.Second, time.Millisecond)
	cause := errors.New("no more time")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, cause)
	defer cancel()
	require.ErrorIs(t, j.Close(ctx), cause)
}

func TestCreateTopics(t *testing.T) {
	cluster, client := broker(t)
	topics := Topics{Prefix: "relay.", Delays: DefaultDelays, Partitions: 3, Replication: 1, MaxEventBytes: DefaultMaxEventBytes}
	created, err := CreateTopics(t.Context(), newAdmin(client), 1, topics.Specs())
	require.NoError(t, err)
	require.NotContains(t, created, "relay.retry.5s", "it was there")
	require.Len(t, created, len(topics.Specs())-1)
	again, err := CreateTopics(t.Context(), newAdmin(client), 1, topics.Specs())
	require.NoError(t, err)
	require.Empty(t, again)
	fresh, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...)) // the other one has cached what it knew before
	require.NoError(t, err)
	defer fresh.Close()
	details, err := newAdmin(fresh).ListTopics(t.Context())
	require.NoError(t, err)
	for _, spec := range topics.Specs() {
		if spec.Name != "relay.retry.5s" {
			require.Len(t, details[spec.Name].Partitions, int(spec.Partitions), spec.Name)
		}
	}
}

func newAdmin(client *kgo.Client) *kadm.Client { return kadm.NewClient(client) }

// TestJournal_SilenceCountsAsFailing: what the client repeats by itself is no failure that anybody is told of.
func TestJournal_SilenceCountsAsFailing(t *testing.T) {
	cluster, _ := broker(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MetadataMinAge(10*time.Millisecond))
	require.NoError(t, err)
	defer client.Close()
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	j := NewJournal(client, slog.New(slog.DiscardHandler))
	acked := make(chan struct{})
	j.Write(&kgo.Record{Topic: "relay.retry.5s", Value: []byte("x")}, func() { close(acked) })
	require.Eventually(t, func() bool { return fault.Hits() > 0 }, 10*time.Second, time.Millisecond)
	require.Zero(t, j.Failing(), "a moment is nothing")
	j.mu.Lock()
	j.pending.Front().Value.(*write).began = time.Now().Add(-overdueAfter - time.Second)
	j.mu.Unlock()
	require.EqualValues(t, 1, j.Failing())
	fault.Remove()
	<-acked
	require.NoError(t, j.Close(t.Context()))
	require.Zero(t, j.Failing())
}

// TestJournal_AbandonReleasesWhoeverWaitsForRoom: with Kafka away and the buffer full, a stop must not wait for room.
func TestJournal_AbandonReleasesWhoeverWaitsForRoom(t *testing.T) {
	cluster, _ := broker(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MaxBufferedRecords(1), kgo.MetadataMinAge(10*time.Millisecond))
	require.NoError(t, err)
	defer client.Close()
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	defer fault.Remove()
	j := NewJournal(client, slog.New(slog.DiscardHandler))
	never := func() { t.Error("acknowledged although the broker refused") }
	j.Write(&kgo.Record{Topic: "relay.retry.5s", Value: []byte("x")}, never)
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		j.Write(&kgo.Record{Topic: "relay.retry.5s", Value: []byte("y")}, never)
	}()
	require.Eventually(t, func() bool { return fault.Hits() > 1 }, 10*time.Second, time.Millisecond)
	select {
	case <-returned:
		t.Fatal("the buffer has room for one")
	default:
	}
	j.Abandon()
	<-returned
	require.NoError(t, j.Close(t.Context()))
}
