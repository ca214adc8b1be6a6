package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"eventrelay/cmd/relay/demo"
	"eventrelay/cmd/relay/embedded"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/intake"
	"eventrelay/relay/registry"
)

// devBreaker opens for at most 15 s, so that a developer who repaired a receiver does not wait for it.
var devBreaker = breaker.Settings{OpenBase: 10 * time.Second, OpenMax: 15 * time.Second}

// devDelay is the smallest delay of the retry wheel in development, so that a retry happens while somebody watches.
const devDelay = time.Second

// Run starts Kafka, Redis, the relay and the demo in this process, and stops them in the opposite order.
func (c *devCmd) Run(ctx context.Context, s streams) (err error) {
	if err := c.Types.use(); err != nil {
		return err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	log, closeLog, err := c.logger(s.Err)
	if err != nil {
		return err
	}
	defer closeLog()

	topics := c.Topic.Topics()
	if topics.Delays[0] > devDelay {
		topics.Delays = slices.Insert(slices.Clone(topics.Delays), 0, devDelay)
	}
	topics.Partitions, topics.Replication = devPartitions, 1
	broker, err := embedded.StartKafka(ctx, embedded.KafkaOptions{DataDir: c.DataDir, Addr: c.KafkaAddr, Log: log,
		Topics: append(topics.Specs(), embedded.DomainTopics(keys(c.Topic.DomainTopics), topics.MaxEventBytes)...)})
	if err != nil {
		return err
	}
	defer broker.Close()
	cache, err := embedded.StartRedis(ctx, c.RedisAddr)
	if err != nil {
		return err
	}
	defer cache.Close()
	secrets, err := embedded.LoadKeys(c.DataDir)
	if err != nil {
		return err
	}
	ring, err := registry.ParseKeyring(secrets.Master.Reveal())
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(c.DataDir, embedded.MasterKeyFile), err)
	}
	redisClient := redis.NewClient(&redis.Options{Addr: cache.Addr(), ContextTimeoutEnabled: true, DialerRetries: 1})
	defer func() { _ = redisClient.Close() }()

	egress := c.Egress.Egress()
	egress.AllowHTTP = true
	egress.AllowNetworks = append(egress.AllowNetworks, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	printer := demo.NewPrinter(s.Out)
	watch := newWatcher(printer)
	kafka := []kgo.Opt{kgo.SeedBrokers(broker.Addr())}
	ready := make(chan string, 1)
	relay := node{
		Kafka: kafka, Redis: redisClient, Topics: topics, Keys: ring, AdminKey: secrets.Admin, Egress: egress,
		Group: c.Intake.Group, Instance: "dev", Domains: c.Topic.DomainTopics, From: intake.From(c.From),
		Memory: int64(c.Intake.Memory), Limits: c.Intake.Limits(), Session: c.Intake.SessionTimeout, Drain: c.Intake.DrainTimeout, DivertRetention: c.Intake.DivertRetention, Breaker: devBreaker, Relay: true, Admin: true,
		AdminAddr: c.Listen.AdminAddr, OpsAddr: c.Listen.OpsAddr, Log: log,
		OnReport: watch.report, OnBreaker: watch.breaker, OnReady: func(addr string) { ready <- addr },
	}

	var receiver *demo.Receiver
	if !c.NoDemo {
		if receiver, err = demo.StartReceiver(ctx, c.ReceiverAddr, log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, receiver.Close()) }()
	}
	all, allCtx := errgroup.WithContext(ctx)
	all.Go(func() error { return relay.run(allCtx) })
	all.Go(func() error {
		select {
		case addr := <-ready:
			return c.present(allCtx, s.Out, printer, receiver, presentation{
				admin: "http://" + addr, ops: "http://" + c.Listen.OpsAddr, kafka: broker.Addr(), redis: cache.Addr(), keys: secrets, log: log, opts: kafka})
		case <-allCtx.Done():
			return nil
		}
	})
	err = all.Wait()
	if ctx.Err() != nil {
		printer.Say("Stopped. Everything is kept in " + c.DataDir + "; the next start goes on from here.")
	}
	return err
}

// devPartitions of the relay's own topics.
const devPartitions = 4

// presentation is what `relay dev` tells once the relay is up.
type presentation struct {
	admin, ops, kafka, redis string
	keys                     embedded.Keys
	log                      *slog.Logger
	opts                     []kgo.Opt
}

// present writes the client file and the banner, then plays the demo until ctx ends.
func (c *devCmd) present(ctx context.Context, out io.Writer, printer *demo.Printer, receiver *demo.Receiver, p presentation) error {
	if err := embedded.WriteClient(c.DataDir, p.admin, p.keys.Admin); err != nil {
		return err
	}
	banner := demo.BannerOptions{AdminURL: p.admin, OpsURL: p.ops, Kafka: p.kafka, Redis: p.redis, DataDir: c.DataDir, KeyFile: embedded.AdminKeyFile, Program: program(os.Args[0])}
	if receiver != nil {
		banner.Receiver = receiver.URL()
	}
	if err := demo.Banner(out, banner); err != nil {
		return fmt.Errorf("banner: %w", err)
	}
	if receiver == nil {
		return nil
	}
	publisher, err := kgo.NewClient(p.opts...)
	if err != nil {
		return fmt.Errorf("demo: publisher: %w", err)
	}
	defer publisher.Close()
	api := demo.NewAPI(p.admin, p.keys.Admin)
	defer api.Close()
	script := demo.NewScript(demo.ScriptOptions{API: api, Receiver: receiver, Printer: printer, DataDir: c.DataDir, Log: p.log, Wanted: 1})
	if err := script.Register(ctx); err != nil {
		return ignoreStop(ctx, err)
	}
	var play errgroup.Group
	play.Go(func() error { script.Run(ctx); return nil })
	play.Go(func() error {
		demo.NewTraffic(demo.TrafficOptions{Client: publisher, Topics: invert(c.Topic.DomainTopics), Log: p.log}).Run(ctx)
		return nil
	})
	return play.Wait()
}

// program is how to call this binary again: `go run` leaves it in a directory of its build cache.
func program(arg0 string) string {
	if strings.Contains(filepath.ToSlash(arg0), "/go-build") {
		return "go run ./cmd/relay"
	}
	return arg0
}

func invert(topics map[string]string) map[string]string {
	byDomain := make(map[string]string, len(topics))
	for _, topic := range keys(topics) {
		byDomain[topics[topic]] = topic
	}
	return byDomain
}

// logger writes everything to relay.log in the data directory and only warnings to the terminal, which belongs to
// the deliveries.
func (c *devCmd) logger(terminal io.Writer) (*slog.Logger, func(), error) {
	path := filepath.Join(c.DataDir, "relay.log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the operator's own directory
	if err != nil {
		return nil, nil, fmt.Errorf("log file: %w", err)
	}
	log := slog.New(slog.NewMultiHandler(c.Log.logger(file).Handler(),
		slog.NewTextHandler(terminal, &slog.HandlerOptions{Level: slog.LevelError})))
	return log, func() { _ = file.Close() }, nil
}
