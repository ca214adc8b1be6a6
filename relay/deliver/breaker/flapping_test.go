package breaker

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBreaker_FlappingEndpoint: an endpoint that is up and down by turns, or fails half of the time, makes the breaker
// change at a bounded rate, and is served whenever it lives.
func TestBreaker_FlappingEndpoint(t *testing.T) {
	const limit = 8
	for name, lives := range map[string]func(since time.Duration, rnd *rand.Rand) bool{
		"30 s up, 30 s down":     func(since time.Duration, _ *rand.Rand) bool { return since/(30*time.Second)%2 == 0 },
		"3 s up, 3 s down":       func(since time.Duration, _ *rand.Rand) bool { return since/(3*time.Second)%2 == 0 },
		"every second one fails": func(_ time.Duration, rnd *rand.Rand) bool { return rnd.IntN(2) == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Settings{}, func(t *testing.T, b *Breaker, changes *[]Change) {
				rnd := rand.New(rand.NewPCG(7, 7))
				begun := time.Now()
				alive, failed := 0, 0
				for time.Since(begun) < 6*time.Hour {
					// As many attempts as may be under way at once, each taking 100 ms.
					var underWay []func(Outcome)
					for range b.Concurrency(limit) {
						if done, ok, _ := b.Allow(); ok {
							underWay = append(underWay, done)
						}
					}
					pass(100 * time.Millisecond)
					for _, done := range underWay {
						if lives(time.Since(begun), rnd) {
							alive++
							done(Alive)
						} else {
							failed++
							done(Failed)
						}
					}
				}
				// Each opening lasts 10 s at least and brings three changes.
				require.Less(t, len(*changes), 3*6*360+3)
				require.Greater(t, alive, failed/4, "it is served while it lives: %d alive, %d failed, %d changes", alive, failed, len(*changes))
				require.Greater(t, alive, 100)
				t.Logf("%d alive, %d failed, %d changes in 6 h", alive, failed, len(*changes))
			})
		})
	}
}
