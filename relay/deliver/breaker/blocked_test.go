package breaker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Blocked says of every state what State and Wait say together.
func TestBreaker_BlockedWhileOpen(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, b *Breaker, _ *[]Change) {
		same := func(blocked bool) {
			t.Helper()
			want := time.Duration(0)
			if b.State().State == Open {
				want = b.Wait()
			}
			require.Equal(t, want, b.Blocked(time.Now()))
			require.Equal(t, blocked, want > 0)
			require.Equal(t, blocked, b.Concurrency(8) == 0)
		}
		same(false)
		tryN(t, b, 5, Failed)
		same(true)
		pass(b.Wait())
		same(false) // a probe is due
		done, ok, _ := b.Allow()
		require.True(t, ok)
		same(false) // and under way
		done(Alive)
		same(false)
		require.Equal(t, 1, b.Concurrency(8), "it starts slowly")
		b.ForceOpen()
		same(true)
		pass(time.Hour)
		same(true)
		b.ForceClosed()
		same(false)
		b.Reset()
		same(false)
		require.Equal(t, 8, b.Concurrency(8))
	})
}
