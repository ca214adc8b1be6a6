package deliver

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRoom_LargeBodiesNeverStandInFrontOfOrdinaryOnes(t *testing.T) {
	t.Parallel()
	r := newRoom(Memory{Attempts: 8 * attemptBytes, Bodies: 4 << 20})
	_, ok := r.take(t.Context(), 3<<20, false, 0)
	require.True(t, ok)
	_, ok = r.take(t.Context(), 1<<20, false, 0)
	require.False(t, ok, "no room for a second large body")
	small, ok := r.take(t.Context(), 600, false, 0)
	require.True(t, ok)
	small.give()
	require.Zero(t, r.attempts.used.Load())
}

// However many attempts hang, an endpoint with nothing under way finds memory.
func TestRoom_ReserveIsForEndpointsWithNothingUnderWay(t *testing.T) {
	t.Parallel()
	r := newRoom(Memory{Attempts: 8 * attemptBytes, Bodies: 1 << 20})
	taken := 0
	for {
		if _, ok := r.take(t.Context(), 0, false, 0); !ok {
			break
		}
		taken++
	}
	require.Equal(t, 6, taken, "three quarters")
	first, ok := r.take(t.Context(), 0, true, 0)
	require.True(t, ok)
	first.give()
	_, ok = r.take(t.Context(), 0, true, 0)
	require.True(t, ok, "what is given back to the reserve is there again")
}

// A body that is larger than the pool is made alone, and nobody waits for ever.
func TestRoom_BodyLargerThanThePool(t *testing.T) {
	t.Parallel()
	r := newRoom(Memory{Attempts: 1 << 20, Bodies: 1 << 20})
	huge, ok := r.take(t.Context(), 40<<20, false, 0)
	require.True(t, ok)
	_, ok = r.take(t.Context(), 40<<20, false, 0)
	require.False(t, ok)
	huge.give()
	_, ok = r.take(t.Context(), 40<<20, false, 0)
	require.True(t, ok)
}

func TestRoom_WaitsNoLongerThanItsPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(Memory{Attempts: 1 << 20, Bodies: 1 << 20})
		held, ok := r.take(t.Context(), 1<<20, false, 0)
		require.True(t, ok)

		began := time.Now()
		_, ok = r.take(t.Context(), 1<<20, false, 3*time.Second)
		require.False(t, ok)
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Zero(t, r.waiting.Load())

		ended, end := context.WithCancel(t.Context())
		end()
		_, ok = r.take(ended, 1<<20, false, time.Hour)
		require.False(t, ok, "the owner cannot wait any longer")

		var waiting sync.WaitGroup
		waiting.Go(func() {
			h, ok := r.take(t.Context(), 1<<20, false, time.Hour)
			require.True(t, ok)
			h.give()
		})
		synctest.Wait()
		require.EqualValues(t, 1, r.waiting.Load())
		held.give()
		waiting.Wait()
		require.Zero(t, r.bodies.used.Load())
	})
}
