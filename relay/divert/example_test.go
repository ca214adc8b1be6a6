package divert_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/divert"
)

type registry struct{ webhook *catalog.Webhook }

func (r registry) Suspension(string) (*catalog.Suspension, *catalog.Webhook) { return nil, r.webhook }

type wheel struct{ due chan *relay.Delivery }

func (w wheel) Enqueue(d *relay.Delivery, _ time.Duration, acked func()) {
	w.due <- d
	acked()
}

// A delivery is given up, an operator finds it and sends it again, and it is delivered.
func ExampleStore() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cluster := kfake.MustCluster(kfake.Ports(0), kfake.NumBrokers(1))
	defer cluster.Close()
	mini, _ := miniredis.Run()
	defer mini.Close()
	kafka := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	topics := relay.Topics{Prefix: "relay.", Partitions: 3, MaxEventBytes: relay.DefaultMaxEventBytes}
	client, _ := kgo.NewClient(kafka...)
	defer client.Close()
	_, _ = relay.CreateTopics(ctx, kadm.NewClient(client), 1, topics.Specs())
	cache := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	defer func() { _ = cache.Close() }()

	retries := wheel{due: make(chan *relay.Delivery, 1)}
	store, err := divert.New(divert.Options{
		Kafka: kafka, Topics: topics, Redis: cache, RedisPrefix: "relay:", Log: slog.New(slog.DiscardHandler), Resend: retries,
		Webhooks: registry{webhook: &catalog.Webhook{UID: "wh_1", Tenant: "acme", Enabled: true, Retry: catalog.RetryStandard}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	indexing := make(chan error)
	go func() { indexing <- store.RunIndex(ctx) }()

	event := &catalog.Event{ID: "evt_1", Type: "debt.paid", Tenant: "acme", Raw: []byte(`{}`)}
	given := relay.NewDelivery(event, "wh_1", relay.Coordinates{Topic: "debt", Offset: 7}, 1, nil, time.Now())
	acked := make(chan struct{})
	store.Put(given, divert.Why{Reason: divert.ReasonExhausted, Status: 503}, func() { close(acked) })
	<-acked

	page, err := store.List(ctx, divert.Query{Tenant: "acme"})
	fmt.Println(page.Total, page.Items[0].EventType, page.Items[0].Reason, page.Items[0].State, err)

	entry, err := store.ResendOne(ctx, "acme", "wh_1", page.Items[0].DeliveryID)
	fmt.Println(entry.State, err)

	delivered := make(chan struct{})
	store.Resolve(<-retries.due, func() { close(delivered) })
	<-delivered
	page, err = store.List(ctx, divert.Query{Tenant: "acme"})
	fmt.Println(page.Total, err)

	cancel()
	<-indexing
	_ = store.Close(context.Background())
	// Output:
	// 1 debt.paid exhausted diverted <nil>
	// resending <nil>
	// 0 <nil>
}
