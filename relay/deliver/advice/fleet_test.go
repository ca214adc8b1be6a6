package advice

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFleet_OneProbeInEachOpenTime: of eight instances that all have deliveries for a dead endpoint, one probes in each
// open time; when it lives again, all deliver soon after.
func TestFleet_OneProbeInEachOpenTime(t *testing.T) {
	const n = 8
	fleet(t, n, func(t *testing.T, c *cache, e *endpoints, all []*instance) {
		traffic(all, 5*time.Second)
		e.dead.Store(true)
		traffic(all, time.Minute) // all find out, by attempts that time out
		e.take()
		traffic(all, time.Hour)
		attempts := e.take()
		require.LessOrEqual(t, len(attempts), openings(time.Hour)+2, "%v", attempts)
		require.NotEmpty(t, attempts)

		e.dead.Store(false)
		traffic(all, 12*time.Minute)
		e.take()
		traffic(all, 24*time.Second)
		require.Len(t, e.take(), n*100, "every delivery of every instance")
	})
}

// TestFleet_WithoutRedis: every instance finds out for itself, whatever Redis does, and nothing waits for it.
func TestFleet_WithoutRedis(t *testing.T) {
	const n = 3
	for name, lose := range map[string]func(c *cache){
		"down":       func(c *cache) { c.down.Store(true); c.cut() },
		"cut in two": func(c *cache) { c.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			fleet(t, n, func(t *testing.T, c *cache, e *endpoints, all []*instance) {
				lose(c)
				e.dead.Store(true)
				traffic(all, time.Minute)
				e.take()
				traffic(all, time.Hour)
				attempts := len(e.take())
				require.LessOrEqual(t, attempts, n*(openings(time.Hour)+2))
				if name == "cut in two" {
					require.LessOrEqual(t, attempts, openings(time.Hour)+2, "they found each other again")
				}
				e.dead.Store(false)
				traffic(all, 12*time.Minute)
				e.take()
				traffic(all, 24*time.Second)
				require.Len(t, e.take(), n*100)
				if name != "cut in two" {
					_, complete := all[0].board.List(t.Context())
					require.False(t, complete)
				}
				c.down.Store(false)
				c.cut()
			})
		})
	}
}

// TestFleet_AnInstanceThatStartsKnowsOfDeadEndpoints: it waits for the next probe instead of trying for itself.
func TestFleet_AnInstanceThatStartsKnowsOfDeadEndpoints(t *testing.T) {
	fleet(t, 2, func(t *testing.T, c *cache, e *endpoints, all []*instance) {
		e.dead.Store(true)
		traffic(all, 5*time.Minute)
		e.take()
		late := c.start(t, e)
		defer late.stop()
		pass(time.Second)
		traffic([]*instance{late}, 5*time.Second)
		require.Empty(t, e.take())
		require.NotEmpty(t, late.dispatcher)
	})
}
