package breaker

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pass moves the bubble's clock; no test here waits in real time.
func pass(d time.Duration) { <-time.After(d) }

// bubble runs a test on a breaker without jitter, on virtual time, and gives it every change in the order of calls.
func bubble(t *testing.T, s Settings, test func(t *testing.T, b *Breaker, changes *[]Change)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var changes []Change
		s.OnChange = func(c Change) { changes = append(changes, c) }
		b := New(s)
		b.jitter = func() float64 { return 0 }
		test(t, b, &changes)
	})
}

// try makes one attempt that must be allowed.
func try(t *testing.T, b *Breaker, o Outcome) {
	t.Helper()
	done, ok, wait := b.Allow()
	require.True(t, ok, "refused for %s in %+v", wait, b.State())
	require.Zero(t, wait)
	done(o)
}

func tryN(t *testing.T, b *Breaker, n int, o Outcome) {
	t.Helper()
	for range n {
		try(t, b, o)
	}
}

func refuse(t *testing.T, b *Breaker, want time.Duration) {
	t.Helper()
	done, ok, wait := b.Allow()
	require.False(t, ok)
	require.Equal(t, want, wait)
	require.Equal(t, want, b.Wait())
	done(Failed) // harmless, so that it may be deferred before ok is tested
}

func TestBreaker_OpensAfterConsecutiveFailures(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
		tryN(t, b, 4, Failed)
		try(t, b, Alive)
		tryN(t, b, 4, Failed)
		require.Equal(t, Closed, b.State().State)
		require.Equal(t, 4, b.State().Failures)
		try(t, b, Failed)
		refuse(t, b, 10*time.Second)
		until := time.Now().Add(10 * time.Second)
		require.Equal(t, []Change{{Seq: 1, From: Closed, To: Open, Reason: ReasonConsecutive, Until: until, Wait: 10 * time.Second, Opens: 1, Failures: 5}}, *changes)
		require.Equal(t, Snapshot{State: Open, Since: time.Now(), Reason: ReasonConsecutive, Until: until, Opens: 1, Failures: 5}, b.State())
	})
}

// Four attempts that time out after 15 s fill the window of a minute: the streak must not be forgotten with it.
func TestBreaker_ConsecutiveFailuresAreCountedBeyondTheWindow(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		for range 4 {
			try(t, b, Failed)
			pass(2 * time.Minute)
		}
		try(t, b, Failed)
		require.Equal(t, Open, b.State().State)
	})
}

func TestBreaker_OpensByRatio(t *testing.T) {
	mixed := func(t *testing.T, b *Breaker, pairs int, gap time.Duration) {
		for range pairs {
			try(t, b, Alive)
			try(t, b, Failed)
			pass(gap)
		}
	}
	t.Run("half of ten", func(t *testing.T) {
		bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
			mixed(t, b, 4, time.Second)
			require.Equal(t, Closed, b.State().State, "eight outcomes are too few")
			mixed(t, b, 1, 0)
			require.Equal(t, ReasonRatio, (*changes)[0].Reason)
		})
	})
	t.Run("never ten within the window", func(t *testing.T) {
		bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
			mixed(t, b, 50, 20*time.Second)
			require.Empty(t, *changes)
		})
	})
	t.Run("less than half", func(t *testing.T) {
		bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
			for range 50 {
				tryN(t, b, 2, Alive)
				try(t, b, Failed)
			}
			require.Empty(t, *changes)
		})
	})
	t.Run("what is under way is no outcome", func(t *testing.T) {
		bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
			for range 20 {
				_, ok, _ := b.Allow()
				require.True(t, ok)
			}
			mixed(t, b, 4, 0)
			require.Empty(t, *changes)
		})
	})
}

func TestBreaker_ExcludedCountsForNothing(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
		tryN(t, b, 4, Failed)
		tryN(t, b, 100, Excluded)
		require.Empty(t, *changes)
		try(t, b, Failed)
		require.Equal(t, Open, b.State().State, "and it does not end a row of failures")
	})
}

func TestBreaker_OpenTimeDoublesToItsBound(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
		tryN(t, b, 5, Failed)
		for i, want := range []time.Duration{10, 20, 40, 80, 160, 320, 600, 600, 600} {
			want *= time.Second
			refuse(t, b, want)
			pass(want - 1)
			refuse(t, b, 1)
			require.Equal(t, Open, b.State().State)
			pass(1)
			require.Zero(t, b.Wait())
			require.Equal(t, HalfOpen, b.State().State, "opening %d", i+1)
			try(t, b, Failed)
			require.Equal(t, ReasonProbeFailed, (*changes)[len(*changes)-1].Reason)
		}
	})
}

func TestBreaker_OneProbeAmongManyCallers(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		tryN(t, b, 5, Failed)
		pass(10 * time.Second)
		var (
			callers sync.WaitGroup
			allowed atomic.Int32
			probe   func(Outcome)
		)
		for range 100 {
			callers.Go(func() {
				done, ok, wait := b.Allow()
				if ok {
					allowed.Add(1)
					probe = done
					return
				}
				require.Positive(t, wait)
			})
		}
		callers.Wait()
		require.EqualValues(t, 1, allowed.Load())
		refuse(t, b, probePoll)
		require.Equal(t, 1, b.Concurrency(8))
		probe(Alive)
		require.Equal(t, Closed, b.State().State)
		require.Zero(t, b.Wait())
	})
}

func TestBreaker_ExcludedProbeReleasesTheSlot(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
		tryN(t, b, 5, Failed)
		pass(10 * time.Second)
		tryN(t, b, 10, Excluded)
		require.Equal(t, HalfOpen, b.State().State)
		require.Len(t, *changes, 2)
		try(t, b, Alive)
		require.Equal(t, Closed, b.State().State)
	})
}

func TestBreaker_LateOutcomesOfAnOlderGenerationAreIgnored(t *testing.T) {
	for _, late := range []Outcome{Alive, Failed, Excluded} {
		bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
			begun := func() func(Outcome) {
				done, ok, _ := b.Allow()
				require.True(t, ok)
				return done
			}
			closedBefore := []func(Outcome){begun(), begun(), begun()}
			tryN(t, b, 5, Failed)
			open := b.State()
			closedBefore[0](late)
			require.Equal(t, open, b.State())

			pass(10 * time.Second)
			probe := begun()
			halfOpen := b.State()
			closedBefore[1](late)
			require.Equal(t, halfOpen, b.State())
			refuse(t, b, probePoll)

			probe(Alive)
			closed := b.State()
			closedBefore[2](late)
			require.Equal(t, closed, b.State())
		})
	}
}

func TestBreaker_DoneCountsOnce(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		done, ok, _ := b.Allow()
		require.True(t, ok)
		done(Alive)
		for range 10 {
			done(Failed)
		}
		require.Zero(t, b.State().Failures)
	})
}

// What a lane does: the outcome is Excluded until it is known, and reported even when the attempt panics.
func TestBreaker_PanickingProbeReleasesTheSlot(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		tryN(t, b, 5, Failed)
		pass(10 * time.Second)
		require.Panics(t, func() {
			var outcome Outcome
			done, _, _ := b.Allow()
			defer func() { done(outcome) }()
			panic("in the attempt")
		})
		try(t, b, Alive)
	})
}

func TestBreaker_ForgottenProbeIsGivenUpAfterItsLease(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		tryN(t, b, 5, Failed)
		pass(10 * time.Second)
		forgotten, ok, _ := b.Allow()
		require.True(t, ok)
		pass(ProbeLease - 1)
		refuse(t, b, probePoll)
		pass(1)
		require.Zero(t, b.Wait())
		second, ok, _ := b.Allow()
		require.True(t, ok)
		forgotten(Failed)
		require.Equal(t, HalfOpen, b.State().State, "it no longer speaks for the probe")
		refuse(t, b, probePoll)
		second(Alive)
		require.Equal(t, Closed, b.State().State)
	})
}

func TestBreaker_OnChangeMayCallTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *Breaker
		var seen []State
		b = New(Settings{OnChange: func(c Change) {
			seen = append(seen, b.State().State)
			b.Wait()
			b.Concurrency(8)
			b.Idle()
		}})
		tryN(t, b, 5, Failed)
		pass(11 * time.Second)
		try(t, b, Alive)
		require.Equal(t, []State{Open, HalfOpen, Closed}, seen)
	})
}

func TestBreaker_Idle(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		require.True(t, b.Idle())
		tryN(t, b, 20, Alive)
		require.True(t, b.Idle(), "successes are not worth keeping")

		try(t, b, Failed)
		require.False(t, b.Idle())
		pass(time.Minute)
		require.False(t, b.Idle(), "a row of failures does not age in the window")
		pass(9 * time.Minute)
		require.True(t, b.Idle())

		try(t, b, Failed)
		try(t, b, Alive)
		require.False(t, b.Idle())
		pass(time.Minute)
		require.True(t, b.Idle(), "the window has forgotten the failure")

		tryN(t, b, 5, Failed)
		require.False(t, b.Idle())
		pass(time.Hour)
		require.False(t, b.Idle(), "half-open")
		try(t, b, Alive)
		require.False(t, b.Idle(), "slow start")
		pass(10 * time.Minute)
		require.True(t, b.Idle(), "the slow start has lapsed")
		require.Zero(t, b.State().Opens)

		b.ForceOpen()
		pass(time.Hour)
		require.False(t, b.Idle())
	})
}
