package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// steadyRate in events per second: far below what the machine can do, so that latency is not a queue's.
	steadyRate = 2000
	// warmUp is how long events are published before the measured ones: connections are made, code is warm.
	warmUp = 2 * time.Second
)

func steady(ctx context.Context, s *stage) (Outcome, error) {
	w := newWebhook(tenantOf(0, 1), 0, typeOf(0, 1, 1), s.url+"/hook", 0)
	w.Delivery.Concurrency = inlineConcurrency
	bare, relay := Row{Name: "bare loop"}, Row{Name: "relay"}
	if err := s.seed(ctx, nil, append(idleWebhooks(s.o.Webhooks-1), w)); err != nil {
		return Outcome{}, err
	}
	loop := func(round int) error {
		m, err := s.pacedRun(ctx, round, "bare loop", func() (*process, error) { return s.startBare(ctx, "/hook", 1, inlineConcurrency) })
		bare.Rounds = append(bare.Rounds, m)
		return err
	}
	ours := func(round int) error {
		m, err := s.pacedRun(ctx, round, "relay", func() (*process, error) {
			p, err := s.startRelay(ctx)
			if err != nil {
				return nil, err
			}
			return p.process, nil
		})
		relay.Rounds = append(relay.Rounds, m)
		return err
	}
	if err := s.alternate(loop, ours); err != nil {
		return Outcome{}, err
	}
	at := func(row Row, share int) []float64 {
		return each(row, func(m Measurement) float64 { return millis(m.Latency[share]) })
	}
	figures := []Figure{
		figure("p50", unitMillis, at(relay, 0)...).atMost(1),
		figure("p99", unitMillis, at(relay, 2)...).atMost(5),
		figure("p50 of the bare loop", unitMillis, at(bare, 0)...),
		figure("p99 of the bare loop", unitMillis, at(bare, 2)...),
		compared(bare, relay)[1],
	}
	return Outcome{Rows: []Row{bare, relay}, Figures: append(figures, accounted(relay)...)}, nil
}

// pacedRun starts a process on a topic of its own, warms it up, then measures it at steadyRate.
func (s *stage) pacedRun(ctx context.Context, round int, what string, start func() (*process, error)) (m Measurement, err error) {
	if err := s.newTopic(ctx); err != nil {
		return m, err
	}
	p, err := start()
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	what = fmt.Sprintf("round %d of %d, %s", round, s.o.Rounds, what)
	if err := s.warm(ctx, what, p, publication{Types: 1, Tenants: 1}); err != nil {
		return m, err
	}
	end, err := p.profile(ctx, s.o.Profile, fmt.Sprintf("%s-%s-%d", s.say.scenario, p.role, round))
	if err != nil {
		return m, err
	}
	if m, err = s.paced(ctx, what, p, publication{Types: 1, Tenants: 1}, noneMissing); err != nil {
		return m, err
	}
	return m, end()
}

// warm publishes for a moment and waits until everything has arrived.
func (s *stage) warm(ctx context.Context, what string, p *process, events publication) error {
	events.Rate = steadyRate
	events.Events = int(warmUp.Seconds() * steadyRate)
	expected := expectation{Events: events.Events, Width: 1}
	if err := s.expect(ctx, expected); err != nil {
		return err
	}
	if err := s.publish(ctx, events); err != nil {
		return err
	}
	m, err := s.watch(ctx, what+", warming up", p, expected.deliveries(), nil, nil)
	if err == nil && m.Lost > 0 {
		err = fmt.Errorf("%s, warming up: %d of %d deliveries did not arrive", what, m.Lost, expected.deliveries())
	}
	return err
}

// steadyEvents is how many events a measured part has.
func (s *stage) steadyEvents() int { return int(s.o.Duration.Seconds() * steadyRate) }

// paced publishes at steadyRate and measures the deliveries, but for those that are missing of so many events.
func (s *stage) paced(ctx context.Context, what string, p *process, events publication, missing func(events int) int) (Measurement, error) {
	events.Rate, events.Events = steadyRate, s.steadyEvents()
	expected := expectation{Events: events.Events, Width: 1}
	if err := s.expect(ctx, expected); err != nil {
		return Measurement{}, err
	}
	from, err := s.look(ctx, p)
	if err != nil {
		return Measurement{}, err
	}
	published := make(chan error, 1)
	go func() { published <- s.publish(ctx, events) }()
	m, err := s.watch(ctx, what, p, expected.deliveries()-missing(events.Events), &from, nil)
	return m, errors.Join(err, <-published)
}

// noneMissing is for a load of which everything arrives.
func noneMissing(int) int { return 0 }
