package main

import (
	"github.com/redis/go-redis/v9"

	"eventrelay/catalog"
)

// redisConfig says how the cache is reached: one address is a single server, several are a cluster, and with a
// sentinel's master name the addresses are the sentinels'.
type redisConfig struct {
	Addrs          []string       `name:"redis" env:"RELAY_REDIS" yaml:"redis.addresses" default:"127.0.0.1:6379" placeholder:"HOST:PORT" help:"Redis server, or the nodes of a cluster, or sentinels (${default})." group:"Redis"`
	SentinelMaster string         `name:"redis-sentinel-master" env:"RELAY_REDIS_SENTINEL_MASTER" yaml:"redis.sentinelMaster" placeholder:"NAME" help:"Name of the master that the sentinels watch." group:"Redis"`
	Username       string         `name:"redis-username" env:"RELAY_REDIS_USERNAME" yaml:"redis.username" help:"Redis user." group:"Redis"`
	Password       catalog.Secret `name:"redis-password" env:"RELAY_REDIS_PASSWORD" yaml:"redis.password" placeholder:"PASSWORD" help:"Redis password. Prefer the environment variable." group:"Redis"`
	DB             int            `name:"redis-db" env:"RELAY_REDIS_DB" yaml:"redis.db" default:"0" help:"Redis database; a cluster has only 0." group:"Redis"`
	TLS            bool           `name:"redis-tls" env:"RELAY_REDIS_TLS" yaml:"redis.tls.enabled" help:"Connect with TLS." group:"Redis"`
	TLSCA          string         `name:"redis-tls-ca" env:"RELAY_REDIS_TLS_CA" yaml:"redis.tls.ca" placeholder:"FILE" help:"PEM file with the authorities to trust instead of the system's." group:"Redis"`
}

func (c redisConfig) check(p *problems) {
	if len(c.Addrs) == 0 {
		p.add("redis", "is empty: must name at least one address")
	}
	for _, addr := range c.Addrs {
		p.dialAddr("redis", addr)
	}
	p.between("redis-db", int64(c.DB), 0, 1<<16)
	if len(c.Addrs) > 1 && c.SentinelMaster == "" && c.DB != 0 {
		p.add("redis-db", "is %d, but a cluster has only database 0", c.DB)
	}
	if !c.TLS && c.TLSCA != "" {
		p.add("redis-tls", "is off, but --redis-tls-ca is set: switch it on or remove that")
	}
}

// Client makes the client; it connects when it is first used.
func (c redisConfig) Client() (redis.UniversalClient, error) {
	options := &redis.UniversalOptions{
		Addrs: c.Addrs, MasterName: c.SentinelMaster, DB: c.DB, Username: c.Username, Password: c.Password.Reveal(),
		// A Redis that hangs must not be waited for longer than the caller has time.
		ContextTimeoutEnabled: true,
		// The callers repeat what matters; five dials for each command would only multiply the log.
		DialerRetries: 1,
	}
	if c.TLS {
		config, err := tlsConfig("--redis-tls", c.TLSCA, "", "")
		if err != nil {
			return nil, err
		}
		options.TLSConfig = config
	}
	return redis.NewUniversalClient(options), nil
}
