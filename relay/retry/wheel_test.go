package retry

import (
	"testing"
	"testing/synctest"
	"time"

	"context"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"eventrelay/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClassFor(t *testing.T) {
	for wait, want := range map[time.Duration]time.Duration{
		0:                        5 * time.Second, // rounded up to the smallest
		4 * time.Second:          5 * time.Second,
		5 * time.Second:          5 * time.Second,
		29 * time.Second:         5 * time.Second,
		30 * time.Second:         30 * time.Second,
		5 * time.Minute:          2 * time.Minute,
		24 * time.Hour:           6 * time.Hour,
		time.Hour - 1:            10 * time.Minute,
		100 * 24 * time.Hour:     6 * time.Hour,
		time.Duration(1<<63 - 1): 6 * time.Hour,
	} {
		require.Equal(t, want, classFor(relay.DefaultDelays, wait), "%s", wait)
	}
}

// TestHops walks waits through the wheel: the time until due is at least the wait and exceeds it by less than the
// smallest class.
func TestHops(t *testing.T) {
	delays := relay.DefaultDelays
	for wait := time.Second; wait < 30*time.Hour; wait += wait/7 + time.Second {
		var waited time.Duration
		hopped := 0
		for left := wait; ; hopped++ {
			class := classFor(delays, left)
			waited += class
			left -= class
			stay, hops := hop(left, class, delays[0])
			waited += stay
			if !hops {
				break
			}
		}
		require.GreaterOrEqual(t, waited, wait)
		require.Less(t, waited, wait+delays[0])
		require.Less(t, hopped, 40, "%s", wait)
	}
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Wheel{clock: newClock(time.Now)}
		begun := time.Now()
		require.True(t, w.sleep(t.Context(), 10*time.Second, begun.Add(-4*time.Second)))
		require.Equal(t, 6*time.Second, time.Since(begun), "it counts from the append")

		begun = time.Now()
		require.True(t, w.sleep(t.Context(), 10*time.Second, begun.Add(time.Hour)), "the broker's clock is an hour ahead")
		require.Equal(t, 10*time.Second, time.Since(begun), "never longer than the delay by the monotonic clock")

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		begun = time.Now()
		require.False(t, w.sleep(ctx, time.Hour, begun))
		require.Equal(t, 3*time.Second, time.Since(begun))
	})
}
