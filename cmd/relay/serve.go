package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/intake"
	"eventrelay/relay/registry"
)

// Breaker times of production: DefaultSettings of the breaker, see there.
var serveBreaker = breaker.Settings{OpenBase: 10 * time.Second, OpenMax: 10 * time.Minute}

// Run relays until ctx ends.
func (c *serveCmd) Run(ctx context.Context, s streams) error {
	log := c.Log.logger(s.Err)
	if err := c.Types.use(); err != nil {
		return err
	}
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
	limitRuntime(int64(c.Intake.Memory))
	topics := c.Topic.Topics()
	if err := awaitTopics(ctx, kafka, topics, keys(c.Topic.DomainTopics), log); err != nil {
		return ignoreStop(ctx, err)
	}
	n := node{
		Kafka: kafka, Redis: redis, Topics: topics, Keys: ring, KeyFile: c.Keys.MasterKeyFile, AdminKey: adminKey, Egress: c.Egress.Egress(),
		Group: c.Intake.Group, Instance: c.Intake.InstanceID, Domains: c.Topic.DomainTopics, From: intake.From(c.From),
		Memory: int64(c.Intake.Memory), Limits: c.Intake.Limits(), Session: c.Intake.SessionTimeout, Drain: c.Intake.DrainTimeout, DivertRetention: c.Intake.DivertRetention, Breaker: serveBreaker,
		Relay: slices.Contains(c.Roles, roleRelay), Admin: slices.Contains(c.Roles, roleAdmin),
		AdminAddr: c.Listen.AdminAddr, Proxies: c.Listen.Proxies, OpsAddr: c.Listen.OpsAddr, Log: log,
	}
	beforeRun(&n)
	return n.run(ctx)
}

// beforeRun changes nothing. Tests that run this command as a process of their own set it, to look into the node from
// inside and to end it at a chosen point.
var beforeRun = func(*node) {}

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
