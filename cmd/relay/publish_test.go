package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/intake/envelope"
	"eventrelay/testdata/events"
)

var publishNow = time.Date(2026, time.November, 21, 8, 0, 0, 0, time.UTC)

// publishCluster is a broker with the domain topics, one partition each.
func publishCluster(t *testing.T) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.Ports(0), kfake.NumBrokers(1), kfake.SeedTopics(1, catalog.Domains()...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

// publishRun runs the command and gives what it printed.
func publishRun(t *testing.T, c publishCmd) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := c.Run(t.Context(), streams{Out: &out})
	return out.String(), err
}

// publishConsume decodes the first n records of a topic.
func publishConsume(t *testing.T, brokers []string, topic string, n int) []*catalog.Event {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic))
	require.NoError(t, err)
	defer client.Close()
	decoder, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: relay.DefaultMaxEventBytes})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var decoded []*catalog.Event
	for len(decoded) < n {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(rec *kgo.Record) {
			ev, err := decoder.Decode(rec)
			require.NoError(t, err)
			decoded = append(decoded, ev)
		})
	}
	return decoded
}

func TestPublishFlags(t *testing.T) {
	brokers := publishCluster(t)
	out, err := publishRun(t, publishCmd{
		Kafka: kafkaConfig{Brokers: brokers}, Type: "debt.paid", ID: "e-1", Subject: "dbt_1", Tenant: "acme", Office: "north",
		Data: `{"amount": 1.50}`, Count: 2,
	})
	require.NoError(t, err)
	require.Equal(t, "debt/0/0  debt.paid  e-1\ndebt/0/1  debt.paid  e-1\n", out)
	ev := publishConsume(t, brokers, "debt", 2)[1]
	require.Equal(t, `{"amount": 1.50}`, string(ev.Data))
	require.Equal(t, []string{"debt.paid", "e-1", "dbt_1", "acme", "north", publishSource},
		[]string{ev.Type, ev.ID, ev.Subject, ev.Tenant, ev.Office, ev.Source})
}

func TestPublishSamples(t *testing.T) {
	brokers := publishCluster(t)
	for _, sample := range events.All() {
		out, err := publishRun(t, publishCmd{Kafka: kafkaConfig{Brokers: brokers}, Sample: sample.Type, Count: 2})
		require.NoError(t, err)
		require.Equal(t, 2, strings.Count(out, sample.Domain+"/0/"), out)
	}
	decoded := publishConsume(t, brokers, "sms", 8)
	require.Equal(t, "springfield", decoded[0].Office)
	require.NotEqual(t, decoded[0].ID, decoded[1].ID)
}

func TestPublishSampleOfTheCatalog(t *testing.T) {
	_, shaped := events.ByType("policy.lapse")
	require.False(t, shaped, "the test needs a type without a sample record")
	c := publishCmd{Sample: "policy.lapse", Source: "/test", Count: 1}
	records, err := c.records(nil, publishNow)
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.Equal(t, "policy", records[0].record.Topic)
	require.Equal(t, "policy.lapse", records[0].eventType)
	require.NotEmpty(t, records[0].id)
}

func TestPublishFiles(t *testing.T) {
	const (
		paid   = `{"type":"debt.paid","id":"1", "data":{"n":1.0}}`
		sms    = `{"name":"IncomingSms.received","eventId":"2","dateTime":"2019-08-24T14:15:22Z"}`
		cloud  = "{\n \"specversion\":\"1.0\",\n \"type\":\"claim.open\",\"id\":\"3\",\"source\":\"/s\",\"data_base64\":\"e30=\"\n}"
		indent = "{\n  \"type\": \"debt.paid\",\n  \"data\": {}\n}"
	)
	for name, tc := range map[string]struct {
		content string
		want    []string // topic, from, type, value of each
	}{
		"lines":                {paid + "\r\n\n  " + sms + "\n", []string{"debt f:1 debt.paid " + paid, "sms f:3 IncomingSms.received " + sms}},
		"array":                {"\n[" + paid + ",\n" + sms + "\n]", []string{"debt f:2 debt.paid " + paid, "sms f:3 IncomingSms.received " + sms}},
		"one on one line":      {paid, []string{"debt f:1 debt.paid " + paid}},
		"one over many lines":  {"\n\n" + indent + "\n", []string{"debt f:3 debt.paid " + indent}},
		"CloudEvent":           {cloud, []string{"claim f:1 claim.open " + cloud}},
		"CloudEvents in array": {"[" + cloud + "," + cloud + "]", []string{"claim f:1 claim.open " + cloud, "claim f:4 claim.open " + cloud}},
	} {
		t.Run(name, func(t *testing.T) {
			c := publishCmd{File: "-", Count: 1}
			records, err := c.records(strings.NewReader(tc.content), publishNow)
			require.NoError(t, err)
			var got []string
			for _, r := range records {
				from := strings.Replace(r.from, "stdin", "f", 1)
				got = append(got, strings.Join([]string{r.record.Topic, from, r.eventType, string(r.record.Value)}, " "))
			}
			require.Equal(t, tc.want, got)
		})
	}
}

func TestPublishWrongInput(t *testing.T) {
	for want, tc := range map[string]struct {
		cmd   publishCmd
		stdin string
	}{
		"--data: not JSON":               {cmd: publishCmd{Type: "debt.paid", Data: "{", Count: 1}},
		"--sample debt.payed: no such":   {cmd: publishCmd{Sample: "debt.payed", Count: 1}},
		"event type debt.payed is not":   {cmd: publishCmd{Type: "debt.payed", Count: 1}},
		"relay.webhook.failing is not":   {cmd: publishCmd{Type: "relay.webhook.failing", Count: 1}},
		"would reject it: bad_attribute": {cmd: publishCmd{Type: "debt paid", Topic: "debt", Count: 1}},
		"would reject it: bad_header":    {cmd: publishCmd{Type: "debt.paid", Tenant: "a\nb", Count: 1}},
		"no such file":                   {cmd: publishCmd{File: "/nowhere/events.jsonl", Count: 1}},
		"stdin: there is no record":      {cmd: publishCmd{File: "-", Count: 1}, stdin: "\n \n"},
		"stdin:2: the array is empty":    {cmd: publishCmd{File: "-", Count: 1}, stdin: "\n[]"},
		"stdin:3: not JSON":              {cmd: publishCmd{File: "-", Count: 1}, stdin: "{\"type\":\"debt.paid\",\"data\":1}\n\n{\"type\":\n{}"},
		"stdin:1: not JSON":              {cmd: publishCmd{File: "-", Count: 1}, stdin: "{\"type\":\n{\"type\":\"debt.paid\",\"data\":1}"},
		"stdin:4: not JSON":              {cmd: publishCmd{File: "-", Count: 1}, stdin: "[\n{},\n{}\nx]"},
		"stdin:2: not JSON":              {cmd: publishCmd{File: "-", Count: 1}, stdin: "{\n \"type\": debt.paid\n}"},
		"stdin:2: none of the known":     {cmd: publishCmd{File: "-", Count: 1}, stdin: "{\"type\":\"debt.paid\",\"data\":1}\n{\"kind\":1}"},
	} {
		t.Run(want, func(t *testing.T) {
			_, err := tc.cmd.records(strings.NewReader(tc.stdin), publishNow)
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestPublishArguments(t *testing.T) {
	for args, want := range map[string]string{
		"":                                 "--sample is not set, nor is --file or --type",
		"--type t --count 0":               "--count is 0: must be at least 1",
		"--sample t --data {} --subject s": "--subject is set, which only --type has a use for\n- --data is set",
		"--file - --id 1":                  "--id is set, but",
		"--file - --type t":                "can't be used together",
		"--type t --kafka nowhere":         "--kafka (RELAY_KAFKA, kafka.brokers in the file) is",
	} {
		_, err := parseArgs(append([]string{"publish"}, strings.Fields(args)...), io.Discard, io.Discard)
		require.ErrorContains(t, err, want, args)
	}
	command, err := parseArgs([]string{"publish", "--sample", "debt.paid"}, io.Discard, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 1, selected(command).(*publishCmd).Count)
}

func TestPublishTopicOverrides(t *testing.T) {
	c := publishCmd{File: filepath.Join(t.TempDir(), "events.json"), Topic: "elsewhere", Key: "k", Count: 1}
	require.NoError(t, os.WriteFile(c.File, []byte(`[{"kind":"of another mapping"},{"type":"my.own","data":1}]`), 0o600))
	records, err := c.records(nil, publishNow)
	require.NoError(t, err)
	for _, r := range records {
		require.Equal(t, "elsewhere", r.record.Topic)
		require.Equal(t, "k", string(r.record.Key))
	}
	require.Equal(t, []string{"", "my.own"}, []string{records[0].eventType, records[1].eventType})
}

func TestPublishSaysHowManyWereSent(t *testing.T) {
	brokers := publishCluster(t)
	file := filepath.Join(t.TempDir(), "events.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(`{"type":"debt.paid","data":1}`), 0o600))
	client, err := kgo.NewClient(append(publishOpts(), kgo.SeedBrokers(brokers...))...)
	require.NoError(t, err)
	defer client.Close()
	c := publishCmd{File: file, Count: 2}
	records, err := c.records(nil, publishNow)
	require.NoError(t, err)
	records[1].record.Topic = "missing"

	var out bytes.Buffer
	err = publishSend(t.Context(), client, &out, records)
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
	require.ErrorContains(t, err, "sent 1 of 2: "+file+":1 to topic missing: the topic does not exist: create it with")
	require.Equal(t, "debt/0/0  debt.paid  -\n", out.String())
}

func TestPublishWithoutBroker(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the test does not wait"))
	c := publishCmd{Kafka: kafkaConfig{Brokers: []string{"127.0.0.1:1"}}, Type: "debt.paid", Count: 1}
	err := c.Run(ctx, streams{})
	require.ErrorContains(t, err, "no Kafka at 127.0.0.1:1: start `relay dev`")
}
