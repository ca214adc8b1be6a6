package divert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/jobs"
)

// Webhooks is the registry, as far as resending needs it.
type Webhooks interface {
	// Suspension returns the latest suspension of a webhook, nil when there never was one, and the webhook, nil
	// when it is deleted.
	Suspension(uid string) (*catalog.Suspension, *catalog.Webhook)
}

// Resender takes a delivery to the retry topics.
type Resender interface {
	// Enqueue writes d durably, to be due after wait, and calls acked once it is.
	Enqueue(d *relay.Delivery, wait time.Duration, acked func())
}

// Options of a Store. Kafka, Topics, Redis, Webhooks, Resend and Log are required.
type Options struct {
	// Kafka says how to reach the brokers; the Store adds its own options to the clients that it makes.
	Kafka  []kgo.Opt
	Topics relay.Topics
	Redis  redis.UniversalClient
	// RedisPrefix comes before every key, "relay:" for example.
	RedisPrefix string
	Webhooks    Webhooks
	Resend      Resender
	Log         *slog.Logger
	// Jobs keeps the bulk operations, which the sweeper carries out; nil: there are none.
	Jobs *jobs.Store
	// Registerer of the metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer

	// IndexWait is how long a read waits for the index to reach the end of the topic. Default 2 s.
	IndexWait time.Duration
	// CheckEvery is how often the tail looks whether the index is still there. Default 1 s.
	CheckEvery time.Duration
	// SweepEvery is how often the sweeper looks for what is to be sent on. Default 1 s.
	SweepEvery time.Duration
	// SweepInFlight bounds the deliveries of one webhook that are being resent at once, so that an endpoint that
	// fails again keeps the rest where it can be listed. Default 1000.
	SweepInFlight int
	// Retention is how long a diverted event is kept, divert.retention. Default 30 days.
	Retention time.Duration
	// ExpireEvery is how often the sweeper looks for what is older. Default 1 min.
	ExpireEvery time.Duration
	// OnExpired is told what was removed for its age, once a webhook and look; nil: nobody is. It must not block.
	OnExpired func(uid string, count int, oldest time.Time)
}

func (o Options) withDefaults() Options {
	if o.IndexWait == 0 {
		o.IndexWait = 2 * time.Second
	}
	if o.CheckEvery == 0 {
		o.CheckEvery = time.Second
	}
	if o.SweepEvery == 0 {
		o.SweepEvery = time.Second
	}
	if o.SweepInFlight == 0 {
		o.SweepInFlight = 1000
	}
	if o.Retention == 0 {
		o.Retention = 30 * 24 * time.Hour
	}
	if o.ExpireEvery == 0 {
		o.ExpireEvery = time.Minute
	}
	return o
}

func (o Options) validate() error {
	for _, required := range []struct {
		name string
		set  bool
	}{
		{"Kafka", len(o.Kafka) > 0}, {"Topics.MaxEventBytes", o.Topics.MaxEventBytes > 0}, {"Redis", o.Redis != nil},
		{"Webhooks", o.Webhooks != nil}, {"Resend", o.Resend != nil}, {"Log", o.Log != nil},
	} {
		if !required.set {
			return fmt.Errorf("divert: option %s is missing", required.name)
		}
	}
	if o.SweepInFlight < 0 || o.IndexWait < 0 || o.CheckEvery < 0 || o.SweepEvery < 0 || o.Retention < 0 || o.ExpireEvery < 0 {
		return errors.New("divert: options IndexWait, CheckEvery, SweepEvery, SweepInFlight, Retention and ExpireEvery must not be negative")
	}
	return nil
}

// Store writes, lists, resends and deletes diverted events. All methods may be called concurrently.
type Store struct {
	o       Options
	log     *slog.Logger
	topic   string
	client  *kgo.Client // writes, asks for offsets, reads single records; the tail has a client of its own
	admin   *kadm.Client
	journal *relay.Journal
	chains  *chains
	layout  layoutCache
	index   index
	metrics *metrics

	kick chan struct{} // one token: sweep now
	// barrierAt is when the last barrier of any partition was written, Unix ms.
	barrierAt atomic.Int64
	// crash is set by tests before anything runs, see reach.
	crash func(crashPoint) error
}

// ProducerOpts are what a client needs that writes to the diverted topic: partitioned by the uid in the key.
func ProducerOpts(topics relay.Topics) []kgo.Opt {
	return []kgo.Opt{
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int { return partitionOf })),
		kgo.ProducerBatchMaxBytes(int32(topics.MaxEventBytes + relay.EnvelopeBytes)),
	}
}

// New makes a Store. It does not connect; Close releases it.
func New(o Options) (*Store, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, o.Kafka...), ProducerOpts(o.Topics)...)...)
	if err != nil {
		return nil, fmt.Errorf("divert: kafka client: %w", err)
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("divert: metrics: %w", err)
	}
	log := o.Log.With("component", "divert")
	return &Store{
		o: o, log: log, topic: o.Topics.Diverted(), client: client, admin: kadm.NewClient(client),
		journal: relay.NewJournal(client, log), chains: newChains(), metrics: m,
		index: index{redis: o.Redis, prefix: o.RedisPrefix},
		kick:  make(chan struct{}, 1),
	}, nil
}

// Close waits for open operations until ctx ends, then gives up the rest: what they resolve stays as it is. Call it
// after RunIndex has returned and everything that diverts has stopped.
func (s *Store) Close(ctx context.Context) error {
	err := s.chains.wait(ctx)
	err = errors.Join(err, s.journal.Close(ctx)) // releases a follow-up that waits for room in the buffer
	s.chains.stop()
	s.client.Close()
	return err
}

// Abandon gives up what is not acknowledged, now and from now on. Writes that wait for room return.
func (s *Store) Abandon() { s.journal.Abandon() }

// Failing is the number of records whose last write failed and that are being written again.
func (s *Store) Failing() int64 { return s.journal.Failing() }

// Put diverts d. acked is called when its record is acknowledged and, for a resend that failed, the tombstones of the
// generation it came from are too; until then nothing that d settles may be settled. acked must not block.
//
// Put blocks while the producer's buffer is full.
func (s *Store) Put(d *relay.Delivery, why Why, acked func()) {
	s.metrics.put(why.Reason)
	key := KeyOf(d)
	old, resend := s.divertKey(d)
	s.chains.begin()
	finish := func() { acked(); s.chains.end() }
	s.journal.Write(divertedRecord(s.topic, d, why, time.Now()), func() {
		switch {
		case !resend:
			finish()
		case old == key: // never erase what was just written
			s.chains.follow(func() { s.writeAll(finish, markerTombstone(s.topic, old)) })
		default:
			s.chains.follow(func() { s.remove(old, finish) })
		}
	})
}

// Resolve removes the diverted event that d is a resend of: it was delivered, or dropped by its webhook's failure
// handling. Without effect, and acked at once, for a delivery that is no resend.
func (s *Store) Resolve(d *relay.Delivery, acked func()) {
	key, resend := s.divertKey(d)
	if !resend {
		acked()
		return
	}
	s.metrics.resolved.Inc()
	s.chains.begin()
	s.remove(key, func() { acked(); s.chains.end() })
}

// Release ends the resend d without a result, because the webhook was deleted or disabled: the diverted event stays
// listed.
func (s *Store) Release(d *relay.Delivery, acked func()) {
	key, resend := s.divertKey(d)
	if !resend {
		acked()
		return
	}
	s.chains.begin()
	s.writeAll(func() { acked(); s.chains.end() }, markerTombstone(s.topic, key))
}

// divertKey is the diverted event that d is a resend of. A key that does not parse names nothing that could be
// resolved; the entry then stays listed, which an operator sees.
func (s *Store) divertKey(d *relay.Delivery) (Key, bool) {
	if d.DivertKey == "" {
		return Key{}, false
	}
	key, err := ParseKey(d.DivertKey)
	if err != nil {
		s.metrics.badRecords.Inc()
		s.log.Warn("divert_key_invalid", "delivery", d.ID, "uid", d.UID, "err", err)
		return Key{}, false
	}
	return key, true
}

// remove writes the tombstones of a generation and of its marker.
func (s *Store) remove(key Key, acked func()) {
	s.writeAll(acked, tombstone(s.topic, key), markerTombstone(s.topic, key))
}

// writeAll writes the records and calls acked when all are acknowledged.
func (s *Store) writeAll(acked func(), recs ...*kgo.Record) {
	var left atomic.Int32
	left.Store(int32(len(recs)))
	for _, rec := range recs {
		s.journal.Write(rec, func() {
			if left.Add(-1) == 0 {
				acked()
			}
		})
	}
}
