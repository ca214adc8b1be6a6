package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

var testTopics = relay.Topics{
	Prefix: "relay.", Delays: []time.Duration{5 * time.Second}, Partitions: 2, MaxEventBytes: relay.DefaultMaxEventBytes,
}

func testOptions(dir string) KafkaOptions {
	return KafkaOptions{
		DataDir: dir, Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
		Topics: append(testTopics.Specs(), DomainTopics([]string{"debt", "payment"}, relay.DefaultMaxEventBytes)...),
	}
}

func startKafka(t *testing.T, o KafkaOptions) *Kafka {
	t.Helper()
	k, err := StartKafka(testContext(t), o)
	require.NoError(t, err)
	t.Cleanup(k.Close)
	return k
}

// client connects to addr; it is closed by the caller, before the broker.
func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr)}, opts...)...)
	require.NoError(t, err)
	return cl
}

// keyed writes n records to a topic, each overwriting one of keys keys, in batches small enough to be compacted.
func keyed(t *testing.T, addr, topic string, n, keys int) {
	t.Helper()
	cl := client(t, addr)
	defer cl.Close()
	for from := 0; from < n; from += 50 {
		var records []*kgo.Record
		for i := from; i < min(from+50, n); i++ {
			records = append(records, &kgo.Record{Topic: topic, Key: fmt.Append(nil, i%keys), Value: fmt.Append(nil, i)})
		}
		require.NoError(t, cl.ProduceSync(testContext(t), records...).FirstErr())
	}
}

// latest reads a topic to its end and gives the last value of each key, and how many records it took.
func latest(t *testing.T, addr, topic string) (values map[string]string, records int) {
	t.Helper()
	ctx := testContext(t)
	cl := client(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	require.NoError(t, err)
	left := map[int32]int64{}
	ends.Each(func(l kadm.ListedOffset) {
		if l.Offset > 0 {
			left[l.Partition] = l.Offset
		}
	})
	values = map[string]string{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err0())
		fetches.EachRecord(func(r *kgo.Record) {
			records++
			values[string(r.Key)] = string(r.Value)
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return values, records
}

func TestKafka_TopicsExistBeforeTheFirstClient(t *testing.T) {
	k := startKafka(t, testOptions(t.TempDir()))
	cl := client(t, k.Addr())
	defer cl.Close()

	topics, err := kadm.NewClient(cl).ListTopics(testContext(t))
	require.NoError(t, err)
	for _, spec := range testOptions("").Topics {
		require.True(t, topics.Has(spec.Name), spec.Name)
		require.Len(t, topics[spec.Name].Partitions, int(spec.Partitions), spec.Name)
	}
	host, port, err := net.SplitHostPort(k.Addr())
	require.NoError(t, err)
	meta, err := kadm.NewClient(cl).BrokerMetadata(testContext(t))
	require.NoError(t, err)
	require.Equal(t, host, meta.Brokers[0].Host)
	require.Equal(t, port, fmt.Sprint(meta.Brokers[0].Port))
}

func TestKafka_RestartKeepsRecordsOffsetsAndConfigs(t *testing.T) {
	dir := t.TempDir()
	k := startKafka(t, testOptions(dir))
	keyed(t, k.Addr(), "debt", 100, 100)
	cl := client(t, k.Addr())
	commit := kadm.Offsets{}
	commit.AddOffset("debt", 1, 7, -1)
	require.NoError(t, kadm.NewClient(cl).CommitAllOffsets(testContext(t), "relay", commit))
	cl.Close()
	k.Close()

	k = startKafka(t, testOptions(dir))
	values, _ := latest(t, k.Addr(), "debt")
	require.Len(t, values, 100)
	cl = client(t, k.Addr())
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(testContext(t), "relay")
	require.NoError(t, err)
	offset, ok := offsets.Lookup("debt", 1)
	require.True(t, ok)
	require.EqualValues(t, 7, offset.At)
	require.Equal(t, "-1", topicConfig(t, cl, testTopics.Webhooks(), "retention.ms"))
	require.Equal(t, "compact", topicConfig(t, cl, testTopics.Webhooks(), "cleanup.policy"))
}

func TestKafka_ExistingTopicsAreAdjusted(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(dir)
	o.Topics = DomainTopics([]string{"debt"}, 1000)
	startKafka(t, o).Close()

	o.Topics = DomainTopics([]string{"debt", "claim"}, 2000)
	k := startKafka(t, o)
	cl := client(t, k.Addr())
	defer cl.Close()
	for _, topic := range []string{"debt", "claim"} {
		require.Equal(t, fmt.Sprint(2000+relay.EnvelopeBytes), topicConfig(t, cl, topic, "max.message.bytes"))
	}
}

func topicConfig(t *testing.T, cl *kgo.Client, topic, name string) string {
	t.Helper()
	described, err := kadm.NewClient(cl).DescribeTopicConfigs(testContext(t), topic)
	require.NoError(t, err)
	for _, config := range described[0].Configs {
		if config.Key == name {
			return config.MaybeValue()
		}
	}
	return ""
}

func TestKafka_AddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	dir := t.TempDir()
	o := testOptions(dir)
	o.Addr = taken.Addr().String()

	_, err = StartKafka(testContext(t), o)
	var addrErr *AddressError
	require.ErrorAs(t, err, &addrErr)
	require.ErrorContains(t, err, "something else does")
	require.ErrorContains(t, err, "--kafka-addr")
	require.NoDirExists(t, filepath.Join(dir, "kafka"))

	// The failed start let the directory go.
	startKafka(t, testOptions(dir))
}

func TestKafka_DataDirInUse(t *testing.T) {
	dir := t.TempDir()
	k := startKafka(t, testOptions(dir))

	_, err := StartKafka(testContext(t), testOptions(dir))
	var locked *LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, LockedError{Dir: dir, PID: os.Getpid()}, *locked)
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, fmt.Sprintf("process id %d", os.Getpid()))

	k.Close()
	startKafka(t, testOptions(dir))
}

func TestKafka_StartIsCancellable(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := StartKafka(ctx, testOptions(t.TempDir()))
	require.ErrorIs(t, err, context.Canceled)
}

func TestAdvertise(t *testing.T) {
	for _, tt := range []struct {
		name, want, bound, advertised string
	}{
		{"where it listens", "", "127.0.0.1:9092", "127.0.0.1:9092"},
		{"every interface", "", "0.0.0.0:9092", "127.0.0.1:9092"},
		{"every interface, v6", "", "[::]:9092", "127.0.0.1:9092"},
		{"as configured", "kafka:9092", "0.0.0.0:9092", "kafka:9092"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bound, err := net.ResolveTCPAddr("tcp", tt.bound)
			require.NoError(t, err)
			require.Equal(t, tt.advertised, advertise(tt.want, bound).String())
		})
	}
}

func TestGate_ClientsWaitUntilItOpens(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := newGate(tcp, tcp.Addr())
	defer g.Close()
	accepted := make(chan net.Conn, 2)
	go func() {
		defer close(accepted)
		for {
			conn, err := g.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()

	outside, err := net.Dial("tcp", tcp.Addr().String())
	require.NoError(t, err)
	defer outside.Close()
	inside, err := g.dial(testContext(t), "", "")
	require.NoError(t, err)
	defer inside.Close()
	first := <-accepted
	require.Equal(t, "pipe", first.LocalAddr().Network(), "the private connection is served, the waiting client is not")

	g.open()
	second := <-accepted
	require.Equal(t, outside.LocalAddr().String(), second.RemoteAddr().String())
	_, err = g.dial(testContext(t), "", "")
	require.ErrorIs(t, err, errGateOpen)

	require.NoError(t, g.Close())
	require.NoError(t, g.Close())
	_, open := <-accepted
	require.False(t, open)
}

// A copy of the directory under a running broker is what a kill leaves: what was acknowledged is in the files.
func TestKafka_SurvivesAKill(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	k := startKafka(t, testOptions(dir))
	keyed(t, k.Addr(), "debt", 100, 100)
	cl := client(t, k.Addr())
	commit := kadm.Offsets{}
	commit.AddOffset("debt", 1, 7, -1)
	require.NoError(t, kadm.NewClient(cl).CommitAllOffsets(testContext(t), "relay", commit))
	cl.Close()
	require.NoError(t, copyDir(t.Context(), dir, killed))

	o := testOptions(killed)
	o.CompactAbove = 1
	k = startKafka(t, o)
	values, _ := latest(t, k.Addr(), "debt")
	require.Len(t, values, 100)
	cl = client(t, k.Addr())
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(testContext(t), "relay")
	require.NoError(t, err)
	offset, ok := offsets.Lookup("debt", 1)
	require.True(t, ok)
	require.EqualValues(t, 7, offset.At)
}
