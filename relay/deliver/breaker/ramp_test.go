package breaker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// reopenedOnce brings a breaker to the moment after its first probe succeeded.
func reopenedOnce(t *testing.T, b *Breaker, limit int) {
	t.Helper()
	b.Concurrency(limit)
	tryN(t, b, 5, Failed)
	require.Zero(t, b.Concurrency(limit), "open")
	pass(10 * time.Second)
	require.Equal(t, 1, b.Concurrency(limit), "half-open")
	try(t, b, Alive)
}

func TestBreaker_SlowStartDoublesWithEachRound(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		require.Equal(t, 20, b.Concurrency(20))
		reopenedOnce(t, b, 20)
		var steps []int
		for range 31 {
			steps = append(steps, b.Concurrency(20))
			try(t, b, Alive)
		}
		require.Equal(t, []int{1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16}, steps)
		require.Equal(t, 20, b.Concurrency(20))
		require.Equal(t, 1000, b.Concurrency(1000), "fully closed: whatever the limit becomes")
		require.Zero(t, b.State().Opens)
	})
}

func TestBreaker_FailureCollapsesTheSlowStart(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		reopenedOnce(t, b, 8)
		tryN(t, b, 3, Alive)
		require.Equal(t, 4, b.Concurrency(8))
		try(t, b, Excluded)
		require.Equal(t, 4, b.Concurrency(8), "our own fault is not the endpoint's")
		try(t, b, Failed)
		require.Equal(t, 1, b.Concurrency(8))
		tryN(t, b, 7, Alive)
		require.Equal(t, 8, b.Concurrency(8))
		require.Zero(t, b.State().Ramp)
		try(t, b, Failed)
		require.Equal(t, 8, b.Concurrency(8), "a failure after the ramp is one of many")
	})
}

func TestBreaker_OpeningsAddUpUntilTheRampIsOver(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		reopenedOnce(t, b, 8)
		try(t, b, Alive)
		tryN(t, b, 5, Failed)
		require.Equal(t, 20*time.Second, b.Wait(), "it lived for two attempts: the second opening")
		require.Zero(t, b.State().Ramp)
		pass(time.Hour)
		require.Equal(t, 2, b.State().Opens, "time alone is no sign of life")
		tryN(t, b, 1+7, Alive)
		tryN(t, b, 5, Failed)
		require.Equal(t, 10*time.Second, b.Wait(), "the ramp was over: a first opening again")
	})
}

func TestBreaker_SlowStartAtLimitOneNeedsASuccessOfItsOwn(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		reopenedOnce(t, b, 1)
		require.Equal(t, 1, b.Concurrency(1))
		require.Equal(t, 1, b.State().Opens)
		try(t, b, Alive)
		require.Zero(t, b.State().Opens)
	})
}

func TestBreaker_SlowStartFollowsALoweredLimit(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		reopenedOnce(t, b, 100)
		tryN(t, b, 7, Alive)
		require.Equal(t, 3, b.Concurrency(3))
		try(t, b, Alive)
		require.Equal(t, 100, b.Concurrency(100), "it reached what was the limit then")
	})
}

func TestBreaker_SlowStartWithoutALimitEnds(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		tryN(t, b, 5, Failed)
		pass(10 * time.Second)
		tryN(t, b, 1+rampLimit-2, Alive)
		require.NotZero(t, b.State().Ramp)
		try(t, b, Alive)
		require.Zero(t, b.State().Ramp)
	})
}

func TestBreaker_SlowStartLapsesWithoutFailures(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		reopenedOnce(t, b, 8)
		pass(9 * time.Minute)
		try(t, b, Failed)
		pass(10*time.Minute - 1)
		require.Equal(t, 1, b.Concurrency(8))
		require.Equal(t, 1, b.State().Opens)
		pass(1)
		require.Equal(t, 8, b.Concurrency(8))
		require.Zero(t, b.State().Opens)
	})
}
