package payload

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// TestRoom: what is reserved for a body is what composing it takes, for data of the usual kind.
func TestRoom(t *testing.T) {
	t.Parallel()
	data := append(append([]byte(`{"text":"`), bytes.Repeat([]byte("a quoted \\\"word\\\" now and then, "), 30_000)...), `"}`...)
	ev := &catalog.Event{ID: "e", Source: "/s", Type: "debt.paid", Tenant: "default", Time: time.Unix(1_700_000_000, 0), Raw: data, Data: data,
		Span: catalog.Span{To: len(data)}}
	d := relay.NewDelivery(ev, "w", relay.Coordinates{}, 0, nil, time.Unix(1_700_000_000, 0))
	for format := range formats {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			encoding, err := Compile(format, Keys{Pair: testPair})
			require.NoError(t, err)
			var m Message
			require.NoError(t, encoding.Compose(&m, d, time.Unix(1_700_000_000, 0)))
			require.LessOrEqual(t, cap(m.body)+cap(m.text), encoding.Room(d)+64<<10)
			m.Reset()
			require.LessOrEqual(t, cap(m.body)+cap(m.text), 2*keepBytes, "a pooled message keeps no large buffer")
		})
	}
}
