package bench

import (
	"sync/atomic"
	"time"
)

// expectation is what a receiver is to get: each of Events events once for each of Width webhooks.
type expectation struct {
	Events int `json:"events"`
	Width  int `json:"width"`
}

func (e expectation) deliveries() int { return e.Events * e.Width }

// tally is what a receiver got: a bit for each expected delivery. All methods may be called concurrently.
type tally struct {
	expected expectation
	arrived  []atomic.Uint64 // bit event*width+slot: answered with success

	distinct, duplicates, refused, strays atomic.Int64
	first, last                           atomic.Int64 // Unix ns of the first request and of the latest distinct delivery
	latency                               histogram    // from publishing to the first request of a delivery
}

func newTally(e expectation) *tally {
	return &tally{expected: e, arrived: make([]atomic.Uint64, e.deliveries()/64+1)}
}

// saw notes that a request is there.
func (t *tally) saw(now time.Time) {
	if t.first.Load() == 0 {
		t.first.CompareAndSwap(0, now.UnixNano())
	}
}

// accept notes a delivery that is answered with success.
func (t *tally) accept(seq, slot int, published int64, now time.Time) {
	if seq >= t.expected.Events || slot >= t.expected.Width {
		t.strays.Add(1)
		return
	}
	bit := seq*t.expected.Width + slot
	mask := uint64(1) << (bit % 64)
	if t.arrived[bit/64].Or(mask)&mask != 0 {
		t.duplicates.Add(1)
		return
	}
	t.latency.add(time.Duration(now.UnixNano() - published))
	t.last.Store(now.UnixNano())
	t.distinct.Add(1)
}

// receipt is a tally at one moment.
type receipt struct {
	Distinct   int `json:"distinct"`   // deliveries that arrived
	Duplicates int `json:"duplicates"` // that arrived again
	Refused    int `json:"refused"`    // answered with a failure, on purpose
	Strays     int `json:"strays"`     // that nobody expected
	// First is the time of the first request, Last that of the latest new delivery.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	At    time.Time `json:"at"`
	// Open connections now, and those made so far.
	Open     int `json:"open"`
	Accepted int `json:"accepted"`
	// Latency at each of latencyShares.
	Latency []time.Duration `json:"latency"`
}

// latencyShares are the quantiles that a receipt tells.
var latencyShares = []float64{0.5, 0.9, 0.99, 0.999}

func (t *tally) receipt() receipt {
	return receipt{
		Distinct: int(t.distinct.Load()), Duplicates: int(t.duplicates.Load()), Refused: int(t.refused.Load()), Strays: int(t.strays.Load()),
		First: time.Unix(0, t.first.Load()), Last: time.Unix(0, t.last.Load()), At: time.Now(),
		Latency: t.latency.quantiles(latencyShares...),
	}
}
