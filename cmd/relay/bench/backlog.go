package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"

	"eventrelay/catalog"
)

// backlog is a pile of events that is worked off as fast as it goes: the webhooks that want them, and what the bare
// loop does instead.
type backlog struct {
	integrations []*catalog.Integration
	webhooks     []*catalog.Webhook
	events       publication
	// width is how many webhooks want an event; path is where the bare loop posts to, "%d" in it is the slot.
	width   int
	path    string
	workers int
	// behave is how the receiver answers.
	behave behaviour
	// alone: there is nothing to compare with.
	alone bool
}

// rounds registers the webhooks, publishes the events once, and has the bare loop and the relay work them off in turns.
func (s *stage) rounds(ctx context.Context, b backlog) (bare, relay Row, err error) {
	bare.Name, relay.Name = "bare loop", "relay"
	if err := s.seed(ctx, b.integrations, b.webhooks); err != nil {
		return bare, relay, err
	}
	s.say.step("publishing %d events", b.events.Events)
	if err := s.publish(ctx, b.events); err != nil {
		return bare, relay, err
	}
	if err := s.behave(ctx, b.behave); err != nil {
		return bare, relay, err
	}
	expected := expectation{Events: b.events.Events, Width: b.width}
	loop := func(round int) error {
		if b.alone {
			return nil
		}
		m, err := s.workOffBare(ctx, b, expected, round)
		bare.Rounds = append(bare.Rounds, m)
		return err
	}
	ours := func(round int) error {
		m, err := s.workOff(ctx, expected, round)
		relay.Rounds = append(relay.Rounds, m)
		return err
	}
	return bare, relay, s.alternate(loop, ours)
}

// alternate runs both in each round, and in turns first, so that whatever drifts on the machine hits both.
func (s *stage) alternate(a, b func(round int) error) error {
	for round := 1; round <= s.o.Rounds; round++ {
		if err := a(round); err != nil {
			return err
		}
		if err := b(round); err != nil {
			return err
		}
		a, b = b, a
	}
	return nil
}

func (s *stage) workOffBare(ctx context.Context, b backlog, expected expectation, round int) (m Measurement, err error) {
	if err := s.expect(ctx, expected); err != nil {
		return m, err
	}
	p, err := s.startBare(ctx, b.path, b.width, b.workers)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	return s.profiled(ctx, p, round, expected)
}

func (s *stage) workOff(ctx context.Context, expected expectation, round int) (m Measurement, err error) {
	if err := s.expect(ctx, expected); err != nil {
		return m, err
	}
	p, err := s.startRelay(ctx)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	m, err = s.profiled(ctx, p.process, round, expected)
	if err != nil {
		return m, err
	}
	if err := m.waited(ctx, p); err != nil {
		return m, err
	}
	if err := p.call(ctx, "stop", nil, nil); err != nil {
		return m, err
	}
	left, err := s.uncommitted(ctx, p.group)
	if err == nil && left > 0 && m.Lost == 0 {
		err = fmt.Errorf("everything was delivered, and after the stop %d events are not committed", left)
	}
	return m, err
}

// profiled watches a run and takes profiles of its measured part, if they are wanted.
func (s *stage) profiled(ctx context.Context, p *process, round int, expected expectation) (Measurement, error) {
	end := func() error { return nil }
	begun := func() (err error) {
		end, err = p.profile(ctx, s.o.Profile, fmt.Sprintf("%s-%s-%d", s.say.scenario, p.role, round))
		return err
	}
	m, err := s.watch(ctx, fmt.Sprintf("round %d of %d, %s", round, s.o.Rounds, p.role), p, expected.deliveries(), nil, begun)
	m.Latency = nil // it waited before anybody read it
	if err != nil {
		return m, err
	}
	return m, end()
}

// uncommitted counts the events that the group would read again.
func (s *stage) uncommitted(ctx context.Context, group string) (int64, error) {
	admin := kadm.NewClient(s.client)
	committed, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return 0, fmt.Errorf("committed offsets of %s: %w", group, err)
	}
	ends, err := admin.ListEndOffsets(ctx, s.topic)
	if err != nil {
		return 0, fmt.Errorf("end offsets of %s: %w", s.topic, err)
	}
	var left int64
	ends.Each(func(end kadm.ListedOffset) {
		at, _ := committed.Lookup(end.Topic, end.Partition)
		left += end.Offset - max(at.At, 0)
	})
	return left, nil
}

// inlineConcurrency is the concurrency of the busy webhooks, and the number of workers of the bare loop.
const inlineConcurrency = 64

func drain(ctx context.Context, s *stage) (Outcome, error) {
	w := newWebhook(tenantOf(0, 1), 0, typeOf(0, 1, 1), s.url+"/hook", 0)
	w.Delivery.Concurrency = inlineConcurrency
	bare, relay, err := s.rounds(ctx, backlog{
		webhooks: append(idleWebhooks(s.o.Webhooks-1), w), events: publication{Events: s.o.Deliveries, Types: 1, Tenants: 1},
		width: 1, path: "/hook", workers: inlineConcurrency,
	})
	figures := compared(bare, relay)
	figures[0] = figures[0].atLeast(80)
	figures[1] = figures[1].atMost(3)
	figures = append(figures, figure(fmt.Sprintf("heap at %d webhooks", s.o.Webhooks), unitMiB,
		each(relay, func(m Measurement) float64 { return mebibytes(m.Heap) })...).atMost(512))
	return Outcome{Rows: []Row{bare, relay}, Figures: append(figures, accounted(relay)...)}, err
}

// fanoutWidth is how many webhooks want the same event.
const fanoutWidth = 1000

func fanout(ctx context.Context, s *stage) (Outcome, error) {
	webhooks := idleWebhooks(max(s.o.Webhooks-fanoutWidth, 0))
	for slot := range fanoutWidth {
		webhooks = append(webhooks, newWebhook(tenantOf(0, 1), slot, typeOf(0, 1, 1), fmt.Sprintf("%s/hook/%d", s.url, slot), slot))
	}
	bare, relay, err := s.rounds(ctx, backlog{
		webhooks: webhooks, events: publication{Events: max(s.o.Deliveries/fanoutWidth, 1), Types: 1, Tenants: 1},
		width: fanoutWidth, path: "/hook/%d", workers: inlineConcurrency,
	})
	figures := compared(bare, relay)
	figures[0] = figures[0].atLeast(80)
	return Outcome{Rows: []Row{bare, relay}, Figures: append(figures, accounted(relay)...)}, err
}

const (
	manyTenants   = 10
	manyEndpoints = 1000
	// manyWidth is how many webhooks of a tenant want the same event.
	manyWidth = 10
)

func many(ctx context.Context, s *stage) (Outcome, error) {
	perTenant := max(s.o.Webhooks/manyTenants, manyWidth)
	types := perTenant / manyWidth
	b := backlog{events: publication{Events: max(s.o.Deliveries/manyWidth, 1), Types: types, Tenants: manyTenants},
		width: manyWidth, path: "/hook/%d", workers: inlineConcurrency}
	for i := range manyEndpoints {
		in := catalog.NewIntegration()
		in.Name, in.UID, in.Tenant = fmt.Sprintf("endpoint%d", i/manyTenants), fmt.Sprintf("in_%026d", i), tenantOf(i, manyTenants)
		in.URL = fmt.Sprintf("%s/endpoint/%d", s.url, i)
		in.Signing.Secrets = []catalog.SigningSecret{{Value: signingSecret, Encoding: catalog.SecretWhsec}}
		in.Normalize()
		b.integrations = append(b.integrations, in)
	}
	for i := range perTenant * manyTenants {
		tenant, n := tenantOf(i, manyTenants), i/manyTenants
		w := newWebhook(tenant, i, fmt.Sprintf("bench.type%d", n%types), "", n/types)
		w.URL, w.Integration = "", fmt.Sprintf("endpoint%d", n%(manyEndpoints/manyTenants))
		w.Signing, w.Delivery.Concurrency = catalog.Signing{}, 0
		b.webhooks = append(b.webhooks, w)
	}
	bare, relay, err := s.rounds(ctx, b)
	figures := compared(bare, relay)
	figures[0] = figures[0].atLeast(80)
	figures = append(figures, figure(fmt.Sprintf("heap at %d busy webhooks", len(b.webhooks)), unitMiB,
		each(relay, func(m Measurement) float64 { return mebibytes(m.Heap) })...).atMost(512))
	return Outcome{Rows: []Row{bare, relay}, Figures: append(figures, accounted(relay)...)}, err
}
