package retry

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRow61_ClockJumps sets the wall clock an hour forth and back while deliveries wait: none comes earlier than its
// delay less a tenth, and none stays longer than its delay.
func TestRow61_ClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 0} {
		for _, class := range []time.Duration{5 * time.Second, 10 * time.Minute, time.Hour, 6 * time.Hour} {
			for _, after := range []time.Duration{0, class / 2} {
				t.Run(fmt.Sprintf("%s in a wait of %s after %s", jump, class, after), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var off atomic.Int64 // ns
						w := &Wheel{clock: newClock(func() time.Time { return time.Now().Add(time.Duration(off.Load())) })}
						appended := time.Now() // by the broker, whose clock does not jump
						timer := time.AfterFunc(after, func() { off.Store(int64(jump)) })
						defer timer.Stop()
						synctest.Wait()
						require.True(t, w.sleep(t.Context(), class, w.clock.appended(appended, time.Now())))
						waited := time.Since(appended)
						require.GreaterOrEqual(t, waited, class-class/catchUp-recheckEvery)
						require.LessOrEqual(t, waited, class)
					})
				})
			}
		}
	}
}

// TestRow61_JumpBetweenPolls: records that are polled after a jump, in batches one behind the other, wait neither for
// nothing nor in full each time.
func TestRow61_JumpBetweenPolls(t *testing.T) {
	const class = time.Hour
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			off := time.Duration(0)
			w := &Wheel{clock: newClock(func() time.Time { return time.Now().Add(off) })}
			written := time.Now()
			off = jump
			for range 5 { // of the same age, each polled when the one before it has left
				require.True(t, w.sleep(t.Context(), class, w.clock.appended(written, time.Now())))
			}
			require.GreaterOrEqual(t, time.Since(written), class-class/catchUp)
			require.LessOrEqual(t, time.Since(written), class+class/(catchUp-1)+recheckEvery)
		})
	}
}

// TestClock_AgreesAgain: a clock that was wrong when the relay started and is put right later is believed in the end.
func TestClock_AgreesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := -time.Hour
		c := newClock(func() time.Time { return time.Now().Add(off) })
		off = 0
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		last := c.Now()
		for begun := time.Now(); time.Since(begun) < catchUp*time.Hour; {
			<-tick.C
			now := c.Now()
			require.False(t, now.Before(last), "it never goes back")
			last = now
		}
		require.WithinDuration(t, time.Now(), c.Now(), time.Second)
	})
}
