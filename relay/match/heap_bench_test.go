package match

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	"eventrelay/catalog"
)

// BenchmarkIndex_Heap is what 100 000 webhooks with a filter, for which no event comes, take in the index besides
// themselves.
func BenchmarkIndex_Heap(b *testing.B) {
	const n = 100_000
	webhooks := make([]*catalog.Webhook, n)
	for i := range webhooks {
		webhooks[i] = webhook(fmt.Sprint(i), func(w *catalog.Webhook) {
			w.Events, w.Filter = []string{fmt.Sprintf("type%d", i%1000)}, json.RawMessage(`{"data":{"amount":{"$gte":100}}}`)
		})
	}
	for b.Loop() {
		before := heap()
		x := NewIndex()
		for _, w := range webhooks {
			if err := x.Put(w, 1); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/n, "heap-B/webhook")
		runtime.KeepAlive(x)
	}
	runtime.KeepAlive(webhooks)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
