package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// redisWatch looks whether Redis evicts. A cache that loses keys on its own is noticed and rebuilt, again and again,
// so that an operator should know.
type redisWatch struct {
	client   redis.UniversalClient
	log      *slog.Logger
	evicting prometheus.Gauge
	up       prometheus.Gauge
	last     look
}

// look is what a look at Redis found. It is compared with the one before, so that only a change is logged.
type look struct {
	state  eviction
	policy string // maxmemory-policy, where it is known
	denied bool   // it is there, and refuses the user or the password
}

// eviction is what Redis says of its policy.
type eviction string

const (
	evictsNothing   eviction = "none"
	evictsKeys      eviction = "evicts"
	evictionUnknown eviction = "unknown" // it cannot be inspected
	redisDown       eviction = "down"
)

const (
	redisWatchEvery   = time.Minute
	redisWatchTimeout = 2 * time.Second
)

func newRedisWatch(client redis.UniversalClient, log *slog.Logger, reg prometheus.Registerer) *redisWatch {
	w := &redisWatch{client: client, log: log,
		evicting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "relay_redis_evicts", Help: "1 when Redis may evict keys, -1 when it cannot be inspected."}),
		up:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "relay_redis_up", Help: "1 when Redis answers."})}
	reg.MustRegister(w.evicting, w.up)
	return w
}

// run looks at once and every minute until ctx ends. It says something only when the answer has changed.
func (w *redisWatch) run(ctx context.Context) {
	tick := time.NewTicker(redisWatchEvery)
	defer tick.Stop()
	for {
		w.note(w.ask(ctx))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *redisWatch) ask(ctx context.Context) (look, error) {
	ctx, cancel := context.WithTimeout(ctx, redisWatchTimeout)
	defer cancel()
	if err := w.client.Ping(ctx).Err(); err != nil {
		return look{state: redisDown, denied: redis.IsAuthError(err)}, err
	}
	info, err := w.client.Info(ctx, "memory").Result()
	if err != nil {
		return look{state: evictionUnknown}, err
	}
	state, policy := evictionOf(info)
	return look{state: state, policy: policy}, nil
}

// evictionOf reads the answer of INFO memory.
func evictionOf(info string) (eviction, string) {
	policy, limit := "", ""
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "maxmemory_policy":
			policy = value
		case "maxmemory":
			limit = value
		}
	}
	switch {
	case policy == "":
		return evictionUnknown, ""
	case policy == "noeviction" || limit == "0":
		return evictsNothing, policy
	default:
		return evictsKeys, policy
	}
}

func (w *redisWatch) note(now look, err error) {
	w.up.Set(1)
	w.evicting.Set(0)
	switch now.state {
	case redisDown:
		w.up.Set(0)
	case evictsKeys:
		w.evicting.Set(1)
	case evictionUnknown:
		w.evicting.Set(-1)
	}
	if now == w.last {
		return
	}
	before := w.last.state
	w.last = now
	const meanwhile = "deliveries and writes go on meanwhile, listings of diverted events answer 503"
	switch {
	case now.denied:
		w.log.Warn("redis_unavailable", "err", err, "hint", "check --redis-username and --redis-password; "+meanwhile)
	case now.state == redisDown:
		w.log.Warn("redis_unavailable", "err", err, "hint", "check --redis and its TLS settings, unless it is known to be down; "+meanwhile)
	case now.state == evictsKeys:
		w.log.Warn("redis_evicts", "policy", now.policy, "hint", "set maxmemory-policy noeviction: what is evicted is rebuilt from Kafka each time")
	case now.state == evictionUnknown:
		w.log.Warn("redis_not_inspected", "err", err, "hint", "INFO memory is not answered; make sure that maxmemory-policy is noeviction")
	case before == redisDown:
		w.log.Info("redis_available")
	}
}
