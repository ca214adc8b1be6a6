package advice

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/breaker"
)

// Follower takes advice and knows the breakers here; deliver.Dispatcher is the one there is. Endpoints are keys.
type Follower interface {
	Advise(endpoint string, a breaker.Advice)
	Hold(endpoint string, pause time.Duration)
	Breakers(most int) (list []catalog.BreakerStatus, complete bool)
}

// Options configure a Board. All but Instance are required.
type Options struct {
	// Redis may be down at any time. Its options should set ContextTimeoutEnabled, or a Redis that hangs is waited for
	// as long as its own timeouts say.
	Redis redis.UniversalClient
	// Prefix is in front of every key.
	Prefix string
	// Instance names this process in the list; random characters are added. Default: the host's name.
	Instance   string
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

const (
	// requestTimeout bounds every request to Redis.
	requestTimeout = time.Second
	// draftsKept bounds the notices that wait to be sent, one for each endpoint; more are shed.
	draftsKept = 1024
	// draftKept is how long a notice is worth sending: a probe is over by then.
	draftKept = 10 * time.Second
	// againAfter paces attempts to reach a Redis that is away.
	againAfter = time.Second
)

// Board is where instances post what they learn. Its methods may be called from any goroutine.
type Board struct {
	o        Options
	instance string
	log      *slog.Logger
	keys     keys
	notices  *prometheus.CounterVec

	mu       sync.Mutex       // guards what follows
	drafts   map[string]draft // by endpoint, and "hold" in front for pauses
	follower Follower         // set by Run

	wake chan struct{} // capacity 1: there are drafts
}

// keys are the names in Redis, all in one hash tag.
type keys struct{ channel, instances, of string }

// What becomes of notices, for the metric.
const (
	noticeSent      = "sent"
	noticeShed      = "shed"      // too many, or too old by the time Redis took one
	noticeFailed    = "failed"    // Redis did not take it
	noticeHeard     = "heard"     // another instance's
	noticeMalformed = "malformed" // of nobody we know
)

// New returns a board on which nothing is posted before Run.
func New(o Options) *Board {
	name := o.Instance
	if name == "" {
		name, _ = os.Hostname() // any name will do
	}
	base := o.Prefix + "{breakers}:"
	b := &Board{
		o: o, instance: name + "-" + strings.ToLower(rand.Text()[:6]), log: o.Log.With("component", "advice"),
		keys:    keys{channel: base + "advice", instances: base + "instances", of: base + "of:"},
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_advice_total", Help: "Notices about endpoints between instances, by what became of them."}, []string{"result"}),
		drafts:  map[string]draft{}, wake: make(chan struct{}, 1),
	}
	for _, result := range []string{noticeSent, noticeShed, noticeFailed, noticeHeard, noticeMalformed} {
		b.notices.WithLabelValues(result)
	}
	o.Registerer.MustRegister(b.notices)
	return b
}

// Instance is the name of this process in the list.
func (b *Board) Instance() string { return b.instance }

// Run sends, receives and lists until ctx ends. It is called once.
func (b *Board) Run(ctx context.Context, f Follower) {
	b.mu.Lock()
	b.follower = f
	b.mu.Unlock()
	var all sync.WaitGroup
	all.Go(func() { b.send(ctx) })
	all.Go(func() { b.receive(ctx, f) })
	all.Go(func() { b.keepListed(ctx, f) })
	all.Wait()
}

// Changed posts what the breaker of an endpoint, given by its key, did. It never blocks.
func (b *Board) Changed(endpoint string, c breaker.Change) {
	if told(c) {
		b.post(endpoint, draft{seq: c.Seq, state: c.To, until: time.Now().Add(c.Wait), opens: c.Opens})
	}
}

// Held posts a pause that the receiver asked for. It never blocks.
func (b *Board) Held(endpoint string, pause time.Duration) {
	b.post("hold "+endpoint, draft{until: time.Now().Add(pause)})
}

// post replaces what waits to be said of the endpoint, unless that is newer.
func (b *Board) post(key string, d draft) {
	d.made = time.Now()
	b.mu.Lock()
	waiting, known := b.drafts[key]
	switch {
	case known && waiting.seq > d.seq && d.made.Sub(waiting.made) < draftKept: // callbacks may overtake each other
	case !known && len(b.drafts) >= draftsKept:
		b.notices.WithLabelValues(noticeShed).Inc()
	default:
		b.drafts[key] = d
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *Board) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		}
		if !b.publish(ctx) && !sleep(ctx, againAfter) {
			return
		}
	}
}

// publish sends everything that waits, in one request. What fails is not sent again.
func (b *Board) publish(ctx context.Context) (ok bool) {
	b.mu.Lock()
	drafts := b.drafts
	b.drafts = make(map[string]draft, len(drafts))
	b.mu.Unlock()
	now := time.Now()
	pipe := b.o.Redis.Pipeline()
	for key, d := range drafts {
		if now.Sub(d.made) > draftKept {
			b.notices.WithLabelValues(noticeShed).Inc()
			continue
		}
		endpoint := catalog.EndpointID(strings.TrimPrefix(key, "hold "))
		text, err := json.Marshal(d.notice(b.instance, endpoint, now))
		if err != nil {
			panic("advice: " + err.Error()) // strings and numbers only
		}
		pipe.Publish(ctx, b.keys.channel, text)
	}
	count := pipe.Len()
	if count == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	result := noticeSent
	if _, err := pipe.Exec(ctx); err != nil {
		result, ok = noticeFailed, false
		b.log.Debug("advice_not_sent", "notices", count, "err", err)
	} else {
		ok = true
	}
	b.notices.WithLabelValues(result).Add(float64(count))
	return ok
}

// receive hears the others. Each time it is subscribed anew, what it may have missed is in the list.
func (b *Board) receive(ctx context.Context, f Follower) {
	subscription := b.o.Redis.Subscribe(ctx, b.keys.channel)
	heard := subscription.ChannelWithSubscriptions()
	defer func() {
		_ = subscription.Close()
		for range heard { // until the client's own goroutine has ended
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case message, ok := <-heard:
			if !ok {
				return
			}
			switch m := message.(type) {
			case *redis.Subscription:
				b.catchUp(ctx, f)
			case *redis.Message:
				b.hear(m.Payload, f)
			}
		}
	}
}

// hear takes in one notice.
func (b *Board) hear(text string, f Follower) {
	n, ref, err := decodeNotice(text)
	switch {
	case err != nil:
		b.notices.WithLabelValues(noticeMalformed).Inc()
		return
	case n.From == b.instance:
		return
	}
	b.notices.WithLabelValues(noticeHeard).Inc()
	if n.State == "" {
		f.Hold(ref.Key(), time.Duration(n.HoldMS)*time.Millisecond)
		return
	}
	f.Advise(ref.Key(), breaker.Advice{To: n.State, Wait: time.Duration(n.WaitMS) * time.Millisecond, Opens: n.Opens})
}

// catchUp takes the others' lists as advice: an instance that starts, or was cut off, knows of dead endpoints before it
// tries them. The waits in it depend on the clocks of both; they are bounded as all advice is.
func (b *Board) catchUp(ctx context.Context, f Follower) {
	list, _, err := b.others(ctx)
	if err != nil {
		b.log.Debug("advice_not_read", "err", err)
		return
	}
	now := time.Now()
	for _, s := range list {
		ref, ok := catalog.ParseEndpointID(s.Endpoint)
		if !ok {
			continue
		}
		if wait := s.NextProbe.Sub(now); s.State == catalog.BreakerOpen && wait > 0 {
			f.Advise(ref.Key(), breaker.Advice{To: breaker.Open, Wait: wait, Opens: s.Openings})
		}
		if pause := s.HeldUntil.Sub(now); pause > 0 {
			f.Hold(ref.Key(), min(pause, maxNoticeWait))
		}
	}
}

// sleep waits, and returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
