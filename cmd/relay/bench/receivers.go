package bench

import (
	"context"
	"fmt"
	"time"
)

const (
	slowDelay     = 50 * time.Millisecond
	slowEndpoints = 16
	// slowShare of the deliveries: at 16 endpoints of 64 at once and 50 ms each, 20 480 a second is the most.
	slowShare = 2
)

// slow has receivers that take their time, so that concurrency is what counts.
func slow(ctx context.Context, s *stage) (Outcome, error) {
	webhooks := idleWebhooks(max(s.o.Webhooks-slowEndpoints, 0))
	for i := range slowEndpoints {
		w := newWebhook(tenantOf(0, 1), i, typeOf(i, 1, slowEndpoints), fmt.Sprintf("%s/hook/%d", s.url, i), 0)
		w.Delivery.Concurrency = inlineConcurrency
		webhooks = append(webhooks, w)
	}
	bare, relay, err := s.rounds(ctx, backlog{
		webhooks: webhooks, events: publication{Events: max(s.o.Deliveries/slowShare, 1), Types: slowEndpoints, Tenants: 1},
		width: 1, path: "/hook", workers: slowEndpoints * inlineConcurrency, behave: behaviour{Delay: slowDelay},
	})
	figures := compared(bare, relay)
	figures[0] = figures[0].atLeast(80)
	return Outcome{Rows: []Row{bare, relay}, Figures: append(figures, accounted(relay)...)}, err
}

const (
	// failEvery: every fifth event is refused once. failEndpoints has no divisor in common with it, so that each
	// endpoint gets its share and no breaker has a reason to open.
	failEvery     = 5
	failEndpoints = 21
)

// fail has receivers that refuse a part of the deliveries once.
func fail(ctx context.Context, s *stage) (Outcome, error) {
	webhooks := idleWebhooks(max(s.o.Webhooks-failEndpoints, 0))
	for i := range failEndpoints {
		webhooks = append(webhooks, newWebhook(tenantOf(0, 1), i, typeOf(i, 1, failEndpoints), fmt.Sprintf("%s/hook/%d", s.url, i), 0))
	}
	_, relay, err := s.rounds(ctx, backlog{
		webhooks: webhooks, events: publication{Events: max(s.o.Deliveries/2, failEvery), Types: failEndpoints, Tenants: 1},
		width: 1, behave: behaviour{FailEvery: failEvery}, alone: true,
	})
	refused := each(relay, func(m Measurement) float64 { return share(float64(m.Refused), float64(m.Deliveries)) })
	figures := []Figure{figure("refused once, of all deliveries", unitShare, refused...)}
	return Outcome{Rows: []Row{relay}, Figures: append(figures, accounted(relay)...)}, err
}
