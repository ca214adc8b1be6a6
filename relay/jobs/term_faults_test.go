//go:build faults

package jobs

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

// TestTerm_OnARealBroker: fencing is Kafka's doing, and brokers differ in how they do it (a new epoch for every
// transaction, or not), so the one that the relay is used with is asked.
func TestTerm_OnARealBroker(t *testing.T) {
	brokers := os.Getenv("RELAY_TEST_KAFKA")
	if brokers == "" {
		t.Skip(`needs RELAY_TEST_KAFKA: .ci/services up, then eval "$(.ci/services env)"`)
	}
	kafka := []kgo.Opt{kgo.SeedBrokers(strings.Split(brokers, ",")...)}
	topics := relay.Topics{Prefix: "jobs" + rand.Text()[:6] + ".", Partitions: 1, Delays: []time.Duration{time.Second}, MaxEventBytes: 1 << 20}
	client, err := kgo.NewClient(kafka...)
	require.NoError(t, err)
	defer client.Close()
	_, err = relay.CreateTopics(t.Context(), kadm.NewClient(client), 1, topics.Specs())
	require.NoError(t, err)

	store := func() *Store {
		s, err := New(Options{Kafka: kafka, Topics: topics, Log: slog.New(slog.DiscardHandler), Wait: 30 * time.Second})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done; s.Close() })
		return s
	}
	one, two := store(), store()
	_, err = one.Create(t.Context(), definition("1", 0))
	require.NoError(t, err)
	slow, err := one.Take(t.Context())
	require.NoError(t, err)
	defer slow.Close()
	for done := range int64(5) {
		require.NoError(t, slow.Save(t.Context(), "job_1", Progress{State: StateRunning, Done: done}))
	}
	// It dies inside a transaction as well as being slow.
	require.NoError(t, slow.client.BeginTransaction())
	require.NoError(t, slow.client.ProduceSync(t.Context(), progressRecord(topics.Jobs(), "job_1", Progress{State: StateRunning, Done: 5})).FirstErr())

	fast, err := two.Take(t.Context())
	require.NoError(t, err)
	defer fast.Close()
	require.NoError(t, fast.Save(t.Context(), "job_1", Progress{State: StateRunning, Done: 6}))
	require.Error(t, slow.client.EndTransaction(t.Context(), kgo.TryCommit))
	for range 2 {
		require.Error(t, slow.Save(t.Context(), "job_1", Progress{State: StateRunning, Done: 1}))
	}
	again, err := one.Take(t.Context())
	require.NoError(t, err)
	defer again.Close()
	require.ErrorIs(t, fast.Save(t.Context(), "job_1", Progress{State: StateRunning, Done: 1}), ErrFenced)
	require.NoError(t, again.Save(t.Context(), "job_1", Progress{State: StateFinished, Done: 7, Finished: time.Now()}))
	require.NoError(t, again.Forget(t.Context(), time.Now().Add(2*Retention)))
	_, err = two.Get(t.Context(), "acme", "job_1")
	require.ErrorIs(t, err, ErrNotFound)
}
