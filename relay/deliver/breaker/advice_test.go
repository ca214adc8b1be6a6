package breaker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWeigh(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, tc := range map[string]struct {
		own  evidence
		to   State
		want heed
	}{
		"closed, knows nothing":             {evidence{state: Closed}, Open, heedHold},
		"closed, proof is old":              {evidence{state: Closed, alive: ago(10 * time.Second)}, Open, heedHold},
		"closed, proof is fresh":            {evidence{state: Closed, alive: ago(9 * time.Second)}, Open, heedProbe},
		"closed, proof and then a failure":  {evidence{state: Closed, alive: ago(time.Second), failing: true}, Open, heedHold},
		"closed, doubted a moment ago":      {evidence{state: Closed, alive: ago(time.Second), doubted: ago(59 * time.Second)}, Open, heedNothing},
		"closed, doubted a minute ago":      {evidence{state: Closed, alive: ago(time.Second), doubted: ago(time.Minute)}, Open, heedProbe},
		"open":                              {evidence{state: Open, alive: ago(time.Second)}, Open, heedHold},
		"half-open, no probe":               {evidence{state: HalfOpen}, Open, heedHold},
		"probing":                           {evidence{state: HalfOpen, probing: true}, Open, heedNothing},
		"probing, sibling too":              {evidence{state: HalfOpen, probing: true}, HalfOpen, heedNothing},
		"open, sibling probes":              {evidence{state: Open}, HalfOpen, heedHold},
		"closed, sibling probes":            {evidence{state: Closed}, HalfOpen, heedNothing},
		"open, sibling closed":              {evidence{state: Open}, Closed, heedRelease},
		"closed, sibling closed":            {evidence{state: Closed}, Closed, heedNothing},
		"forced open, sibling closed":       {evidence{state: Open, forced: Open}, Closed, heedNothing},
		"forced closed, sibling open":       {evidence{state: Closed, forced: Closed}, Open, heedNothing},
		"a state that nobody has heard of":  {evidence{state: Closed}, "ajar", heedNothing},
		"open, a state nobody has heard of": {evidence{state: Open}, "", heedNothing},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, weigh(tc.own, tc.to, now)) })
	}
}

func TestBreaker_AdviseOpenHoldsUntilTheSiblingsProbe(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
		require.True(t, b.Advise(Advice{To: Open, Wait: 20 * time.Second, Opens: 2}))
		require.Equal(t, []Change{{Seq: 1, From: Closed, To: Open, Reason: ReasonAdvised, Until: time.Now().Add(20 * time.Second)}}, *changes)
		require.False(t, b.Advise(Advice{To: Open, Wait: time.Second}), "it was held already, and stays so")
		refuse(t, b, 20*time.Second)
		pass(20 * time.Second)
		require.Equal(t, 1, b.Concurrency(8), "one probe")
		try(t, b, Failed)
		require.Equal(t, 40*time.Second, b.Wait(), "the third opening in a row, counted over instances")
	})
}

func TestBreaker_AdviseWaitsForTheSiblingsProbe(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		tryN(t, b, 5, Failed)
		pass(10 * time.Second)
		require.True(t, b.Advise(Advice{To: HalfOpen}))
		refuse(t, b, probeHold)
		require.False(t, b.Advise(Advice{To: Closed}))
		require.Zero(t, b.Wait(), "the sibling's probe proved alive: ours may go")
		try(t, b, Alive)
		require.Equal(t, Closed, b.State().State)
		require.Equal(t, 1, b.Concurrency(8), "slow start")
	})
}

// A sibling that says "closed" for ever makes nobody probe more often than the endpoint was promised.
func TestBreaker_AdviseClosedKeepsTheOpenBase(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		tryN(t, b, 5, Failed)
		for range 20 {
			b.Advise(Advice{To: Closed})
			refuse(t, b, 10*time.Second)
			pass(10 * time.Second)
			try(t, b, Failed)
		}
	})
}

// A sibling that has trouble of its own makes a healthy breaker probe once a minute, and no more.
func TestBreaker_AdviseAgainstFreshProof(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
		b.Concurrency(2)
		for range 60 {
			try(t, b, Alive)
			require.False(t, b.Advise(Advice{To: Open, Wait: 10 * time.Minute}))
			require.Zero(t, b.Wait())
			try(t, b, Alive)
			try(t, b, Alive)
			require.Equal(t, 2, b.Concurrency(2))
			pass(time.Second)
		}
		require.Len(t, *changes, 3, "opened by advice, probed, closed")
	})
}

// Whatever is said, an opening is held for two hours at most, and then the breaker sees for itself.
func TestBreaker_AdviceIsBounded(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		begun := time.Now()
		for b.Advise(Advice{To: Open, Wait: 1 << 62, Opens: 1 << 40}); b.Wait() > 0; b.Advise(Advice{To: Open, Wait: 1 << 62}) {
			pass(min(b.Wait(), time.Second))
		}
		require.Equal(t, 2*time.Hour, time.Since(begun))
		try(t, b, Alive)
		require.Equal(t, Closed, b.State().State)
	})
}

func TestBreaker_AdviceLeavesForcedOnesAndProbesAlone(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
		b.ForceClosed()
		b.Advise(Advice{To: Open, Wait: time.Hour})
		try(t, b, Alive)
		b.ForceOpen()
		b.Advise(Advice{To: Closed})
		refuse(t, b, forcedRecheck)
		b.Reset()
		tryN(t, b, 5, Failed)
		pass(10 * time.Second)
		probe, ok, _ := b.Allow()
		require.True(t, ok)
		seen := len(*changes)
		for _, to := range []State{Open, HalfOpen, Closed} {
			b.Advise(Advice{To: to, Wait: time.Hour})
		}
		require.Len(t, *changes, seen)
		probe(Alive)
		require.Equal(t, Closed, b.State().State)
	})
}
