package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// start measures how long a relay takes from its start to its first delivery, and what its webhooks cost in memory.
func start(ctx context.Context, s *stage) (Outcome, error) {
	w := newWebhook(tenantOf(0, 1), 0, typeOf(0, 1, 1), s.url+"/hook", 0)
	if err := s.seed(ctx, nil, append(idleWebhooks(s.o.Webhooks-1), w)); err != nil {
		return Outcome{}, err
	}
	if err := s.publish(ctx, publication{Events: 1, Types: 1, Tenants: 1}); err != nil {
		return Outcome{}, err
	}
	delay, err := s.rebalanceDelay(ctx)
	if err != nil {
		return Outcome{}, err
	}
	var fromKafka, fromRedis, heaps []float64
	for round := 1; round <= s.o.Rounds; round++ {
		if err := s.deleteKeys(ctx); err != nil {
			return Outcome{}, err
		}
		for _, redis := range []bool{false, true} {
			s.say.step("round %d of %d, %s", round, s.o.Rounds, map[bool]string{false: "from Kafka alone", true: "from Redis"}[redis])
			took, heap, err := s.startOnce(ctx, redis)
			if err != nil {
				return Outcome{}, err
			}
			seconds := (took - delay).Seconds()
			if redis {
				fromRedis, heaps = append(fromRedis, seconds), append(heaps, heap)
			} else {
				fromKafka = append(fromKafka, seconds)
			}
		}
	}
	return Outcome{Figures: []Figure{
		figure("from Redis, start to first delivery", unitSecond, fromRedis...).atMost(3),
		figure("from Kafka alone, start to first delivery", unitSecond, fromKafka...).atMost(10),
		figure(fmt.Sprintf("live heap at %d webhooks", s.o.Webhooks), unitMiB, scale(heaps, 1.0/(1<<20))...).atMost(512),
		figure("live heap per webhook, everything else included", unitBytes, scale(heaps, 1/float64(s.o.Webhooks))...).atMost(1024),
	}}, nil
}

func scale(values []float64, by float64) []float64 {
	scaled := make([]float64, len(values))
	for i, v := range values {
		scaled[i] = v * by
	}
	return scaled
}

// firstDelivery is how long a start may take before the benchmark gives up.
const firstDelivery = 2 * time.Minute

// startOnce starts a relay and waits for its first delivery, then until Redis has a copy of the webhooks. It fails when
// the relay did not start from where it should have.
func (s *stage) startOnce(ctx context.Context, redis bool) (took time.Duration, heap float64, err error) {
	if err := s.expect(ctx, expectation{Events: 1, Width: 1}); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	p, err := s.startRelay(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	var got receipt
	if err := p.await(ctx, "the first delivery", firstDelivery, func(ctx context.Context) (bool, error) {
		err := s.receiver.call(ctx, "receipt", nil, &got)
		return got.Distinct > 0, err
	}); err != nil {
		return 0, 0, err
	}
	applied, err := p.metric(ctx, `relay_registry_records_total{result="applied"}`)
	if err != nil {
		return 0, 0, err
	}
	if read := int(applied) >= s.o.Webhooks; read == redis {
		return 0, 0, fmt.Errorf("the relay read %d of %d webhooks from Kafka, and started from Redis: %t", int(applied), s.o.Webhooks, !read)
	}
	if !redis {
		if err := p.await(ctx, "Redis has a copy of the webhooks", firstDelivery, func(ctx context.Context) (bool, error) {
			done, err := p.metric(ctx, `relay_registry_cache_rebuilds_total{result="done"}`)
			return done > 0, err
		}); err != nil {
			return 0, 0, err
		}
	}
	if err := p.call(ctx, "live-heap", nil, &heap); err != nil {
		return 0, 0, err
	}
	return got.First.Sub(began), heap, nil
}

// rebalanceDelay is how long the broker lets the first member of a group wait for others.
func (s *stage) rebalanceDelay(ctx context.Context) (time.Duration, error) {
	configs, err := kadm.NewClient(s.client).DescribeBrokerConfigs(ctx)
	if err != nil {
		return 0, fmt.Errorf("the broker's configuration: %w", err)
	}
	for _, broker := range configs {
		for _, config := range broker.Configs {
			if config.Key == "group.initial.rebalance.delay.ms" && config.Value != nil {
				ms, err := strconv.Atoi(*config.Value)
				return time.Duration(ms) * time.Millisecond, err
			}
		}
	}
	return 0, nil
}
