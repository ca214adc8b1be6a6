package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/registry"
)

// A process runs one registry, waits until it is complete, and from then on reads and writes through it.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	kafka, topics, cache, closeAll := services(ctx)
	defer closeAll()

	keys, err := registry.ParseKeyring("2026-11:" + registry.GenerateMasterKey())
	if err != nil {
		panic(err)
	}
	hooks, err := registry.New(registry.Options{
		Kafka: kafka, Topics: topics, Redis: cache, Keys: keys, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	hooks.OnChange(func(c registry.Change) { fmt.Println("changed:", c.Webhook != nil) })
	ended := make(chan error)
	go func() { ended <- hooks.Run(ctx) }()
	if err := hooks.WaitComplete(ctx); err != nil {
		panic(err)
	}

	created, err := hooks.CreateWebhook(ctx, &catalog.Webhook{
		ID: "orders", Tenant: catalog.DefaultTenant, Platform: catalog.PlatformV1, Enabled: true,
		Events: []string{"debt.*"}, URL: "https://example.com/hook", Retry: catalog.RetryStandard,
	})
	fmt.Println("created:", created.Webhook.ID, created.Webhook.Revision, err)

	_, err = hooks.UpdateWebhook(ctx, "default", created.Webhook.UID, 7, func(w *catalog.Webhook) error {
		w.Enabled = false
		return nil
	})
	fmt.Println("revision conflict:", errors.Is(err, registry.ErrRevision))

	fmt.Println("deleted:", hooks.DeleteWebhook(ctx, "default", created.Webhook.UID, 1), hooks.Count())
	stop()
	fmt.Println("ended:", <-ended)
	// Output:
	// changed: true
	// created: orders 1 <nil>
	// revision conflict: true
	// changed: false
	// deleted: <nil> 0
	// ended: <nil>
}

// services are a broker with the relay's topics and a Redis, in this process.
func services(ctx context.Context) (kafka []kgo.Opt, topics relay.Topics, cache redis.UniversalClient, closeAll func()) {
	cluster, err := kfake.NewCluster(kfake.Ports(0), kfake.NumBrokers(1))
	if err != nil {
		panic(err)
	}
	kafka = []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	client, err := kgo.NewClient(kafka...)
	if err != nil {
		panic(err)
	}
	topics = relay.Topics{Prefix: "relay.", Partitions: 1, MaxEventBytes: relay.DefaultMaxEventBytes}
	if _, err := relay.CreateTopics(ctx, kadm.NewClient(client), 1, topics.Specs()); err != nil {
		panic(err)
	}
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	cache = redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	return kafka, topics, cache, func() {
		_ = cache.Close()
		server.Close()
		client.Close()
		cluster.Close()
	}
}
