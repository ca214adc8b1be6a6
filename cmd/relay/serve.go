package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/intake"
	"eventrelay/relay/registry"
)

// Breaker times of production: DefaultSettings of the breaker, see there.
var serveBreaker = breaker.Settings{OpenBase: 10 * time.Second, OpenMax: 10 * time.Minute}

// Run relays until ctx ends.
func (c *serveCmd) Run(ctx context.Context, s streams) error {
	log := c.Log.logger(s.Err)
	kafka, err := c.Kafka.Opts()
	if err != nil {
		return err
	}
	redis, err := c.Redis.Client()
	if err != nil {
		return err
	}
	defer func() { _ = redis.Close() }()
	adminKey, err := c.Keys.Admin()
	if err != nil {
		return err
	}
	masterKey, err := c.Keys.Master()
	if err != nil {
		return err
	}
	ring, err := registry.ParseKeyring(masterKey.Reveal())
	if err != nil {
		return fmt.Errorf("master key: %w", err)
	}
	topics := c.Topic.Topics()
	if err := awaitTopics(ctx, kafka, topics, keys(c.Topic.DomainTopics), log); err != nil {
		return ignoreStop(ctx, err)
	}
	return node{
		Kafka: kafka, Redis: redis, Topics: topics, Keys: ring, AdminKey: adminKey, Egress: c.Egress.Egress(),
		Group: c.Intake.Group, Instance: c.Intake.InstanceID, Domains: c.Topic.DomainTopics, From: intake.From(c.From),
		Limits: c.Intake.Limits(), Drain: c.Intake.DrainTimeout, Breaker: serveBreaker,
		Relay: slices.Contains(c.Roles, roleRelay), Admin: slices.Contains(c.Roles, roleAdmin),
		AdminAddr: c.Listen.AdminAddr, OpsAddr: c.Listen.OpsAddr, Log: log,
	}.run(ctx)
}

// awaitTopics waits until Kafka answers, then checks that every topic is there.
func awaitTopics(ctx context.Context, kafka []kgo.Opt, topics relay.Topics, domains []string, log *slog.Logger) error {
	client, err := kgo.NewClient(kafka...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for backoff := time.Second; ; backoff = min(2*backoff, 15*time.Second) {
		askCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
		existing, err := admin.ListTopics(askCtx)
		cancel()
		if err == nil {
			return missingTopics(existing, topics, domains)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		log.Warn("kafka_unavailable", "err", err, "retry_in", backoff.String(), "hint", "check --kafka, its TLS and SASL settings")
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func missingTopics(existing kadm.TopicDetails, topics relay.Topics, domains []string) error {
	var missing []string
	for _, spec := range topics.Specs() {
		if !existing.Has(spec.Name) {
			missing = append(missing, spec.Name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("topics %v are missing: create them with `relay topics apply`", missing)
	}
	for _, name := range domains {
		if !existing.Has(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("domain topics %v are missing: create them, let `relay topics apply --domains` do it, or name others with --domain-topics", missing)
	}
	return nil
}

// topicsCmd is `relay topics`.
type topicsCmd struct {
	Apply topicsApplyCmd `cmd:"" help:"Create the relay's topics that are missing."`
}

// topicsApplyCmd is the configuration of `relay topics apply`.
type topicsApplyCmd struct {
	Domains bool `help:"Create missing domain topics too."`

	Kafka kafkaConfig `embed:""`
	Topic topicConfig `embed:""`
}

// check implements checker.
func (c *topicsApplyCmd) check(p *problems) {
	c.Kafka.check(p)
	c.Topic.check(p)
}

// Run creates what is missing and says so.
func (c *topicsApplyCmd) Run(ctx context.Context, out io.Writer) error {
	kafka, err := c.Kafka.Opts()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kafka...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	topics := c.Topic.Topics()
	specs := topics.Specs()
	if c.Domains {
		for _, name := range keys(c.Topic.DomainTopics) {
			specs = append(specs, relay.TopicSpec{Name: name, Partitions: c.Topic.Partitions})
		}
	}
	created, err := relay.CreateTopics(ctx, kadm.NewClient(client), topics.Replication, specs)
	for _, name := range created {
		fmt.Fprintf(out, "created %s\n", name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d topics are in place, %d of them new\n", len(specs), len(created))
	return nil
}

// logger writes to w in the configured format, from the configured level on.
func (c logConfig) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // checked by the configuration
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
