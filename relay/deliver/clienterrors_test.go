package deliver

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
)

// TestRow54_ClientErrorsForEver: an endpoint that answers 4xx for ever is retried by the webhook's schedule, each delivery
// as often as that says; then they are diverted with the status. It is alive, so its breaker stays closed throughout.
func TestRow54_ClientErrorsForEver(t *testing.T) {
	const deliveries = 20
	for _, status := range []int{400, 401, 403, 404, 413, 422} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			var sent gauge
			send := func(ctx context.Context, r *outbound.Request) outbound.Result {
				sent.begin()
				defer sent.end()
				return answers(ctx, r, status, 10*time.Millisecond)
			}
			virtual(t, send, nil, func(t *testing.T, b *bench, w *wheel) {
				b.webhook("w", "https://receiver.test/", func(w *catalog.Webhook) { w.Retry = catalog.Retry{Name: "three"} })
				for range deliveries {
					b.submit("w", nil)
				}
				for range 20 {
					pass(30 * time.Second)                // three: 5 s, 30 s, 2 m
					if l := b.d.laneOf("w/w"); l != nil { // it goes when nothing is to be sent
						require.Equal(t, breaker.Closed, l.breaker.State().State)
					}
				}
				attempts, _ := sent.take()
				require.Equal(t, 4*deliveries, attempts, "the first and three retries of each")
				b.mu.Lock()
				defer b.mu.Unlock()
				require.Len(t, b.diverted, deliveries)
				for _, why := range b.diverted {
					require.Equal(t, divert.Why{Reason: divert.ReasonExhausted, Status: status, Error: fmt.Sprint("status ", status)}, why)
				}
			})
		})
	}
}
