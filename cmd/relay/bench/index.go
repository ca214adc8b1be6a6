package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/match"
)

// indexed is what an index of so many webhooks costs.
type indexed struct {
	// Match is the time to find the one webhook that wants an event, Bytes what one webhook takes in the index, itself
	// included.
	Match time.Duration `json:"match"`
	Bytes float64       `json:"bytes"`
}

// indexer is the role that builds an index: in a process of its own, so that its heap is the index and nothing else.
type indexer struct{}

func (indexer) do(_ context.Context, name string, raw json.RawMessage) (any, error) {
	if name != "measure" {
		return nil, errUnknownRequest
	}
	n, err := with[int](raw)
	if err != nil {
		return nil, err
	}
	return measureIndex(n)
}

func (indexer) close() error { return nil }

// matchFor is how long matching is repeated.
const matchFor = time.Second

func measureIndex(n int) (indexed, error) {
	before := liveHeap()
	x := match.NewIndex()
	for i := range n {
		w := newWebhook("tenant0", i, fmt.Sprintf("index.type%d", i), fmt.Sprintf("http://127.0.0.1:9/hook/%d", i), 0)
		w.Filter, w.Headers = nil, nil
		if err := x.Put(w, int64(i)); err != nil {
			return indexed{}, err
		}
	}
	result := indexed{Bytes: float64(liveHeap()-before) / float64(n)}
	ev := &catalog.Event{Tenant: "tenant0", Type: fmt.Sprintf("index.type%d", n/2), Domain: "debt"}
	began, matches := time.Now(), 0
	for time.Since(began) < matchFor {
		for range 1000 {
			candidates := x.Match(ev)
			if sub, err := candidates.Next(); err != nil || sub == nil {
				return indexed{}, fmt.Errorf("no webhook of %d wants the event: %w", n, err)
			}
			matches++
		}
	}
	result.Match = time.Since(began) / time.Duration(matches)
	runtime.KeepAlive(x)
	return result, nil
}

func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// matchSizes are the numbers of webhooks among which one is found.
var matchSizes = []int{1_000, 10_000, 100_000, 1_000_000}

func matching(ctx context.Context, s *stage) (Outcome, error) {
	var o Outcome
	var first, last float64
	for _, n := range matchSizes {
		var times, bytes []float64
		for round := 1; round <= s.o.Rounds; round++ {
			s.say.step("round %d of %d, %d webhooks", round, s.o.Rounds, n)
			p, err := s.o.start(s.dir, roleIndex)
			if err != nil {
				return o, err
			}
			var got indexed
			if err := p.call(ctx, "measure", n, &got); err != nil {
				return o, err
			}
			if err := p.stop(); err != nil {
				return o, err
			}
			times, bytes = append(times, float64(got.Match)), append(bytes, got.Bytes)
		}
		found := figure(fmt.Sprintf("an event that 1 of %d webhooks wants", n), unitNanos, times...).atMost(1000)
		o.Figures = append(o.Figures, found, figure("heap per webhook, itself and its place in the index", unitBytes, bytes...))
		if n == matchSizes[0] {
			first = found.Value
		}
		last = found.Value
	}
	o.Figures = append(o.Figures, figure(fmt.Sprintf("time among %d against %d", matchSizes[len(matchSizes)-1], matchSizes[0]), unitShare, share(last, first)))
	return o, nil
}
