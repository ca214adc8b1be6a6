package deliver

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

// narrow is a gate with few places; busy is what it believes of the machine.
func narrow(places int, busy *bool) *gate {
	g := newGate(func() {})
	g.places, g.busy = places, func() bool { return *busy }
	return g
}

func TestGate_GivesPlacesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := true
		g := narrow(1, &busy)
		deep, shallow := testLane(), testLane()
		deep.configure(1000, 0, 1)
		deep.fill(Fresh, 100)
		shallow.fill(Fresh, 1)

		p := g.enter(deep, time.Now())
		require.NotNil(t, p)
		require.Nil(t, g.enter(deep, time.Now()))
		require.Nil(t, g.enter(deep, time.Now()), "it is in line already")
		require.Nil(t, g.enter(shallow, time.Now()))
		require.False(t, g.stays(p), "others wait")
		for range turnsPerLane {
			require.Same(t, deep, g.next(p, time.Now()))
		}
		require.Same(t, shallow, g.next(p, time.Now()), "a lane with much to do is a few turns ahead, not all")
		require.True(t, g.stays(p))
		require.Nil(t, g.next(p, time.Now()), "nobody waits: the place is free again")
		require.Empty(t, g.held)
		<-time.After(placeHold) // the timer finds nobody
		synctest.Wait()
	})
}

func TestGate_AttemptsThatOnlyWaitGiveUpTheirPlaces(t *testing.T) {
	for _, c := range []struct {
		name string
		busy bool
		age  time.Duration
		want bool
	}{
		{"just begun", false, placeHold - 1, false},
		{"waits for its receiver", false, placeHold, true},
		{"waits for a core", true, placeHold, false},
		{"waits too long, for whatever", true, placeHoldBusy, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := narrow(2, &c.busy)
			l := testLane()
			l.fill(Fresh, 3)
			began := time.Now()
			first := g.enter(l, began)
			second := g.enter(l, began.Add(c.age))
			third := g.enter(l, began.Add(c.age))
			require.NotNil(t, second)
			require.Equal(t, c.want, third != nil)
			require.Equal(t, c.want, first.lost.Load())
			require.False(t, second.lost.Load())
			require.Len(t, g.held, 2)
			if c.want {
				require.Nil(t, g.next(first, began), "who lost a place has none to pass on")
				require.Len(t, g.held, 2)
			} else {
				g.timer.Stop()
			}
		})
	}
}

// A burst for many endpoints is worked off a few attempts at a time, none is handed off, and few connections are opened.
func TestDispatcher_BeginsFewAttemptsAtOnce(t *testing.T) {
	const endpoints, each, places = 50, 12, 3
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = countNew(&opened)
	server.Start()
	t.Cleanup(server.Close)
	b := newBench(t, nil)
	b.d.gate.places, b.d.gate.busy = places, func() bool { return true }
	for i := range endpoints {
		b.webhook(fmt.Sprint(i), server.URL, nil)
	}
	for range each {
		for i := range endpoints {
			b.submit(fmt.Sprint(i), nil)
		}
	}
	b.await(t, endpoints*each)
	require.Empty(t, b.retried)
	require.EqualValues(t, 0, b.d.gate.waiting.Load())
	require.Less(t, opened.Load(), int64(endpoints*4), "of the concurrency of all lanes together")
	require.Eventually(t, func() bool { b.d.gate.mu.Lock(); defer b.d.gate.mu.Unlock(); return len(b.d.gate.held) == 0 }, waitFor, tick)
}

// Endpoints that hang hold as many attempts as they may, and the others are served in spite of it.
func TestDispatcher_EndpointsThatHangTakeNoPlaces(t *testing.T) {
	hung, release := hanging(t)
	b := newBench(t, nil)
	b.d.gate.places, b.d.gate.busy = 2, func() bool { return false }
	for i := range 5 {
		b.webhook(fmt.Sprint("hung", i), hung.URL, nil)
		for range 4 {
			b.submit(fmt.Sprint("hung", i), nil)
		}
	}
	b.webhook("well", answering(t, 200).URL, func(w *catalog.Webhook) { w.Delivery.Concurrency = 1 })
	for range 20 {
		b.submit("well", nil)
	}
	b.await(t, 20)
	release()
	b.await(t, 40)
	require.Empty(t, b.retried)
}

func countNew(opened *atomic.Int64) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
}
