package demo

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/testdata/events"
)

func TestTraffic_PublishesAllDomains(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "debt", "payment", "claim", "policy", "messages"))
	require.NoError(t, err)
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("debt", "payment", "claim", "policy", "messages"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	require.NoError(t, err)
	defer client.Close()
	traffic := NewTraffic(TrafficOptions{
		Client: client, Topics: map[string]string{"sms": "messages"}, Log: slog.New(slog.DiscardHandler),
		Burst: time.Hour, BurstEvery: time.Millisecond,
	})

	ctx, cancel := context.WithCancel(testContext(t))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		traffic.Run(ctx)
	}()
	topics, ids := map[string]bool{}, map[string]bool{}
	want := 2 * len(events.All())
	for len(ids) < want {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err0())
		fetches.EachRecord(func(r *kgo.Record) {
			topics[r.Topic] = true
			require.False(t, ids[string(r.Key)], "an id twice")
			ids[string(r.Key)] = true
			require.True(t, json.Valid(r.Value))
			require.Contains(t, string(r.Value), string(r.Key))
		})
	}
	cancel()
	<-ended
	require.Len(t, topics, 5)
}

func TestTraffic_Pause(t *testing.T) {
	o := TrafficOptions{}.withDefaults()
	for elapsed, want := range map[time.Duration]time.Duration{
		0: 500 * time.Millisecond, 19 * time.Second: 500 * time.Millisecond, 20 * time.Second: 2 * time.Second, time.Hour: 2 * time.Second,
	} {
		require.Equal(t, want, o.pause(elapsed), elapsed)
	}
}

func TestInterleave(t *testing.T) {
	sample := func(domain, name string) events.Sample { return events.Sample{Domain: domain, Name: name} }
	require.Equal(t,
		[]events.Sample{sample("a", "1"), sample("b", "1"), sample("a", "2"), sample("a", "3")},
		interleave([]events.Sample{sample("a", "1"), sample("a", "2"), sample("a", "3"), sample("b", "1")}))
	require.Empty(t, interleave(nil))
}
