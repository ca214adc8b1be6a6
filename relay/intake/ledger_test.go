package intake

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// marks records what a ledger marked, as kgo would keep it: the highest offset.
type marks struct {
	mu   sync.Mutex
	list []int64
}

func (m *marks) mark(rec *kgo.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, rec.Offset)
}

func (m *marks) last() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == 0 {
		return -1
	}
	return m.list[len(m.list)-1]
}

func record(offset int64) *kgo.Record {
	return &kgo.Record{Topic: "debt", Offset: offset, Value: make([]byte, 10)}
}

func testLedger(l Limits) (*Ledger, *marks, *Window) {
	w, m := NewWindow(l), &marks{}
	return newLedger(w, m.mark), m, w
}

func TestLedger_MarksContiguousPrefix(t *testing.T) {
	l, m, w := testLedger(DefaultLimits)
	w.add(3, 30)
	a, b, c := l.Track(record(5)), l.Track(record(9)), l.Track(record(10)) // 6 to 8: a compaction gap
	c.Settle()
	require.EqualValues(t, -1, m.last(), "nothing below is settled")
	a.Settle()
	require.EqualValues(t, 5, m.last())
	require.Equal(t, Limits{Records: 1, Finished: 1, Bytes: 10}, w.Usage(), "a record that finished out of order counts as finished only")
	b.Settle()
	require.EqualValues(t, 10, m.last())
	require.Zero(t, w.Usage())
}

func TestLedger_CountsReferences(t *testing.T) {
	l, m, w := testLedger(DefaultLimits)
	w.add(1, 10)
	e := l.Track(record(0))
	e.Hold(2)
	e.Settle()
	e.Settle()
	require.EqualValues(t, -1, m.last())
	e.Settle()
	require.EqualValues(t, 0, m.last())
	require.Panics(t, e.Settle)
}

func TestLedger_LateResultAfterSealMarksNothing(t *testing.T) {
	l, m, w := testLedger(DefaultLimits)
	w.add(2, 20)
	a, b := l.Track(record(0)), l.Track(record(1))
	a.Settle()
	require.Equal(t, 1, l.Seal())
	b.Settle()
	require.EqualValues(t, 0, m.last())
	require.Zero(t, w.Usage(), "the window is freed all the same")
}

func TestLedger_AbandonedEntryIsNeverPassed(t *testing.T) {
	l, m, w := testLedger(DefaultLimits)
	w.add(3, 30)
	a, b, c := l.Track(record(0)), l.Track(record(1)), l.Track(record(2))
	b.Hold(1) // a delivery of it is under way
	b.Abandon()
	a.Settle()
	c.Settle()
	open, _ := l.Open()
	require.Zero(t, open, "no drain waits for it")
	b.Settle()
	require.EqualValues(t, 0, m.last())
	require.Zero(t, l.Seal())
	require.Zero(t, w.Usage())
}

func TestLedger_RefusesFallingOffsets(t *testing.T) {
	l, _, _ := testLedger(DefaultLimits)
	l.Track(record(4))
	require.Panics(t, func() { l.Track(record(4)) })
}

// TestLedger_AgainstModel settles in random order from many goroutines and compares every mark with what a naive
// model allows.
func TestLedger_AgainstModel(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l, m, w := testLedger(DefaultLimits)
		n := 1 + rng.IntN(200)
		w.add(n, int64(10*n))
		entries := make([]*Entry, n)
		for i := range entries {
			entries[i] = l.Track(record(int64(i)))
		}
		order := rng.Perm(n)
		settled := make([]bool, n)
		for _, i := range order {
			entries[i].Settle()
			settled[i] = true
			prefix := int64(-1)
			for prefix+1 < int64(n) && settled[prefix+1] {
				prefix++
			}
			require.Equal(t, prefix, m.last(), "seed %d", seed)
		}
		require.Zero(t, w.Usage(), "seed %d", seed)
	}
}

func TestLedger_ConcurrentSettleAndSeal(t *testing.T) {
	l, m, w := testLedger(DefaultLimits)
	const n = 1000
	w.add(n, 10*n)
	entries := make([]*Entry, n)
	for i := range entries {
		entries[i] = l.Track(record(int64(i)))
	}
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := part; i < n; i += 4 {
				entries[i].Settle()
			}
		})
	}
	var atSeal int64
	wg.Go(func() {
		l.Seal()
		atSeal = m.last()
	})
	wg.Wait()
	require.Equal(t, atSeal, m.last(), "nothing is marked after Seal")
	require.Zero(t, w.Usage())
}

func TestWindow_FullUntilLowWater(t *testing.T) {
	w := NewWindow(Limits{Records: 10, Bytes: 1000, Deliveries: 4})
	w.add(10, 100)
	require.True(t, w.Full())
	w.remove(4, 40)
	require.True(t, w.Full(), "hysteresis: not before half")
	w.remove(1, 10)
	require.False(t, w.Full())
	select {
	case <-w.Low():
	default:
		t.Fatal("the low-water mark was not announced")
	}
	w.add(1, 2000)
	require.True(t, w.Full(), "bytes count too")
}

func TestWindow_AcquireWaitsForRoom(t *testing.T) {
	w := NewWindow(Limits{Records: 10, Bytes: 1000, Deliveries: 4})
	require.NoError(t, w.acquire(t.Context(), 3))
	done := make(chan error)
	go func() { done <- w.acquire(t.Context(), 2) }()
	require.Eventually(t, w.Contended, waitFor, tick)
	w.release(1)
	require.NoError(t, <-done)
	require.False(t, w.Contended())

	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { done <- w.acquire(ctx, 1) }()
	require.Eventually(t, w.Contended, waitFor, tick)
	cancel(ErrRevoked)
	require.ErrorIs(t, <-done, ErrRevoked)
	require.Equal(t, 4, w.Usage().Deliveries)
}

func BenchmarkLedger(b *testing.B) {
	l, _, _ := testLedger(DefaultLimits)
	rec := record(0)
	b.ReportAllocs()
	for i := range b.N {
		rec.Offset = int64(i)
		l.Track(rec).Settle()
	}
}

// A record costs its entry and nothing else.
func TestLedger_Allocates(t *testing.T) {
	w := NewWindow(DefaultLimits)
	l := newLedger(w, func(*kgo.Record) {})
	rec := record(0)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		rec.Offset++
		l.Track(rec).Settle()
	}), 1.0)
}
