//go:build faults

package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// service gives the address in a variable that `.ci/services env` prints.
func service(t *testing.T, variable string) string {
	t.Helper()
	addr := os.Getenv(variable)
	if addr == "" {
		t.Skipf("needs %s: .ci/services up --all, then eval \"$(.ci/services env)\"", variable)
	}
	return addr
}

// TestConnectKafka reaches a real broker over each kind of security that the configuration offers, through the same
// schema and checks as `relay serve`.
func TestConnectKafka(t *testing.T) {
	ca := service(t, "RELAY_TEST_TLS_CA")
	user, password := os.Getenv("RELAY_TEST_KAFKA_USER"), os.Getenv("RELAY_TEST_KAFKA_PASSWORD")
	sasl := func(variable, mechanism, password string, extra ...string) []string {
		return append([]string{"--kafka", service(t, variable), "--kafka-sasl-mechanism", mechanism, "--kafka-sasl-user", user, "--kafka-sasl-password", password}, extra...)
	}
	for _, c := range []struct {
		name    string
		args    []string
		refused string // what the error says; empty: it must work
	}{
		{"plaintext", []string{"--kafka", service(t, "RELAY_TEST_KAFKA")}, ""},
		{"tls", []string{"--kafka", service(t, "RELAY_TEST_KAFKA_TLS"), "--kafka-tls", "--kafka-tls-ca", ca}, ""},
		{"tls with a client certificate", []string{"--kafka", service(t, "RELAY_TEST_KAFKA_TLS"), "--kafka-tls", "--kafka-tls-ca", ca,
			"--kafka-tls-cert", service(t, "RELAY_TEST_TLS_CERT"), "--kafka-tls-key", service(t, "RELAY_TEST_TLS_KEY")}, ""},
		{"tls, unknown authority", []string{"--kafka", service(t, "RELAY_TEST_KAFKA_TLS"), "--kafka-tls"}, "certificate signed by unknown authority"},
		{"sasl plain", sasl("RELAY_TEST_KAFKA_SASL", "plain", password), ""},
		{"scram-sha-256", sasl("RELAY_TEST_KAFKA_SASL", "scram-sha-256", password), ""},
		{"scram-sha-512 over tls", sasl("RELAY_TEST_KAFKA_SASL_TLS", "scram-sha-512", password, "--kafka-tls", "--kafka-tls-ca", ca), ""},
		{"wrong password", sasl("RELAY_TEST_KAFKA_SASL", "scram-sha-256", "not the password"), "SASL_AUTHENTICATION_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts, err := serveConfig(t, c.args...).Kafka.Opts()
			require.NoError(t, err)
			client, err := kgo.NewClient(opts...)
			require.NoError(t, err)
			defer client.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			_, err = kadm.NewClient(client).ListTopics(ctx)
			if c.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.refused)
			require.NotContains(t, err.Error(), "not the password")
		})
	}
}

// TestConnectRedis does the same for Redis: single, TLS, Sentinel and Cluster.
func TestConnectRedis(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"single", []string{"--redis", service(t, "RELAY_TEST_REDIS")}},
		{"tls", []string{"--redis", service(t, "RELAY_TEST_REDIS_TLS"), "--redis-tls", "--redis-tls-ca", service(t, "RELAY_TEST_TLS_CA")}},
		{"sentinel", []string{"--redis", service(t, "RELAY_TEST_REDIS_SENTINEL"), "--redis-sentinel-master", service(t, "RELAY_TEST_REDIS_SENTINEL_MASTER")}},
		{"cluster", []string{"--redis", service(t, "RELAY_TEST_REDIS_CLUSTER")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := serveConfig(t, c.args...).Redis.Client()
			require.NoError(t, err)
			defer func() { _ = client.Close() }()
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			require.NoError(t, client.Set(ctx, "relay-test:{x}:hello", "there", time.Minute).Err())
			require.Equal(t, "there", client.Get(ctx, "relay-test:{x}:hello").Val())
		})
	}
}

// serveConfig parses arguments of `relay serve` as the binary does.
func serveConfig(t *testing.T, args ...string) *serveCmd {
	t.Helper()
	t.Setenv("RELAY_ADMIN_KEY", strings.Repeat("k", minAdminKey))
	t.Setenv("RELAY_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	command, err := parseArgs(append([]string{"serve"}, args...), os.Stdout, os.Stderr)
	require.NoError(t, err)
	return selected(command).(*serveCmd)
}
