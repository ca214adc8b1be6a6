package main

import (
	"path/filepath"
)

// configFlag is the one setting that all commands share.
type configFlag struct {
	Config configFile `name:"config" short:"c" env:"RELAY_CONFIG" placeholder:"FILE" help:"YAML file with settings; flags and environment variables win over it."`
}

// serveCmd is the configuration of `relay serve`.
type serveCmd struct {
	Roles []string `name:"roles" env:"RELAY_ROLES" yaml:"roles" default:"relay,admin" help:"What this process does: relay (deliver events), admin (serve the API) or both." group:"Operation"`
	From  string   `name:"from" env:"RELAY_FROM" yaml:"from" default:"latest" help:"Where a new group begins in the domain topics, decided once: latest or earliest." group:"Intake"`

	Keys   keyConfig     `embed:""`
	Kafka  kafkaConfig   `embed:""`
	Redis  redisConfig   `embed:""`
	Topic  topicConfig   `embed:""`
	Types  catalogConfig `embed:""`
	Intake intakeConfig  `embed:""`
	Egress egressConfig  `embed:""`
	Listen listenConfig  `embed:""`
	Log    logConfig     `embed:""`
}

// The roles of a process.
const (
	roleRelay = "relay"
	roleAdmin = "admin"
)

// check implements checker.
func (c *serveCmd) check(p *problems) {
	if len(c.Roles) == 0 {
		p.add("roles", "is empty: must name relay, admin or both")
	}
	for _, role := range c.Roles {
		p.oneOf("roles", role, roleRelay, roleAdmin)
	}
	checkFrom(p, c.From)
	c.Keys.check(p)
	c.Kafka.check(p)
	c.Redis.check(p)
	c.Topic.check(p)
	c.Types.check(p)
	c.Intake.check(p, c.Topic.EventMax)
	c.Listen.check(p)
	c.Log.check(p)
}

// devCmd is the configuration of `relay dev`. Keys are made and kept in the data directory.
type devCmd struct {
	DataDir      string `name:"data" env:"RELAY_DATA" yaml:"dev.data" default:".relay" placeholder:"DIR" help:"Directory for everything that is kept." group:"Development"`
	NoDemo       bool   `name:"no-demo" env:"RELAY_NO_DEMO" yaml:"dev.noDemo" help:"Leave out the local receiver, its webhooks and the sample traffic." group:"Development"`
	KafkaAddr    string `name:"kafka-addr" env:"RELAY_KAFKA_ADDR" yaml:"dev.kafkaAddr" default:"127.0.0.1:9092" placeholder:"HOST:PORT" help:"Where the embedded Kafka listens." group:"Development"`
	RedisAddr    string `name:"redis-addr" env:"RELAY_REDIS_ADDR" yaml:"dev.redisAddr" default:"127.0.0.1:6379" placeholder:"HOST:PORT" help:"Where the embedded Redis listens." group:"Development"`
	ReceiverAddr string `name:"receiver-addr" env:"RELAY_RECEIVER_ADDR" yaml:"dev.receiverAddr" default:"127.0.0.1:8082" placeholder:"HOST:PORT" help:"Where the local receiver listens." group:"Development"`
	From         string `name:"from" env:"RELAY_FROM" yaml:"from" default:"earliest" help:"Where a new group begins in the domain topics, decided once: latest or earliest." group:"Intake"`

	Topic  topicConfig   `embed:""`
	Types  catalogConfig `embed:""`
	Intake intakeConfig  `embed:""`
	Egress egressConfig  `embed:""`
	Listen listenConfig  `embed:""`
	Log    logConfig     `embed:""`
}

// check implements checker.
func (c *devCmd) check(p *problems) {
	if filepath.Clean(c.DataDir) == string(filepath.Separator) || c.DataDir == "" {
		p.add("data", "is %q: must be a directory of its own", c.DataDir)
	}
	p.listenAddr("kafka-addr", c.KafkaAddr)
	p.listenAddr("redis-addr", c.RedisAddr)
	p.listenAddr("receiver-addr", c.ReceiverAddr)
	checkFrom(p, c.From)
	c.Topic.check(p)
	c.Types.check(p)
	c.Intake.check(p, c.Topic.EventMax)
	c.Listen.check(p)
	c.Log.check(p)
}

func checkFrom(p *problems, from string) { p.oneOf("from", from, "latest", "earliest") }
