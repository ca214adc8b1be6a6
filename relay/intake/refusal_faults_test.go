//go:build faults

package intake

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestRow22_Refused: whatever Kafka stops allowing, the group says so for readiness, does not spin, and goes on by
// itself once it is allowed again.
func TestRow22_Refused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault kfake.Fault
		most  float64 // errors a second: the client's own waits, or ours
	}{
		{"fetch", kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed}, 2},
		{"offset fetch of the group", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.GroupAuthorizationFailed, TopLevel: true}, 2},
		{"offset fetch of the topic", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.TopicAuthorizationFailed}, 5},
		{"list offsets", kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "debt", Err: kerr.TopicAuthorizationFailed}, 2},
		{"join", kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.GroupAuthorizationFailed, TopLevel: true}, 5},
		{"heartbeat", kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.GroupAuthorizationFailed, TopLevel: true}, 5},
		{"metadata", kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "debt", Err: kerr.TopicAuthorizationFailed}, 25}, // as often as the options below let it look
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cluster, opts, client := kafka(t, 1)
			publish(t, client, 0, 1)
			c.fault.Count = -1
			if c.name == "metadata" { // found again by asking: quicker than the client does by default
				opts = append(opts, kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond))
			}
			refused := cluster.Fault(c.fault)
			m := join(t, opts, nil)
			begun := time.Now()
			require.Eventually(t, func() bool { return len(m.group.Refused()) > 0 }, waitFor, tick)
			require.Never(t, func() bool { return len(m.group.Refused()) == 0 }, 1500*time.Millisecond, tick, "it stays so while the refusal lasts")
			require.LessOrEqual(t, m.fetchErrors(t), 2+c.most*time.Since(begun).Seconds(), "it does not spin")
			refused.Remove()
			publish(t, client, 0, 1)
			for read := int64(-1); read < 1; {
				got := m.next(t)
				m.settle(got.entry)
				read = got.rec.Offset
			}
			require.Eventually(t, func() bool { return committed(t, client)[0] == 2 && len(m.group.Refused()) == 0 }, waitFor, tick)
			require.Empty(t, m.group.Halted())
		})
	}
}
