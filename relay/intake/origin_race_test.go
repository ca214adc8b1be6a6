package intake

import (
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// afterFirstLook calls do once, when a client has its first answer of what Origin asks Kafka for.
type afterFirstLook struct{ do func() }

func (a afterFirstLook) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, _ kgo.BrokerE2E) {
	if key == int16(kmsg.OffsetFetch) || key == int16(kmsg.ListOffsets) {
		a.do()
	}
}

// TestOrigin_DecidedByAnotherMeanwhile: two instances of a new group start together. One decides between the two looks
// of the other, which must not take that for lost offsets.
func TestOrigin_DecidedByAnotherMeanwhile(t *testing.T) {
	t.Parallel()
	cluster, opts, client := kafka(t, 1)
	require.NoError(t, cluster.CreateTopic("relay.jobs", 1, nil))
	publish(t, client, 0, 3)
	origin := Origin{Group: "g", Topics: []string{"debt"}, From: FromLatest, JobsTopic: "relay.jobs", Kafka: opts, Log: slog.New(slog.DiscardHandler)}
	decided := make(chan error, 1)
	hook := afterFirstLook{do: sync.OnceFunc(func() { decided <- origin.Decide(t.Context(), client) })}
	late, err := kgo.NewClient(append(append([]kgo.Opt{}, opts...), kgo.WithHooks(hook))...)
	require.NoError(t, err)
	defer late.Close()
	require.NoError(t, origin.Decide(t.Context(), late))
	require.NoError(t, <-decided)
	require.Equal(t, map[int32]int64{0: 3}, committed(t, client))
}
