package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"eventrelay/catalog"
)

const (
	hangEndpoints = 1000
	// hangTimeout of the webhooks, so that the benchmark does not wait 15 s for each attempt that hangs.
	hangTimeout = 5 * time.Second
	// hangPath is the endpoint that hangs. No other path begins with it.
	hangPath = "/hook/0/"
)

// hang runs the same load with and without an endpoint that never answers. Each round works off a backlog, for the
// throughput, and then receives events at a steady rate, for the latency.
func hang(ctx context.Context, s *stage) (Outcome, error) {
	webhooks := idleWebhooks(max(s.o.Webhooks-hangEndpoints, 0))
	for i := range hangEndpoints {
		w := newWebhook(tenantOf(0, 1), i, typeOf(i, 1, hangEndpoints), fmt.Sprintf("%s/hook/%d/", s.url, i), 0)
		w.Delivery.Timeout = catalog.Duration(hangTimeout)
		webhooks = append(webhooks, w)
	}
	if err := s.seed(ctx, nil, webhooks); err != nil {
		return Outcome{}, err
	}
	var rows [4]Row // backlog without and with, steady without and with
	for i, name := range []string{"backlog, all answer", "backlog, one hangs", "steady, all answer", "steady, one hangs"} {
		rows[i].Name = name
	}
	returned := []float64{}
	both := func(hangs int) func(int) error {
		return func(round int) error {
			backlog, steady, back, err := s.hangRun(ctx, round, hangs == 1)
			rows[hangs].Rounds = append(rows[hangs].Rounds, backlog)
			rows[2+hangs].Rounds = append(rows[2+hangs].Rounds, steady)
			if hangs == 1 {
				returned = append(returned, back.Seconds())
			}
			return err
		}
	}
	if err := s.alternate(both(0), both(1)); err != nil {
		return Outcome{}, err
	}
	figures := []Figure{
		figure("throughput of the others, against a run in which all answer", unitShare,
			pairwise(rows[1], rows[0], func(with, without Measurement) float64 { return share(with.Rate, without.Rate) })...).atLeast(95),
		figure("p99 of the others, against a run in which all answer", unitShare,
			pairwise(rows[3], rows[2], func(with, without Measurement) float64 {
				return share(float64(with.Latency[2]), float64(without.Latency[2]))
			})...).atMost(120),
		figure("until all of it was delivered once the endpoint answered again", unitSecond, returned...),
	}
	all := Row{}
	for _, row := range rows {
		all.Rounds = append(all.Rounds, row.Rounds...)
	}
	return Outcome{Rows: rows[:], Figures: append(figures, accounted(all)...)}, nil
}

// hangRun measures one relay twice. At the end the endpoint answers, and everything that was kept for it must arrive;
// back is how long that took.
func (s *stage) hangRun(ctx context.Context, round int, hangs bool) (backlog, steady Measurement, back time.Duration, err error) {
	if err := s.newTopic(ctx); err != nil {
		return backlog, steady, 0, err
	}
	what, how, events := "all answer", behaviour{}, publication{Events: max(s.o.Deliveries/2, hangEndpoints), Types: hangEndpoints, Tenants: 1}
	missing := noneMissing
	if hangs {
		what, how = "one hangs", behaviour{Hang: hangPath}
		missing = func(events int) int { return (events + hangEndpoints - 1) / hangEndpoints }
	}
	what = fmt.Sprintf("round %d of %d, %s", round, s.o.Rounds, what)
	expected := expectation{Events: events.Events, Width: 1}
	err = errors.Join(s.publish(ctx, events), s.expect(ctx, expected), s.behave(ctx, how))
	if err != nil {
		return backlog, steady, 0, err
	}
	p, err := s.startRelay(ctx)
	if err != nil {
		return backlog, steady, 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if backlog, err = s.watch(ctx, what+", backlog", p.process, expected.deliveries()-missing(events.Events), nil, nil); err != nil {
		return backlog, steady, 0, err
	}
	backlog.Latency = nil
	if err := backlog.waited(ctx, p); err != nil {
		return backlog, steady, 0, err
	}
	if hangs {
		if back, err = s.release(ctx, what+", answers again", p.process, expected, &backlog); err != nil {
			return backlog, steady, back, err
		}
		if err := s.behave(ctx, how); err != nil {
			return backlog, steady, back, err
		}
	}
	if steady, err = s.paced(ctx, what+", steady", p.process, events, missing); err != nil || !hangs {
		return backlog, steady, back, err
	}
	again, err := s.release(ctx, what+", answers again", p.process, expectation{Events: s.steadyEvents(), Width: 1}, &steady)
	return backlog, steady, max(back, again), err
}

// release has the endpoint answer and waits for what was kept for it. m tells of losses as if it had been waited for.
func (s *stage) release(ctx context.Context, what string, p *process, expected expectation, m *Measurement) (time.Duration, error) {
	if err := s.behave(ctx, behaviour{}); err != nil {
		return 0, err
	}
	began := time.Now()
	end, err := s.watch(ctx, what, p, expected.deliveries(), nil, nil)
	m.Lost, m.Duplicates, m.Deliveries = end.Lost, end.Duplicates, end.Deliveries
	return time.Since(began), err
}
