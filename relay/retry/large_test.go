package retry

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/intake"
)

// TestWheel_LargeEventsThatWaitTakeNoRoom: three partitions whose first records are large and wait for hours leave the
// window to what is due, and large events that are due pass through a window that holds one of them.
func TestWheel_LargeEventsThatWaitTakeNoRoom(t *testing.T) {
	t.Parallel()
	b := start(t, intake.Limits{Records: 100, Bytes: 512 << 10, Deliveries: 100}, []time.Duration{time.Second, time.Hour, 2 * time.Hour, 3 * time.Hour})
	data := append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 300<<10)...), '"')
	write := func(id string, class time.Duration) {
		d := relay.NewDelivery(&catalog.Event{ID: id, Source: "/s", Type: "t", Tenant: "default", Raw: data, Data: data, Span: catalog.Span{To: len(data)}}, "w",
			relay.Coordinates{Topic: id}, 0, nil, time.Now())
		d.ID = id
		require.NoError(t, b.client.ProduceSync(t.Context(), &kgo.Record{Topic: b.topics.Retry(class), Key: []byte("w"), Value: data,
			Headers: append(relay.EncodeDelivery(d), relay.WaitHeader(class))}).FirstErr())
	}
	for _, id := range []string{"a", "b", "c"} {
		for _, class := range []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour} {
			write(id, class)
		}
		write("due "+id, time.Second)
	}
	require.Eventually(t, func() bool { return b.count() == 3 }, 20*time.Second, 20*time.Millisecond)
}
