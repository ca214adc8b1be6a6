package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// publication is events for a load to publish: Events of them, numbered from 0, each of one of Types types of one of
// Tenants tenants, in turns.
type publication struct {
	Kafka   string `json:"kafka"`
	Topic   string `json:"topic"`
	Events  int    `json:"events"`
	Types   int    `json:"types"`
	Tenants int    `json:"tenants"`
	// Rate in events per second; 0 publishes as fast as the broker takes them.
	Rate int `json:"rate"`
}

// tenantOf and typeOf say whose and of what kind event number seq is. Consecutive events differ in both.
func tenantOf(seq, tenants int) string { return fmt.Sprintf("tenant%d", seq%max(tenants, 1)) }

func typeOf(seq, tenants, types int) string {
	return fmt.Sprintf("bench.type%d", seq/max(tenants, 1)%max(types, 1))
}

// load is the role of the platform that publishes.
type load struct{}

func (load) do(ctx context.Context, name string, raw json.RawMessage) (any, error) {
	if name != "publish" {
		return nil, errUnknownRequest
	}
	p, err := with[publication](raw)
	if err != nil {
		return nil, err
	}
	return nil, p.publish(ctx)
}

func (load) close() error { return nil }

// publish returns when the broker has acknowledged everything.
func (p publication) publish(ctx context.Context) error {
	opts := []kgo.Opt{kgo.SeedBrokers(strings.Split(p.Kafka, ",")...), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(20_000),
		// Decompressing would cost both sides the same, and the made-up events compress too well.
		kgo.ProducerBatchCompression(kgo.NoCompression())}
	if p.Rate > 0 {
		// Spread over the partitions one by one: events that come singly would otherwise stay with one partition.
		opts = append(opts, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	// The connection is made before the first event, whose latency counts.
	if err := client.Ping(ctx); err != nil {
		return fmt.Errorf("reach Kafka at %s: %w", p.Kafka, err)
	}
	var failed atomic.Pointer[error]
	acked := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	began := time.Now()
	for seq := range p.Events {
		if p.Rate > 0 && !until(ctx, began.Add(time.Duration(seq)*time.Second/time.Duration(p.Rate))) {
			return context.Cause(ctx)
		}
		client.Produce(ctx, eventRecord(p.Topic, tenantOf(seq, p.Tenants), typeOf(seq, p.Tenants, p.Types), seq, time.Now()), acked)
		if err := failed.Load(); err != nil {
			return fmt.Errorf("publish: %w", *err)
		}
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("publish: %w", *err)
	}
	return nil
}

// until waits for a moment. It returns false when ctx ended before it.
func until(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return !errors.Is(ctx.Err(), context.Canceled)
	}
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}
