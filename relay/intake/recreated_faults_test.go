//go:build faults

package intake

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestGroup_RecreatedTopicHalts: records of the topic's second life are not taken for those of the first.
func TestGroup_RecreatedTopicHalts(t *testing.T) {
	cluster, opts, client := kafka(t, 1)
	publish(t, client, 0, 2)
	m := join(t, append(opts, kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(200*time.Millisecond)), nil)
	m.settleAll(t, 2)
	require.NoError(t, cluster.DeleteTopic("debt"))
	require.NoError(t, cluster.CreateTopic("debt", 1, nil))
	fresh, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	defer fresh.Close()
	publish(t, fresh, 0, 5)
	require.Eventually(t, func() bool { return len(m.group.Halted()) == 1 }, waitFor, tick)
	require.Empty(t, m.taken)
}
