package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
)

// services is the role of the broker and the cache, both in memory: nothing of a benchmark is kept.
type services struct {
	kafka *kfake.Cluster
	redis *miniredis.Miniredis
}

// addresses of the services.
type addresses struct {
	Kafka string `json:"kafka"`
	Redis string `json:"redis"`
}

func startServices() (*services, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{
		"group.initial.rebalance.delay.ms": "0",
		"group.min.session.timeout.ms":     "1000",
	}))
	if err != nil {
		return nil, fmt.Errorf("embedded Kafka: %w", err)
	}
	cache := miniredis.NewMiniRedis()
	if err := cache.StartAddr("127.0.0.1:0"); err != nil {
		cluster.Close()
		return nil, fmt.Errorf("embedded Redis: %w", err)
	}
	return &services{kafka: cluster, redis: cache}, nil
}

func (s *services) do(_ context.Context, name string, _ json.RawMessage) (any, error) {
	if name != "addresses" {
		return nil, errUnknownRequest
	}
	listening := s.kafka.ListenAddrs()
	if len(listening) == 0 {
		return nil, errors.New("the embedded Kafka does not listen")
	}
	return addresses{Kafka: listening[0], Redis: s.redis.Addr()}, nil
}

func (s *services) close() error {
	s.redis.Close()
	s.kafka.Close()
	return nil
}
