package history

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

const (
	// kept is how many attempts, and how many failures, are remembered of a webhook; keptFor is for how long, and how far
	// back counts go. Some 40 KiB of Redis for a webhook that is in use, three times that when its receiver answers at
	// length.
	kept    = 100
	keptFor = 7 * 24 * time.Hour
	// keptResponse bytes of a response are remembered here; the topic has the first KiB.
	keptResponse = 256

	// writeEvery is how often a batch is written; one takes at most batchWebhooks webhooks. With more in use than that
	// the list of one is behind by the number of batches, 25 s at most.
	writeEvery    = time.Second
	batchWebhooks = 2000
	// maxWebhooks and maxEntries bound what waits: 50 000 × 0.5 KiB, and 20 000 × 0.6 KiB, 36 MiB in all.
	maxWebhooks = 50_000
	maxEntries  = 20_000
	// writeTimeout bounds one batch, so that a Redis that hangs holds nothing but this goroutine.
	writeTimeout = 2 * time.Second
)

// RecentOptions configure a Recent. Redis is required.
type RecentOptions struct {
	Redis       redis.UniversalClient
	RedisPrefix string
	Log         *slog.Logger
	Registerer  prometheus.Registerer
}

// Recent remembers the latest attempts and the counts of each webhook in Redis. See the package comment.
type Recent struct {
	redis   redis.UniversalClient
	keys    keys
	log     *slog.Logger
	metrics *recentMetrics
	// every is writeEvery, shorter in tests.
	every time.Duration

	spare sync.Pool // of *tally that were written, for their memory

	// incomplete: counts were lost since the last batch, so that they begin anew with the next.
	incomplete atomic.Bool

	mu      sync.Mutex // guards what follows
	tallies map[string]*tally
	queue   []*tally // the tallies in the order in which they were begun
	entries int      // in all of them
}

// NewRecent makes a Recent that remembers nothing until Run runs: Run belongs to the caller.
func NewRecent(o RecentOptions) *Recent {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Recent{redis: o.Redis, keys: keys{o.RedisPrefix}, log: o.Log, every: writeEvery, tallies: map[string]*tally{}}
	r.metrics = newRecentMetrics(r, o.Registerer)
	return r
}

// entry is an attempt that is remembered until it is written.
type entry struct {
	attempt  Attempt
	response []byte
}

// tally is what was observed of one webhook since its last batch.
type tally struct {
	uid         string
	all, failed ring
	minutes     []minuteCounts // usually one
}

// ring holds the latest entries: what an older one would be pushed out by anyway is not kept.
type ring struct {
	entries []entry
	next    int // where the next entry goes once there are kept
}

// put adds an entry; false: it took the place of another.
func (r *ring) put(e entry) bool {
	if len(r.entries) < kept {
		r.entries = append(r.entries, e)
		return true
	}
	r.entries[r.next] = e
	r.next = (r.next + 1) % kept
	return false
}

func (r *ring) empty() {
	clear(r.entries)
	r.entries, r.next = r.entries[:0], 0
}

// each calls f with the entries, the oldest first.
func (r *ring) each(f func(*entry)) {
	for i := range r.entries {
		f(&r.entries[(r.next+i)%len(r.entries)])
	}
}

// Observe notes an attempt, or a delivery that was settled without one. It does not block and keeps neither a nor
// response beyond the next batches; response must not change any more.
func (r *Recent) Observe(a *Attempt, response []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tallies[a.UID]
	if t == nil {
		if len(r.tallies) >= maxWebhooks {
			r.metrics.shedCounts.Inc()
			r.incomplete.Store(true)
			return
		}
		if t, _ = r.spare.Get().(*tally); t == nil {
			t = &tally{}
		}
		t.uid = a.UID
		r.tallies[a.UID] = t
		r.queue = append(r.queue, t)
	}
	t.count(a)
	if a.Attempt == 0 {
		return
	}
	e := entry{attempt: *a, response: response[:min(len(response), keptResponse)]}
	r.remember(&t.all, e)
	if !a.Delivered() {
		r.remember(&t.failed, e)
	}
}

// remember puts an entry into a ring, unless there are too many in all. Called with mu held.
func (r *Recent) remember(in *ring, e entry) {
	if r.entries >= maxEntries && len(in.entries) < kept {
		r.metrics.shedEntries.Inc()
		return
	}
	if in.put(e) {
		r.entries++
	}
}

// take removes the tallies of one batch, those that wait longest.
func (r *Recent) take() []*tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.queue), batchWebhooks)
	batch := r.queue[:n:n]
	r.queue = r.queue[n:]
	if len(r.queue) == 0 {
		r.queue = nil // lets go of the array
	}
	for _, t := range batch {
		delete(r.tallies, t.uid)
		r.entries -= len(t.all.entries) + len(t.failed.entries)
	}
	return batch
}

// recycle lets go of what the tallies of a batch hold and keeps their memory.
func (r *Recent) recycle(batch []*tally) {
	for _, t := range batch {
		t.all.empty()
		t.failed.empty()
		t.uid, t.minutes = "", t.minutes[:0]
		r.spare.Put(t)
	}
}

// waiting is the number of webhooks whose observations are not written yet.
func (r *Recent) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tallies)
}

// Run writes what was observed until ctx ends, then what is left, once.
func (r *Recent) Run(ctx context.Context) {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.write(ctx)
		case <-ctx.Done():
			r.write(context.WithoutCancel(ctx)) // bounded by writeTimeout
			return
		}
	}
}

// recentMetrics count what is not remembered.
type recentMetrics struct {
	shedEntries, shedCounts, lost prometheus.Counter
}

func newRecentMetrics(r *Recent, reg prometheus.Registerer) *recentMetrics {
	shed := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_history_shed_total",
		Help: "What the recent view in Redis lacks: attempts (too many at once), counts (too many webhooks at once), batches (Redis did not take one)."}, []string{"what"})
	if reg != nil {
		waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "relay_history_waiting_webhooks",
			Help: "Webhooks whose latest attempts and counts are not written to Redis yet."}, func() float64 { return float64(r.waiting()) })
		reg.MustRegister(shed, waiting)
	}
	return &recentMetrics{shedEntries: shed.WithLabelValues("attempts"), shedCounts: shed.WithLabelValues("counts"), lost: shed.WithLabelValues("batches")}
}
