package breaker

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBreaker_IsNeverStuck walks random histories, lost attempts included, and checks at each step what must always
// hold, and at the end that an endpoint that lives again gets its full concurrency.
func TestBreaker_IsNeverStuck(t *testing.T) {
	const limit = 8
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			last := Change{To: Closed}
			b := New(Settings{OnChange: func(c Change) {
				require.Greater(t, c.Seq, last.Seq)
				require.Equal(t, last.To, c.From)
				last = c
			}})
			var underWay []func(Outcome)
			for range 400 {
				switch rnd.IntN(20) {
				case 0:
					b.ForceOpen()
				case 1:
					b.ForceClosed()
				case 2:
					if rnd.IntN(4) == 0 {
						b.Reset()
						last.To = Closed
					}
				case 12:
					b.Advise(Advice{To: []State{Open, HalfOpen, Closed, "junk"}[rnd.IntN(4)], Wait: time.Duration(rnd.Int64()), Opens: rnd.Int()})
				case 3, 4, 5:
					pass(rand.N(time.Duration(1) << rnd.IntN(40)))
				case 6, 7, 8, 9, 10:
					if len(underWay) > 0 {
						i := rnd.IntN(len(underWay))
						underWay[i](Outcome(rnd.IntN(3)))
						underWay = append(underWay[:i], underWay[i+1:]...)
					}
				case 11:
					if len(underWay) > 0 { // lost for ever
						underWay = underWay[1:]
					}
				default:
					due := b.Wait()
					done, ok, wait := b.Allow()
					require.Equal(t, due == 0, ok, "Wait tells what Allow does")
					require.Equal(t, due, wait)
					require.LessOrEqual(t, wait, 11*time.Minute)
					if ok {
						underWay = append(underWay, done)
					}
				}
				s := b.State()
				require.Equal(t, s.State == Open, !s.Until.IsZero() || s.Forced == Open)
				if n := b.Concurrency(limit); s.State == Open {
					require.Zero(t, n)
				} else {
					require.Positive(t, n)
					require.LessOrEqual(t, n, limit)
				}
			}

			if b.State().Forced == Open {
				b.ForceClosed()
			}
			for range 2 * limit {
				pass(b.Wait())
				if b.Wait() > 0 { // a lost probe
					pass(ProbeLease)
				}
				try(t, b, Alive)
			}
			require.Equal(t, limit, b.Concurrency(limit), "seed %d: %+v", seed, b.State())
			require.Equal(t, Closed, b.State().State)
		})
	}
}

// TestBreaker_ManyGoroutines is for the race detector; openings of milliseconds make every state common.
func TestBreaker_ManyGoroutines(t *testing.T) {
	var changes sync.Map
	b := New(Settings{OpenBase: time.Millisecond, OpenMax: 4 * time.Millisecond, OnChange: func(c Change) { changes.Store(c.Seq, c) }})
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for range 2_000 {
				done, ok, wait := b.Allow()
				if !ok && wait <= 0 {
					t.Errorf("refused without a wait: %+v", b.State())
				}
				b.Concurrency(8)
				b.Wait()
				b.Idle()
				switch rnd.IntN(200) {
				case 0:
					b.ForceOpen()
				case 1, 2, 3:
					b.ForceClosed()
				case 4:
					b.Reset()
				}
				done(Outcome(rnd.IntN(3)))
				done(Failed)
			}
		})
	}
	callers.Wait()
	b.Reset()
	require.True(t, b.Idle())
	count := 0
	changes.Range(func(any, any) bool { count++; return true })
	require.Positive(t, count)
}

func BenchmarkBreaker(b *testing.B) {
	breaker := New(Settings{})
	b.ReportAllocs()
	for b.Loop() {
		if breaker.Wait() == 0 && breaker.Concurrency(8) > 0 {
			done, _, _ := breaker.Allow()
			done(Alive)
		}
	}
}
