package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestYAML_AllKinds(t *testing.T) {
	withKeys(t)
	c := parseServe(t, "--config", configFileWith(t, `
# The relay of the collections team.
kafka:
  brokers: [kafka-1:9092, kafka-2:9092]
  sasl:
    mechanism: scram-sha-512
    user: relay
    password: "canary, with: signs"
domainTopics:
  core.debt: debt
  "payments": payment
retry:
  delays:
    - 5s
    - 1m
window: {records: 500, bytes: 100MiB}
allow:
  http: true
  networks: 10.0.0.0/8
roles: relay
topics:
  partitions: 3
`))
	require.Equal(t, []string{"kafka-1:9092", "kafka-2:9092"}, c.Kafka.Brokers)
	require.Equal(t, "canary, with: signs", c.Kafka.SASLPassword.Reveal())
	require.Equal(t, map[string]string{"core.debt": "debt", "payments": "payment"}, c.Topic.DomainTopics)
	require.Equal(t, []time.Duration{5 * time.Second, time.Minute}, c.Topic.RetryDelays)
	require.Equal(t, 500, c.Intake.WindowRecords)
	require.EqualValues(t, 100<<20, c.Intake.WindowBytes)
	require.True(t, c.Egress.AllowHTTP)
	require.Len(t, c.Egress.AllowNetworks, 1)
	require.Equal(t, []string{"relay"}, c.Roles)
	require.EqualValues(t, 3, c.Topic.Partitions)
}

func TestYAML_EmptyFile(t *testing.T) {
	withKeys(t)
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "{}\n"} {
		require.Equal(t, "relay", parseServe(t, "--config", configFileWith(t, text)).Intake.Group, "%q", text)
	}
}

func TestYAML_Problems(t *testing.T) {
	withKeys(t)
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "group: relay\n\nwindow:\n  recrods: 5\n", `relay.yaml:4: unknown key "window.recrods" (did you mean "window.records"?)`},
		{"unknown group", "\nkafak:\n  brokers: a:1\n", `relay.yaml:2: unknown key "kafak" (did you mean "kafka"?)`},
		{"unknown, nothing near", "concurrency: 3\n", `relay.yaml:1: unknown key "concurrency"`},
		{"a value of the wrong type", "window:\n  records: many\n", "relay.yaml:2: window.records: expected a valid 64 bit int"},
		{"out of bounds", "group: x\nwindow:\n  records: -1\n", "relay.yaml:3: --window-records (RELAY_WINDOW_RECORDS, window.records in the file) is -1"},
		{"not one of", "log:\n  level: loud\n", "relay.yaml:2: --log-level (RELAY_LOG_LEVEL, log.level in the file)"},
		{"a group for a value", "group: {name: x}\n", "relay.yaml:1: group must be a value, not a mapping"},
		{"a value for a group", "window: 5\n", "relay.yaml:1: window must hold keys, not an integer"},
		{"a value for a map", "domainTopics: debt\n", "relay.yaml:1: domainTopics must hold keys, not a string"},
		{"a list for a value", "group: [a, b]\n", "relay.yaml:1: group: must be one value, not a list"},
		{"nothing", "group:\nwindow: {records: 1}\n", "relay.yaml:1: group must be a value, not nothing"},
		{"a key twice", "group: a\ngroup: b\n", "relay.yaml:2: "},
		{"no YAML", "group: [a\nb: {", "relay.yaml:"},
		{"a list", "- a\n", "relay.yaml:1: the file must hold keys, not a sequence"},
		{"two documents", "group: a\n---\ngroup: b\n", "a second document"},
		{"an alias", "group: &g relay\ninstanceId: *g\n", "relay.yaml:1: group must be a value, not an anchor"},
		{"a bad delay", "retry:\n  delays: [5s, soon]\n", "relay.yaml:2: retry.delays: expected duration"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse("serve", "--config", configFileWith(t, tt.text))
			require.ErrorContains(t, err, tt.want)
		})
	}
	t.Run("all unknown keys at once", func(t *testing.T) {
		_, err := parse("serve", "--config", configFileWith(t, "a: 1\nb: 2\n"))
		require.ErrorContains(t, err, `relay.yaml:1: unknown key "a"`)
		require.ErrorContains(t, err, `relay.yaml:2: unknown key "b"`)
	})
	t.Run("a file that is not there", func(t *testing.T) {
		_, err := parse("serve", "--config", "/does/not/exist.yaml")
		require.ErrorContains(t, err, "--config")
	})
	t.Run("the line is not named when the flag wins", func(t *testing.T) {
		_, err := parse("serve", "--group=", "--config", configFileWith(t, "group: x\n"))
		require.ErrorContains(t, err, "--group (RELAY_GROUP, group in the file) is empty")
		require.NotContains(t, err.Error(), "relay.yaml")
	})
}

func TestYAML_NoValueInMessages(t *testing.T) {
	for _, text := range []string{
		"masterKey: [canary\n", "masterKey: {canary: canary}\n", "masterKey: canary\nmasterKey: canary\n", "masterKey: canary: x\n",
		"kafka:\n  sasl:\n   password: canary\n  password: canary\n", "masterKey: \"canary\n", "\tmasterKey: canary\n",
		"admin:\n  key: canary\n", "masterKey: &canary canary\nx: *canary\n",
	} {
		_, err := parse("serve", "--config", configFileWith(t, text))
		require.Error(t, err, "%q", text)
		require.NotContains(t, err.Error(), "canary", "%q", text)
	}
}

func TestYAML_KeysOfOtherCommandsAreFine(t *testing.T) {
	_, err := parse("dev", "--config", configFileWith(t, "kafka: {brokers: a:1}\ndev: {noDemo: true}\n"))
	require.NoError(t, err)
}

func TestEditDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"same", "same", 0}, {"recrods", "records", 2}} {
		require.Equal(t, tt.want, editDistance(tt.a, tt.b), "%s %s", tt.a, tt.b)
	}
}

func FuzzParseYAML(f *testing.F) {
	known := map[string]bool{"group": false, "window.records": false, "domainTopics": true}
	for _, seed := range []string{"group: a", "window: {records: 1}", "domainTopics:\n  a: b", "- x", "a: &b c\nd: *b", "? a\n: b", "<<: {group: x}", "group: |\n  text"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := parseYAML("relay.yaml", text, known)
		if err != nil {
			return
		}
		for key := range file.values {
			if _, ok := known[key]; !ok {
				t.Fatalf("accepted the unknown key %q", key)
			}
		}
	})
}
