package bench

import (
	"context"
	"errors"
	"fmt"
)

// groupSizes are how many relays work off the same backlog, in one consumer group.
var groupSizes = []int{1, 2, 4}

const (
	groupEndpoints = 16
	// groupIdle webhooks, few, so that starting the others in mid-run costs little of what is measured.
	groupIdle = 1000
)

// crew are the relays of one group. What they use is added up.
type crew []*relayProcess

func (c crew) usage(ctx context.Context) (sum usage, err error) {
	for _, p := range c {
		u, err := p.usage(ctx)
		if err != nil {
			return sum, err
		}
		sum.CPU, sum.RSS, sum.Heap = sum.CPU+u.CPU, sum.RSS+u.RSS, sum.Heap+u.Heap
	}
	return sum, nil
}

// group has more and more relays share a backlog. The first one begins, the others join when a tenth of it is
// delivered, so that partitions with deliveries under way change hands; in the end they leave one after the other. All
// share the cores of this machine: what they deliver together tells what coordination costs, not how it scales.
func group(ctx context.Context, s *stage) (Outcome, error) {
	webhooks := idleWebhooks(min(groupIdle, s.o.Webhooks))
	for i := range groupEndpoints {
		w := newWebhook(tenantOf(0, 1), i, typeOf(i, 1, groupEndpoints), fmt.Sprintf("%s/hook/%d", s.url, i), 0)
		w.Delivery.Concurrency = inlineConcurrency
		webhooks = append(webhooks, w)
	}
	if err := s.seed(ctx, nil, webhooks); err != nil {
		return Outcome{}, err
	}
	if err := s.publish(ctx, publication{Events: s.o.Deliveries, Types: groupEndpoints, Tenants: 1}); err != nil {
		return Outcome{}, err
	}
	if err := s.behave(ctx, behaviour{}); err != nil {
		return Outcome{}, err
	}
	rows := make([]Row, len(groupSizes))
	for round := 1; round <= s.o.Rounds; round++ {
		for i, n := range groupSizes {
			rows[i].Name = fmt.Sprintf("relays: %d", n)
			m, err := s.workOffTogether(ctx, n, round)
			if err != nil {
				return Outcome{}, err
			}
			rows[i].Rounds = append(rows[i].Rounds, m)
		}
	}
	var figures []Figure
	all := rows[0]
	for i, n := range groupSizes[1:] {
		figures = append(figures, figure(fmt.Sprintf("throughput of %d relays against one, on the same cores", n), unitShare,
			pairwise(rows[i+1], rows[0], func(many, one Measurement) float64 { return share(many.Rate, one.Rate) })...))
		all.Rounds = append(all.Rounds[:len(all.Rounds):len(all.Rounds)], rows[i+1].Rounds...)
	}
	return Outcome{Rows: rows, Figures: append(figures, accounted(all)...)}, nil
}

func (s *stage) workOffTogether(ctx context.Context, n, round int) (m Measurement, err error) {
	expected := expectation{Events: s.o.Deliveries, Width: 1}
	if err := s.expect(ctx, expected); err != nil {
		return m, err
	}
	if err := s.emptyRetries(ctx); err != nil {
		return m, err
	}
	relays := make(crew, 0, n)
	defer func() {
		for _, p := range relays {
			err = errors.Join(err, p.stop())
		}
	}()
	name := s.group()
	join := func() error {
		p, err := s.startMember(ctx, name)
		if err == nil {
			relays = append(relays, p)
		}
		return err
	}
	if err := join(); err != nil {
		return m, err
	}
	others := func() error {
		for len(relays) < n {
			if err := join(); err != nil {
				return err
			}
		}
		return nil
	}
	m, err = s.watch(ctx, fmt.Sprintf("round %d of %d, relays: %d", round, s.o.Rounds, n), &relays, expected.deliveries(), nil, others)
	if err != nil {
		return m, err
	}
	m.Latency = nil // it waited before anybody read it
	for _, p := range relays {
		var of Measurement
		if err := of.waited(ctx, p); err != nil {
			return m, err
		}
		m.HandedOff, m.Postponed, m.Failed = m.HandedOff+of.HandedOff, m.Postponed+of.Postponed, m.Failed+of.Failed
	}
	for _, p := range relays {
		if err := p.call(ctx, "stop", nil, nil); err != nil {
			return m, err
		}
	}
	var got receipt // what arrived again while partitions changed hands for the last times counts too
	if err := s.receiver.call(ctx, "receipt", nil, &got); err != nil {
		return m, err
	}
	m.Duplicates = got.Duplicates
	left, err := s.uncommitted(ctx, name)
	if err == nil && left > 0 && m.Lost == 0 {
		err = fmt.Errorf("everything was delivered, and after the stop %d events are not committed", left)
	}
	return m, err
}
