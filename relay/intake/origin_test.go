package intake

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestOrigin: a new group starts where it is told, once; later it goes on from its offsets, and one that lost them is
// told from a new one.
func TestOrigin(t *testing.T) {
	t.Parallel()
	for from, want := range map[From]int64{FromLatest: 3, FromEarliest: 0} {
		t.Run(string(from), func(t *testing.T) {
			t.Parallel()
			cluster, opts, client := kafka(t, 1)
			require.NoError(t, cluster.CreateTopic("relay.jobs", 1, nil))
			admin := kadm.NewClient(client)
			publish(t, client, 0, 3)
			origin := Origin{Group: "g", Topics: []string{"debt"}, From: from, JobsTopic: "relay.jobs", Kafka: opts, Log: slog.New(slog.DiscardHandler)}
			require.NoError(t, origin.Decide(t.Context(), client))
			require.Equal(t, map[int32]int64{0: want}, committed(t, client))

			publish(t, client, 0, 2)
			require.NoError(t, origin.Decide(t.Context(), client))
			require.Equal(t, map[int32]int64{0: want}, committed(t, client), "decided once")

			_, err := admin.DeleteGroups(t.Context(), "g")
			require.NoError(t, err)
			require.ErrorIs(t, origin.Decide(t.Context(), client), ErrOffsetsLost)
			_, err = admin.FetchOffsets(t.Context(), "g")
			require.ErrorIs(t, err, kerr.GroupIDNotFound, "nothing is committed: neither end is jumped to")
		})
	}
}
