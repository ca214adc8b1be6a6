package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/relay"
)

// KafkaOptions configure the embedded broker.
type KafkaOptions struct {
	// DataDir holds the lock and, in its subdirectory "kafka", the broker's files. Made when missing.
	DataDir string
	// Addr is where the broker listens. Default 127.0.0.1:9092.
	Addr string
	// Advertised is the address that clients are told to come to. Default: where the broker listens.
	Advertised string
	// Topics exist, set up like this, before the first client is served. See DomainTopics for the source topics.
	Topics []relay.TopicSpec
	// CompactAbove is the size in bytes of the broker's files from which a start compacts them. Default 8 MiB, which
	// a start reads in a fraction of a second.
	CompactAbove int64
	// Log takes the broker's warnings. Default slog.Default().
	Log *slog.Logger
}

const (
	defaultKafkaAddr    = "127.0.0.1:9092"
	defaultCompactAbove = 8 << 20

	// domainPartitions of each source topic: enough to see partitions at work on a laptop.
	domainPartitions = 4

	// setupTimeout bounds making and adjusting the topics: in memory it takes milliseconds.
	setupTimeout = 30 * time.Second
)

func (o KafkaOptions) withDefaults() KafkaOptions {
	if o.Addr == "" {
		o.Addr = defaultKafkaAddr
	}
	if o.CompactAbove == 0 {
		o.CompactAbove = defaultCompactAbove
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// DomainTopics are the source topics of a development broker. maxEventBytes is the largest event that they take.
func DomainTopics(names []string, maxEventBytes int) []relay.TopicSpec {
	specs := make([]relay.TopicSpec, 0, len(names))
	for _, name := range names {
		specs = append(specs, relay.TopicSpec{Name: name, Partitions: domainPartitions, Configs: map[string]string{
			"max.message.bytes": strconv.Itoa(maxEventBytes + relay.EnvelopeBytes),
		}})
	}
	return specs
}

// Kafka is a broker inside this process, with its state in a data directory. Its methods are safe for concurrent use.
type Kafka struct {
	lock    *dirLock
	cluster *kfake.Cluster
	addr    string

	closeOnce sync.Once
}

// StartKafka starts the broker; the package comment gives the order. The errors that a developer can act on are
// *AddressError and *LockedError. ctx bounds the start only.
func StartKafka(ctx context.Context, o KafkaOptions) (*Kafka, error) {
	o = o.withDefaults()
	lock, err := lockDir(o.DataDir)
	if err != nil {
		return nil, err
	}
	tcp, err := listen(ctx, "Kafka", o.Addr, "--kafka-addr")
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	gate := newGate(tcp, advertise(o.Advertised, tcp.Addr()))
	cluster, err := loadBroker(ctx, o, gate)
	if err != nil {
		return nil, errors.Join(err, gate.Close(), lock.release())
	}
	gate.open()
	return &Kafka{lock: lock, cluster: cluster, addr: gate.Addr().String()}, nil
}

// loadBroker starts a broker behind the closed gate, with everything in place to open it.
func loadBroker(ctx context.Context, o KafkaOptions, gate *gate) (*kfake.Cluster, error) {
	dir := filepath.Join(o.DataDir, "kafka")
	if err := repairDir(dir); err != nil {
		return nil, err
	}
	if err := compactDir(ctx, dir, o.CompactAbove, o.Log); err != nil {
		return nil, err
	}
	cluster, err := newBroker(dir, gate, brokerLog{log: o.Log})
	if err != nil {
		return nil, fmt.Errorf("load Kafka data from %s: %w", dir, err)
	}
	if err := ensureTopics(ctx, cluster, gate, o.Topics); err != nil {
		cluster.Close()
		return nil, fmt.Errorf("set up the embedded Kafka: %w", err)
	}
	return cluster, nil
}

// Addr is where clients connect.
func (k *Kafka) Addr() string { return k.addr }

// Close stops serving, saves what is only saved at an orderly end, and releases the data directory. Clients must be
// closed before it. It may be called more than once.
func (k *Kafka) Close() {
	k.closeOnce.Do(func() {
		k.cluster.Close()
		_ = k.lock.release() // the lock goes with the process at the latest
	})
}

// maxMillis is the longest period that the broker can turn into a time.Duration, 292 years. A greater number of
// milliseconds overflows, and its ticker panics.
const maxMillis = math.MaxInt64 / int64(time.Millisecond)

// newBroker loads dir into a broker. Batches are not flushed to disk one by one: what was acknowledged survives a kill
// of the process either way, because it is then in the system's page cache, and a development broker need not survive
// the loss of the machine. Flushing would add a disk's latency to every produce.
func newBroker(dir string, gate *gate, log kfake.Logger) (*kfake.Cluster, error) {
	return kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(dir),
		kfake.WithLogger(log),
		kfake.ClusterID("relay-dev"),
		kfake.ListenFn(gate.listen),
		kfake.BrokerConfigs(map[string]string{
			// The cleaner rewrites segments in place, which loses records when the process is killed in between.
			// compactDir does its work on a copy.
			"log.cleaner.backoff.ms": strconv.FormatInt(maxMillis, 10),
			// A developer comes back after a holiday: without this a group has lost its place after 7 days. Ten years.
			"offsets.retention.minutes": strconv.Itoa(10 * 365 * 24 * 60),
		}),
	)
}

// ensureTopics makes the topics that are missing and adjusts the settings of the others, through the closed gate.
// Partition counts of existing topics stay.
func ensureTopics(ctx context.Context, cluster *kfake.Cluster, gate *gate, specs []relay.TopicSpec) error {
	ctx, cancel := context.WithTimeoutCause(ctx, setupTimeout, fmt.Errorf("topics not set up within %s", setupTimeout))
	defer cancel()
	admin, err := privateAdmin(gate)
	if err != nil {
		return err
	}
	defer admin.Close()
	if _, err := relay.CreateTopics(ctx, admin, 1, specs); err != nil {
		return err
	}
	for _, spec := range specs {
		changes := changedConfigs(cluster.TopicInfo(spec.Name), spec.Configs)
		if len(changes) == 0 {
			continue
		}
		answers, err := admin.AlterTopicConfigs(ctx, changes, spec.Name)
		if err == nil && len(answers) == 1 {
			err = answers[0].Err
		}
		if err != nil {
			return fmt.Errorf("configure topic %s: %w", spec.Name, err)
		}
	}
	return nil
}

// changedConfigs are the settings of want that the topic does not have.
func changedConfigs(info *kfake.TopicInfo, want map[string]string) []kadm.AlterConfig {
	var changes []kadm.AlterConfig
	for name, value := range want {
		if have := info.Configs[name]; have == nil || *have != value {
			changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
		}
	}
	return changes
}

// privateAdmin reaches a broker through its closed gate. Closing it closes its client.
func privateAdmin(gate *gate) (*kadm.Client, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(gate.Addr().String()), kgo.Dialer(gate.dial))
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded Kafka: %w", err)
	}
	return kadm.NewClient(client), nil
}

// brokerLog writes the broker's own log: warnings and errors as such, the rest for debugging.
type brokerLog struct{ log *slog.Logger }

// Logf implements kfake.Logger.
func (b brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	}
	// The broker logs outside any request of ours, so there is no context to pass.
	ctx := context.Background()
	if !b.log.Enabled(ctx, to) {
		return
	}
	b.log.Log(ctx, to, "embedded_kafka", "message", fmt.Sprintf(format, args...))
}
