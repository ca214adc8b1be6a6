package breaker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBreaker_ForceOpen(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
		underWay, ok, _ := b.Allow()
		require.True(t, ok)
		b.ForceOpen()
		b.ForceOpen()
		require.Equal(t, []Change{{Seq: 1, From: Closed, To: Open, Reason: ReasonForced, Forced: Open}}, *changes)
		forced := b.State()
		require.Equal(t, Snapshot{State: Open, Since: time.Now(), Reason: ReasonForced, Forced: Open}, forced)
		for range 3 {
			refuse(t, b, forcedRecheck)
			require.Zero(t, b.Concurrency(8))
			pass(24 * time.Hour)
		}
		underWay(Alive)
		require.Equal(t, forced, b.State(), "no success of an older attempt opens what an operator closed")
	})
}

func TestBreaker_ForceOpenDuringAProbe(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		tryN(t, b, 5, Failed)
		pass(10 * time.Second)
		probe, ok, _ := b.Allow()
		require.True(t, ok)
		b.ForceOpen()
		probe(Alive)
		refuse(t, b, forcedRecheck)
		b.ForceClosed()
		try(t, b, Alive)
	})
}

func TestBreaker_ForceClosed(t *testing.T) {
	for name, open := range map[string]func(*testing.T, *Breaker){
		"forced": func(_ *testing.T, b *Breaker) { b.ForceOpen() },
		"open":   func(t *testing.T, b *Breaker) { tryN(t, b, 5, Failed) },
		"half-open": func(t *testing.T, b *Breaker) {
			tryN(t, b, 5, Failed)
			pass(10 * time.Second)
			try(t, b, Excluded)
		},
		"half-open with a probe under way": func(t *testing.T, b *Breaker) {
			tryN(t, b, 5, Failed)
			pass(10 * time.Second)
			_, ok, _ := b.Allow()
			require.True(t, ok)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
				open(t, b)
				opens := b.State().Opens
				b.ForceClosed()
				last := (*changes)[len(*changes)-1]
				require.Equal(t, ReasonClosed, last.Reason)
				require.Equal(t, Closed, last.To)
				require.Equal(t, 1, b.Concurrency(8), "slow start")
				require.Equal(t, opens, b.State().Opens)
				require.Equal(t, Closed, last.Forced)
				seen := len(*changes)
				tryN(t, b, 100, Failed)
				require.Equal(t, Closed, b.State().State, "nothing opens it")
				require.Equal(t, Closed, b.State().Forced)
				require.Len(t, *changes, seen)
				b.ForceClosed()
				require.Len(t, *changes, seen)
				b.Reset()
				tryN(t, b, 5, Failed)
				require.Equal(t, Open, b.State().State, "automatic again")
				require.Equal(t, 1, b.State().Opens)
			})
		})
	}
	t.Run("closed", func(t *testing.T) {
		bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
			tryN(t, b, 4, Failed)
			b.ForceClosed()
			require.Empty(t, *changes)
			require.Equal(t, 4, b.State().Failures)
			tryN(t, b, 20, Failed)
			require.Equal(t, Closed, b.State().State)
			require.True(t, b.Wait() == 0)
			b.ForceOpen()
			require.Equal(t, Open, b.State().Forced)
			refuse(t, b, forcedRecheck)
		})
	})
}

func TestBreaker_Reset(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
		tryN(t, b, 4, Failed)
		stale, ok, _ := b.Allow()
		require.True(t, ok)
		b.Reset()
		require.Empty(t, *changes, "it was closed and is")
		stale(Failed)
		require.True(t, b.Idle())

		tryN(t, b, 5, Failed)
		pass(10 * time.Second)
		try(t, b, Failed)
		b.Reset()
		require.Equal(t, Snapshot{State: Closed, Since: time.Now(), Reason: ReasonReset}, b.State())
		require.Equal(t, 8, b.Concurrency(8), "no slow start")
		require.True(t, b.Idle())
		tryN(t, b, 5, Failed)
		require.Equal(t, 10*time.Second, b.Wait(), "a first opening")
	})
}
