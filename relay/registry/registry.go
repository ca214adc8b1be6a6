package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// Options are what a Registry is made of.
type Options struct {
	// Kafka are the options of every client that the registry makes: seeds, TLS, SASL.
	Kafka  []kgo.Opt
	Topics relay.Topics
	// Redis holds the cache and may be down at any time. Its options should set ContextTimeoutEnabled, or a Redis
	// that hangs is waited for as long as its own timeouts say.
	Redis redis.UniversalClient
	// RedisPrefix is in front of every key. Default "relay:".
	RedisPrefix string
	// Keys are the master keys at start; SetKeys replaces them.
	Keys *Keyring
	// Rewrap makes it this process's task to bring records that are sealed with another master key under the first one.
	// One process of a fleet is enough; several do no harm.
	Rewrap bool
	// Log default: slog.Default.
	Log *slog.Logger
	// Registerer may be nil: nothing is exported then.
	Registerer prometheus.Registerer
	// Announce gives the record of another topic by which the platform learns that a suspension began or ended. It is
	// written in the transaction of the suspension, to partition 0, so that neither is there without the other. w is as
	// it was decided on, applied the offset that it is known at. Nil, or a nil record: nothing is announced.
	Announce func(w *catalog.Webhook, s *catalog.Suspension, applied int64) *kgo.Record
	// FreshFor is how long a confirmation counts (see Fresh). Default 30 s.
	FreshFor time.Duration
}

// defaultFreshFor leaves six attempts at confirmEvery before intake pauses.
const defaultFreshFor = 30 * time.Second

// ErrClosed is returned by waits and writes after Run has ended.
var ErrClosed = errors.New("registry is closed")

// timing are the waits that tests shorten.
type timing struct {
	// confirmEvery is how often the end offset is asked for.
	confirmEvery time.Duration
	// barrierAfter is how long the tail may stand below the end before a barrier is written.
	barrierAfter time.Duration
	// writeWithin bounds a write whose caller has no earlier deadline.
	writeWithin time.Duration
	// cacheEvery is how often the cache in Redis is looked after when nothing changes.
	cacheEvery time.Duration
	// sealEvery is how often it is looked for records under old master keys.
	sealEvery time.Duration
}

func defaultTiming(freshFor time.Duration) timing {
	return timing{
		confirmEvery: min(5*time.Second, freshFor/6),
		barrierAfter: 2 * time.Second,
		writeWithin:  20 * time.Second,
		cacheEvery:   2 * time.Second,
		sealEvery:    10 * time.Second,
	}
}

// Registry is one process's view of the topic and its way to write it. See the package comment.
type Registry struct {
	opts     Options
	timing   timing
	topic    string
	instance string // random, names this process in what it writes
	log      *slog.Logger
	metrics  *metrics

	snapshot *snapshot // written by the applying goroutine
	applied  *position // advanced by the applying goroutine; fails when the tail cannot go on
	written  *writeLog // which of this process's writes came back through the tail
	onChange []func(Change)
	// onBreaker is told of the endpoints whose forced breaker changed.
	onBreaker []func(endpoint string)
	keyless   limitedLog // of the applying goroutine

	// applying is held while a batch is applied, while the keyring is replaced, and while records that waited for a
	// master key are applied: a batch is decoded and noted by one keyring.
	applying sync.Mutex
	rekeyed  atomic.Pointer[Keyring] // set by SetKeys; nil: Options.Keys
	rekey    chan struct{}           // capacity 1: the keyring was replaced
	stale    *staleRecords

	writer *writer
	cache  *cache

	// Set by Run before it closes connected, read-only afterwards.
	client    *kgo.Client // admin requests and barriers
	admin     *kadm.Client
	connected chan struct{}
	running   atomic.Bool

	mu        sync.Mutex // guards what follows
	topicID   kadm.TopicID
	end       int64
	confirmed time.Time
	source    Source
	complete  bool
	settled   chan struct{} // closed and replaced whenever complete or held may have changed
	held      error         // why a confirmed snapshot is not complete: master keys are missing
}

// New makes a registry that Run brings to life. It does no I/O.
func New(o Options) (*Registry, error) {
	switch {
	case o.Redis == nil:
		return nil, errors.New("registry: option Redis is required")
	case o.Keys == nil:
		return nil, errors.New("registry: option Keys is required: secrets are stored encrypted")
	}
	if o.RedisPrefix == "" {
		o.RedisPrefix = "relay:"
	}
	if o.FreshFor <= 0 {
		o.FreshFor = defaultFreshFor
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	r := &Registry{
		opts: o, timing: defaultTiming(o.FreshFor), topic: o.Topics.Webhooks(), instance: hex.EncodeToString(randomBytes(8)),
		log: o.Log.With("component", "registry"), snapshot: newSnapshot(), applied: newPosition(), written: newWriteLog(),
		connected: make(chan struct{}), settled: make(chan struct{}), rekey: make(chan struct{}, 1), stale: newStaleRecords(),
	}
	var err error
	if r.metrics, err = newMetrics(o.Registerer, r); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	r.keyless.log = r.log
	r.cache = newCache(r)
	r.writer = newWriter(r)
	return r, nil
}

// OnChange registers f to be called with every change, one at a time and for each webhook in the order of offsets,
// before Applied advances past the change. (What waited for a master key comes late, when SetKeys has brought it.)
// Call it before Run; f must not block and must not write.
func (r *Registry) OnChange(f func(Change)) { r.onChange = append(r.onChange, f) }

// Run loads what Redis holds, tails the topic and looks after the cache until ctx ends, and returns nil then. It
// owns every goroutine of the registry and has stopped them when it returns. It is called once.
func (r *Registry) Run(ctx context.Context) error {
	if !r.running.CompareAndSwap(false, true) {
		return errors.New("registry: Run is called once")
	}
	client, err := kgo.NewClient(append(r.clientOptions(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return fmt.Errorf("registry: make a Kafka client: %w", err)
	}
	defer client.Close()
	r.client, r.admin = client, kadm.NewClient(client)
	close(r.connected)
	// Writers wait on applied, so failing it first lets the writer be closed.
	defer r.writer.close()
	defer r.fail(ErrClosed)

	from, err := r.start(ctx)
	if err != nil {
		return endOf(ctx, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.tail(ctx, from) })
	group.Go(func() error { return r.keepFresh(ctx) })
	group.Go(func() error { return r.cache.run(ctx) })
	group.Go(func() error { return r.keepSealed(ctx) })
	return endOf(ctx, group.Wait())
}

// endOf is nil when err is only that ctx has ended.
func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err())) {
		return nil
	}
	return err
}

// clientOptions are those of every client: the operator's, and a copy so that appending never shares memory.
func (r *Registry) clientOptions() []kgo.Opt { return append([]kgo.Opt(nil), r.opts.Kafka...) }

// Applied is the next offset to apply: everything below it is in the snapshot, and every callback has seen it.
func (r *Registry) Applied() int64 { return r.applied.get() }

// WaitApplied waits until Applied is at least offset.
func (r *Registry) WaitApplied(ctx context.Context, offset int64) error {
	if err := r.applied.wait(ctx, offset); err != nil {
		return fmt.Errorf("wait until offset %d of %s is applied: %w", offset, r.topic, err)
	}
	return nil
}
