package main

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
)

const (
	testAdminKey  = "canary-admin-key-0123456789"
	testMasterKey = "canary-master-key-0123456789"
)

// withKeys sets what `relay serve` cannot start without.
func withKeys(t *testing.T) {
	t.Helper()
	t.Setenv("RELAY_ADMIN_KEY", testAdminKey)
	t.Setenv("RELAY_MASTER_KEY", testMasterKey)
}

func parse(args ...string) (any, error) {
	ctx, err := parseArgs(args, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	return selected(ctx), nil
}

func parseServe(t *testing.T, args ...string) *serveCmd {
	t.Helper()
	command, err := parse(append([]string{"serve"}, args...)...)
	require.NoError(t, err)
	return command.(*serveCmd)
}

func configFileWith(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "relay.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestServe_Defaults(t *testing.T) {
	withKeys(t)
	c := parseServe(t)
	require.Equal(t, []string{"relay", "admin"}, c.Roles)
	require.Equal(t, "latest", c.From)
	require.Equal(t, []string{"127.0.0.1:9092"}, c.Kafka.Brokers)
	require.Equal(t, map[string]string{"debt": "debt", "payment": "payment", "claim": "claim", "policy": "policy", "sms": "sms"}, c.Topic.DomainTopics)
	require.Equal(t, relay.Topics{
		Prefix: "relay.", Delays: relay.DefaultDelays, Partitions: 12, Replication: -1, MaxEventBytes: relay.DefaultMaxEventBytes,
		AuditRetention: relay.DefaultAuditRetention,
	}, c.Topic.Topics())
	require.Equal(t, byteSize(512<<20), c.Intake.Memory)
	require.Zero(t, c.Intake.Limits(), "what is not set follows the memory")
	require.Equal(t, catalog.Egress{}, c.Egress.Egress())
	require.Equal(t, 720*time.Hour, c.Intake.DivertRetention)
	hostname, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, hostname, c.Intake.InstanceID)
	key, err := c.Keys.Admin()
	require.NoError(t, err)
	require.Equal(t, testAdminKey, key.Reveal())
}

func TestDev_Defaults(t *testing.T) {
	command, err := parse("dev")
	require.NoError(t, err)
	c := command.(*devCmd)
	require.Equal(t, ".relay", c.DataDir)
	require.Equal(t, "earliest", c.From)
	require.Equal(t, "127.0.0.1:9092", c.KafkaAddr)
	require.Equal(t, "127.0.0.1:6379", c.RedisAddr)
	require.False(t, c.NoDemo)
}

func TestPrecedence_FlagEnvironmentFileDefault(t *testing.T) {
	withKeys(t)
	file := configFileWith(t, "group: from-file\nwindow: {records: 7}\nlog: {level: debug, format: json}\n")
	t.Setenv("RELAY_GROUP", "from-env")
	t.Setenv("RELAY_LOG_LEVEL", "warn")

	c := parseServe(t, "--config", file, "--log-level", "error")
	require.Equal(t, "error", c.Log.LogLevel, "flag")
	require.Equal(t, "from-env", c.Intake.Group, "environment")
	require.Equal(t, 7, c.Intake.WindowRecords, "file")
	require.Equal(t, "json", c.Log.LogFormat, "file")
	require.Equal(t, 45*time.Second, c.Intake.SessionTimeout, "default")

	t.Setenv("RELAY_CONFIG", file)
	require.Equal(t, 7, parseServe(t).Intake.WindowRecords, "file named by the environment")
}

// Every setting can be made in all three places, and is made by its own name only.
func TestSchema_IsTheSameInAllThreePlaces(t *testing.T) {
	app, err := kong.New(&cli{}, configVars(), kong.TypeMapper(reflect.TypeFor[catalog.Secret](), kong.MapperFunc(decodeSecret)))
	require.NoError(t, err)
	fields := map[string]string{} // env and yaml names to flags
	for _, command := range app.Model.Children {
		if command.Name != "serve" && command.Name != "dev" {
			continue
		}
		for _, flag := range command.Flags {
			key := flag.Tag.Get("yaml")
			require.NotEmpty(t, key, flag.Name)
			require.Len(t, flag.Envs, 1, flag.Name)
			require.Equal(t, "RELAY_"+strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_")), flag.Envs[0])
			require.NotEmpty(t, flag.Help, flag.Name)
			require.NotNil(t, flag.Group, flag.Name)
			if other, ok := fields[key]; ok {
				require.Equal(t, other, flag.Name, "two flags share the key %s", key)
			}
			fields[key] = flag.Name
		}
	}
	known := yamlKeys(app.Model)
	for key := range known {
		require.False(t, isGroup(known, key), "%s is both a key and a group", key)
	}
}

func TestServe_RefusesToStartWithoutKeys(t *testing.T) {
	_, err := parse("serve")
	var config *ConfigError
	require.ErrorAs(t, err, &config)
	require.Len(t, config.Problems, 2)
	require.ErrorContains(t, err, `--admin-key (RELAY_ADMIN_KEY, admin.key in the file) is not set`)
	require.ErrorContains(t, err, `export RELAY_ADMIN_KEY="$(openssl rand -base64 32)"`)
	require.ErrorContains(t, err, `--master-key (RELAY_MASTER_KEY, masterKey in the file) is not set`)
	require.ErrorContains(t, err, `export RELAY_MASTER_KEY="$(openssl rand -base64 32)"`)
}

func TestServe_KeysFromFiles(t *testing.T) {
	dir := t.TempDir()
	admin, master, empty := filepath.Join(dir, "admin"), filepath.Join(dir, "master"), filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(admin, []byte(testAdminKey+"\n"), 0o600))
	require.NoError(t, os.WriteFile(master, []byte("2:new,1:old\n"), 0o600))
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))

	c := parseServe(t, "--admin-key-file", admin, "--master-key-file", master)
	key, err := c.Keys.Admin()
	require.NoError(t, err)
	require.Equal(t, testAdminKey, key.Reveal())
	key, err = c.Keys.Master()
	require.NoError(t, err)
	require.Equal(t, "2:new,1:old", key.Reveal())

	c = parseServe(t, "--admin-key-file", empty, "--master-key-file", filepath.Join(dir, "missing"))
	_, err = c.Keys.Admin()
	require.ErrorContains(t, err, "--admin-key-file")
	_, err = c.Keys.Master()
	require.ErrorIs(t, err, os.ErrNotExist)

	_, err = parse("serve", "--admin-key", testAdminKey, "--admin-key-file", admin, "--master-key-file", master)
	require.ErrorContains(t, err, "choose one")
}

func TestCheck_NamesTheSettingAndItsBound(t *testing.T) {
	withKeys(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--window-records=-1"}, "--window-records (RELAY_WINDOW_RECORDS, window.records in the file) is -1: must be between 0 and 10000000"},
		{[]string{"--window-bytes=1MiB"}, "is 1048576: must be between 10485760 and"},
		{[]string{"--event-max-bytes=1"}, "--event-max-bytes (RELAY_EVENT_MAX_BYTES, event.maxBytes in the file) is 1: must be between 1024 and 33554432"},
		{[]string{"--event-max-bytes=many"}, "--event-max-bytes: expected a size"},
		{[]string{"--from=middle"}, `is "middle": must be one of latest, earliest`},
		{[]string{"--roles=relay,cook"}, `is "cook": must be one of relay, admin`},
		{[]string{"--roles="}, "--roles (RELAY_ROLES, roles in the file) is empty"},
		{[]string{"--log-level=loud"}, "must be one of debug, info, warn, error"},
		{[]string{"--log-format=xml"}, "must be one of text, json"},
		{[]string{"--kafka="}, "--kafka (RELAY_KAFKA, kafka.brokers in the file) is empty"},
		{[]string{"--kafka=broker"}, `is "broker": must be host:port`},
		{[]string{"--kafka=:9092"}, `is ":9092": must be host:port`},
		{[]string{"--kafka=broker:0"}, "the port must be between 1 and 65535"},
		{[]string{"--kafka-tls-ca=x.pem"}, "--kafka-tls (RELAY_KAFKA_TLS, kafka.tls.enabled in the file) is off"},
		{[]string{"--kafka-tls", "--kafka-tls-cert=x.pem"}, "belong together"},
		{[]string{"--kafka-sasl-user=me"}, "--kafka-sasl-mechanism (RELAY_KAFKA_SASL_MECHANISM, kafka.sasl.mechanism in the file) is not set"},
		{[]string{"--kafka-sasl-mechanism=gssapi", "--kafka-sasl-user=me", "--kafka-sasl-password=x"}, `is "gssapi": must be one of plain, scram-sha-256, scram-sha-512`},
		{[]string{"--kafka-sasl-mechanism=plain"}, "--kafka-sasl-user (RELAY_KAFKA_SASL_USER, kafka.sasl.user in the file) is not set"},
		{[]string{"--redis=a:1,b:2", "--redis-db=3"}, "a cluster has only database 0"},
		{[]string{"--redis-db=-1"}, "is -1: must be between 0 and 65536"},
		{[]string{"--redis-tls-ca=x.pem"}, "--redis-tls (RELAY_REDIS_TLS, redis.tls.enabled in the file) is off"},
		{[]string{"--topic-prefix=a/b"}, `is "a/b"`},
		{[]string{"--topic-partitions=0"}, "is 0: must be between 1 and 10000"},
		{[]string{"--topic-replication=0"}, "is 0: must be between 1 and 100"},
		{[]string{"--domain-topics=relay.debt=debt"}, "begins with --topic-prefix"},
		{[]string{"--domain-topics=a b=debt"}, `names the topic "a b"`},
		{[]string{"--domain-topics=debt="}, `gives topic "debt" no domain`},
		{[]string{"--domain-topics=mine=relay"}, `the domain "relay", which is that of the relay's own events`},
		{[]string{"--retry-delays=5s,5s"}, "has 5s after 5s"},
		{[]string{"--retry-delays=10ms"}, "contains 10ms: each must be between 1s and 24h0m0s"},
		{[]string{"--retry-delays=soon"}, "--retry-delays"},
		{[]string{"--drain-timeout=1m"}, "is 1m0s: must be between 0s and 30s"},
		{[]string{"--divert-retention=1s"}, "must be between 1h0m0s"},
		{[]string{"--allow-networks=10.0.0.0"}, "--allow-networks"},
		{[]string{"--admin-addr=8080"}, "--admin-addr (RELAY_ADMIN_ADDR, admin.addr in the file)"},
		{[]string{"--ops-addr=127.0.0.1:8080"}, "they must differ"},
		{[]string{"--trusted-proxies=10.0.0.0"}, "--trusted-proxies"},
		{[]string{"--trusted-proxies=10.0.0.0/8,0.0.0.0/0"}, "lets every client choose"},
		{[]string{"--audit-retention=1h"}, "--audit-retention"},
		{[]string{"--admin-key=short"}, "shorter than 16 characters"},
		{[]string{"--group="}, "--group (RELAY_GROUP, group in the file) is empty"},
		{[]string{"--wndow-records=1"}, "--wndow-records"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			_, err := parse(append([]string{"serve"}, tt.args...)...)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "canary")
		})
	}
	t.Run("all problems at once", func(t *testing.T) {
		_, err := parse("serve", "--group=", "--window-records=-1", "--log-level=loud")
		var config *ConfigError
		require.ErrorAs(t, err, &config)
		require.Len(t, config.Problems, 3)
	})
	t.Run("dev", func(t *testing.T) {
		_, err := parse("dev", "--data=/", "--kafka-addr=x", "--from=here")
		require.ErrorContains(t, err, "--data (RELAY_DATA, dev.data in the file)")
		require.ErrorContains(t, err, "--kafka-addr (RELAY_KAFKA_ADDR, dev.kafkaAddr in the file)")
		require.ErrorContains(t, err, `--from (RELAY_FROM, from in the file) is "here"`)
	})
}

func TestEnvironment(t *testing.T) {
	withKeys(t)
	t.Run("a wrong value names the variable", func(t *testing.T) {
		t.Setenv("RELAY_WINDOW_RECORDS", "many")
		_, err := parse("serve")
		require.ErrorContains(t, err, "RELAY_WINDOW_RECORDS")
		require.ErrorContains(t, err, "--window-records")
	})
	t.Run("an unknown variable is refused", func(t *testing.T) {
		t.Setenv("RELAY_ALLOW_HTPT", "true")
		_, err := parse("serve")
		require.EqualError(t, err, "unknown environment variable RELAY_ALLOW_HTPT (did you mean RELAY_ALLOW_HTTP?)")
	})
	t.Run("what orchestrators set is not ours", func(t *testing.T) {
		for _, name := range []string{"RELAY_PORT", "RELAY_SERVICE_HOST", "RELAY_SERVICE_PORT_HTTP", "RELAY_PORT_8080_TCP_ADDR",
			"RELAY_ADMIN_SERVICE_HOST", "RELAY_ADMIN_PORT_8080_TCP", "RELAY_ADMIN_URL"} {
			t.Setenv(name, "10.0.0.1")
		}
		parseServe(t)
	})
	t.Run("what names the services of the tests is not ours", func(t *testing.T) {
		t.Setenv("RELAY_TEST_KAFKA", "127.0.0.1:19092")
		parseServe(t)
	})
	t.Run("lists and maps", func(t *testing.T) {
		t.Setenv("RELAY_ALLOW_NETWORKS", "10.0.0.0/8,fd00::/8")
		t.Setenv("RELAY_DOMAIN_TOPICS", "core.debt=debt,core.payment=payment")
		t.Setenv("RELAY_RETRY_DELAYS", "1s,1m")
		c := parseServe(t)
		require.Equal(t, "10.0.0.0/8", c.Egress.AllowNetworks[0].String())
		require.Equal(t, "fd00::/8", c.Egress.AllowNetworks[1].String())
		require.Equal(t, map[string]string{"core.debt": "debt", "core.payment": "payment"}, c.Topic.DomainTopics)
		require.Equal(t, []time.Duration{time.Second, time.Minute}, c.Topic.RetryDelays)
	})
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "7": 7, "7B": 7, "64KiB": 64 << 10, "10MiB": 10 << 20, "2GiB": 2 << 30} {
		var b byteSize
		require.NoError(t, b.UnmarshalText([]byte(text)), text)
		require.EqualValues(t, want, b)
		var again byteSize
		require.NoError(t, again.UnmarshalText([]byte(b.String())))
		require.Equal(t, b, again)
	}
	for _, text := range []string{"", "-1", "MiB", "1.5MiB", "10MB", "9999999999GiB", "1 KiB", "0x10"} {
		require.Error(t, new(byteSize).UnmarshalText([]byte(text)), text)
	}
}

func TestKafkaConfig_Opts(t *testing.T) {
	for _, c := range []kafkaConfig{
		{Brokers: []string{"127.0.0.1:9092"}},
		{Brokers: []string{"127.0.0.1:9092"}, TLS: true},
		{Brokers: []string{"127.0.0.1:9092"}, SASLMechanism: saslPlain, SASLUser: "me", SASLPassword: catalog.NewSecret("x")},
		{Brokers: []string{"127.0.0.1:9092"}, SASLMechanism: saslScramSHA256, SASLUser: "me", SASLPassword: catalog.NewSecret("x")},
		{Brokers: []string{"127.0.0.1:9092"}, SASLMechanism: saslScramSHA512, SASLUser: "me", SASLPassword: catalog.NewSecret("x")},
	} {
		opts, err := c.Opts()
		require.NoError(t, err)
		require.NoError(t, kgo.ValidateOpts(opts...))
	}
	notPEM := configFileWith(t, "nothing")
	_, err := kafkaConfig{TLS: true, TLSCA: notPEM}.Opts()
	require.ErrorContains(t, err, "--kafka-tls-ca")
	_, err = kafkaConfig{TLS: true, TLSCert: notPEM, TLSKey: notPEM}.Opts()
	require.ErrorContains(t, err, "--kafka-tls-cert and --kafka-tls-key")
}

func TestRedisConfig_Client(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    redisConfig
		want any
	}{
		{"single", redisConfig{Addrs: []string{"a:1"}, DB: 2, TLS: true}, &redis.Client{}},
		{"cluster", redisConfig{Addrs: []string{"a:1", "b:2"}}, &redis.ClusterClient{}},
		{"sentinels", redisConfig{Addrs: []string{"a:1", "b:2"}, SentinelMaster: "main"}, &redis.Client{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, err := tt.c.Client()
			require.NoError(t, err)
			defer client.Close()
			require.IsType(t, tt.want, client)
		})
	}
	_, err := redisConfig{TLS: true, TLSCA: "/does/not/exist"}.Client()
	require.ErrorIs(t, err, os.ErrNotExist)
}
