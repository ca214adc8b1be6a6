package intake

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestWindow_FirstComeFirstServed: whoever needs much room gets it, however many come after that need little.
func TestWindow_FirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(Limits{Records: 10, Bytes: 10, Deliveries: 10})
		require.NoError(t, w.acquire(t.Context(), 10))
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		served := make(chan int, 20)
		waiting.Go(func() {
			if w.acquire(ctx, 8) == nil {
				served <- 8
			}
		})
		synctest.Wait()
		for range 4 {
			waiting.Go(func() {
				if w.acquire(ctx, 1) == nil {
					served <- 1
				}
			})
		}
		synctest.Wait()
		require.True(t, w.Contended())
		for range 8 {
			w.release(1)
			synctest.Wait()
		}
		require.Equal(t, 8, <-served)
		require.Empty(t, served, "the others wait their turn")
		require.Equal(t, 10, w.Usage().Deliveries)
		cancel()
		waiting.Wait()
		require.False(t, w.Contended())
		w.release(10)
		require.Zero(t, w.Usage())
	})
}

func testAssignment(w *Window, bounds Inbox) (*Assignment, chan struct{}) {
	ctx, cancel := context.WithCancelCause(context.Background())
	roomy := make(chan struct{}, 1)
	return &Assignment{window: w, bounds: bounds, roomy: roomy, ctx: ctx, cancel: cancel, arrived: make(chan struct{}, 1)}, roomy
}

func records(n int) []*kgo.Record {
	list := make([]*kgo.Record, n)
	for i := range list {
		list[i] = record(int64(i))
	}
	return list
}

func TestAssignment_CountsWhatItHolds(t *testing.T) {
	w := NewWindow(DefaultLimits)
	a, _ := testAssignment(w, DefaultInbox)
	a.put(records(5))
	require.Equal(t, 5, w.Usage().Records)
	_, ok := a.Next()
	require.True(t, ok)
	a.end(ErrRevoked)
	require.Equal(t, 1, w.Usage().Records, "what was taken is the ledger's")
}

// TestAssignment_WaitingRecordsAreNotCounted: records that stand in an inbox for hours leave the window to others.
func TestAssignment_WaitingRecordsAreNotCounted(t *testing.T) {
	w := NewWindow(Limits{Records: 3, Bytes: 1 << 20, Deliveries: 1})
	a, roomy := testAssignment(w, Inbox{Records: 4, Bytes: 1 << 20, Waiting: true})
	require.True(t, a.put(records(4)), "its own bound pauses it")
	require.Zero(t, w.Usage())
	require.False(t, a.mayResume())
	begun := time.Now()
	_, polled, ok := a.NextPolled()
	require.True(t, ok)
	require.LessOrEqual(t, polled, begun)
	require.Equal(t, 1, w.Usage().Records)
	require.Empty(t, roomy)
	_, _ = a.Next()
	require.Len(t, roomy, 1, "half empty: the gate is told")
	require.True(t, a.mayResume())
	a.end(ErrRevoked)
	require.Equal(t, 2, w.Usage().Records)
}

// TestLedger_TrackAfterSealLeavesTheWindow: a record that its worker has in hand when the partition is lost must not
// be counted for ever.
func TestLedger_TrackAfterSealLeavesTheWindow(t *testing.T) {
	l, m, w := testLedger(DefaultLimits)
	w.add(2, 20)
	first := l.Track(record(0))
	l.Seal()
	late := l.Track(record(1))
	require.Zero(t, w.Usage())
	first.Settle()
	late.Settle()
	require.Zero(t, w.Usage())
	require.EqualValues(t, -1, m.last())
}

// TestWindow_FinishedRecordsHaveABoundOfTheirOwn: what is settled above an attempt that hangs leaves the window to
// others, up to a bound.
func TestWindow_FinishedRecordsHaveABoundOfTheirOwn(t *testing.T) {
	w := NewWindow(Limits{Records: 4, Bytes: 1 << 20, Deliveries: 1, Finished: 6})
	l := newLedger(w, func(*kgo.Record) {})
	w.add(1, 10)
	hung := l.Track(record(0))
	for offset := range int64(5) {
		w.add(1, 10)
		l.Track(record(1 + offset)).Settle()
		require.False(t, w.Full(), "offset %d", offset)
	}
	w.add(1, 10)
	l.Track(record(6)).Settle()
	require.True(t, w.Full(), "bounded all the same")
	require.True(t, w.Contended())
	require.Equal(t, Limits{Records: 1, Finished: 6, Bytes: 10}, w.Usage())
	hung.Settle()
	require.False(t, w.Full())
	require.Zero(t, w.Usage())
	<-w.Low()
	require.Equal(t, 100*10_000, NewWindow(DefaultLimits).limits.Finished)

	w.add(2, 20)
	l.Track(record(7))
	l.Track(record(8)).Settle()
	require.Equal(t, 1, l.Seal())
	require.Zero(t, w.Usage(), "gone with the assignment")
}

func TestEntry_Size(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, unsafe.Sizeof(Entry{}), uintptr(FinishedBytes))
}

// TestWindow_LargeValuesWaitForEachOther: one that is larger than all the room is there alone, and never waits for ever.
func TestWindow_LargeValuesWaitForEachOther(t *testing.T) {
	t.Parallel()
	w := NewWindow(Limits{Records: 10, Bytes: 100, Deliveries: 10})
	first, err := w.acquireLarge(t.Context(), 500)
	require.NoError(t, err)
	require.EqualValues(t, 500, w.Usage().Bytes)
	require.True(t, w.Full(), "intake pauses")
	ended, end := context.WithCancel(t.Context())
	end()
	_, err = w.acquireLarge(ended, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "wait for room for 1 bytes")
	first()
	second, err := w.acquireLarge(t.Context(), 50)
	require.NoError(t, err)
	second()
	require.Zero(t, w.Usage())
	require.False(t, w.Full())
}
