package intake

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestGroup_FullOfBytesPausesAll: once the window has the bytes that it may, no partition adds a record of its own, of
// whatever size; when there is room again all go on.
func TestGroup_FullOfBytesPausesAll(t *testing.T) {
	t.Parallel()
	const partitions, size = 8, 256 << 10
	_, opts, client := kafka(t, partitions)
	window := NewWindow(Limits{Records: 1000, Bytes: size, Deliveries: 10})
	m := join(t, opts, func(o *GroupOptions) { o.Window, o.FetchBytes = window, 1 })
	large := func(p int32) {
		rec := &kgo.Record{Topic: "debt", Partition: p, Value: bytes.Repeat([]byte("x"), size)}
		require.NoError(t, client.ProduceSync(t.Context(), rec).FirstErr())
	}
	large(0)
	first := m.next(t)
	require.Eventually(t, func() bool { return m.group.paused() == partitions }, waitFor, tick)
	for p := range int32(partitions) {
		large(p)
	}
	require.LessOrEqual(t, window.Usage().Bytes, int64(2*size), "at most what was under way")
	m.settle(first.entry)
	for range partitions {
		m.settle(m.next(t).entry)
	}
	require.Eventually(t, func() bool { return window.Usage() == Limits{} }, waitFor, tick)
}

func (g *Group) paused() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range g.assigned {
		a.mu.Lock()
		if a.paused {
			n++
		}
		a.mu.Unlock()
	}
	return n
}

// TestAssignment_LargeValuesAreReadAgain: what waits is there without its value, and has it when it is due.
func TestAssignment_LargeValuesAreReadAgain(t *testing.T) {
	t.Parallel()
	_, opts, client := kafka(t, 1)
	window := NewWindow(Limits{Records: 100, Bytes: 1 << 20, Deliveries: 10})
	m := join(t, opts, func(o *GroupOptions) {
		o.Window, o.Inbox = window, Inbox{Records: 100, Bytes: 1 << 20, Waiting: true}
	})
	values := [][]byte{[]byte("small"), bytes.Repeat([]byte("x"), leaveOut+1), bytes.Repeat([]byte("y"), 900<<10)}
	for _, v := range values {
		rec := &kgo.Record{Topic: "debt", Key: []byte("k"), Value: v, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}
		require.NoError(t, client.ProduceSync(t.Context(), rec).FirstErr())
	}
	for i, want := range values {
		got := m.next(t)
		require.Equal(t, i > 0, got.a.LeftOut(got.rec))
		if i > 0 {
			require.Nil(t, got.rec.Value)
		}
		whole, release, err := got.a.Whole(got.rec)
		require.NoError(t, err)
		require.Equal(t, want, whole.Value)
		require.Equal(t, got.rec.Headers, whole.Headers)
		require.Equal(t, got.rec.Offset, whole.Offset)
		release()
		m.settle(got.entry)
	}
	require.Zero(t, window.Usage())
}
