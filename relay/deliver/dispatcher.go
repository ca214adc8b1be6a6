package deliver

import (
	"context"
	"crypto/rsa"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/deliver/token"
	"eventrelay/relay/divert"
)

// Webhooks is the registry, as far as deliveries need it.
type Webhooks interface {
	// Webhook returns the webhook as it is now with its suspension and integration; nil when it was deleted.
	Webhook(uid string) (*catalog.Webhook, *catalog.Suspension, *catalog.Integration)
	// Suspend suspends a webhook because of the delivery of an event of that type and returns the epoch; it is
	// idempotent while the suspension is active.
	Suspend(ctx context.Context, uid, eventType, reason, lastFailure string) (*catalog.Suspension, error)
}

// Retrier keeps a delivery until it is due. acked is called when its record is durable.
type Retrier interface {
	Enqueue(d *relay.Delivery, wait time.Duration, acked func())
}

// Diverter keeps deliveries for an operator.
type Diverter interface {
	Put(d *relay.Delivery, why divert.Why, acked func())
	// Resolve removes the entry that a successful resend came from.
	Resolve(d *relay.Delivery, acked func())
	// Release makes the entry of a cancelled resend plain diverted again.
	Release(d *relay.Delivery, acked func())
}

// Sender makes one attempt over HTTP; outbound.Client is the one there is. One that is a token.Doer as well, as that is,
// serves endpoints with OAuth2.
type Sender interface {
	Do(ctx context.Context, r *outbound.Request) outbound.Result
}

// AttemptRecorder keeps a trace of attempts; AttemptLog is the one there is. Write is best effort, WriteDropped calls
// acked when the record is durable.
type AttemptRecorder interface {
	Write(d *relay.Delivery, res outbound.Result, next Next)
	WriteDropped(d *relay.Delivery, res outbound.Result, next Next, acked func())
}

// Options configure a Dispatcher. Fields without a default are required.
type Options struct {
	Webhooks Webhooks
	// Pair gives a tenant's key pair, nil when it has none. Default: none has.
	Pair     func(tenant string) *rsa.PrivateKey
	Client   Sender
	Retry    Retrier
	Divert   Diverter
	Attempts AttemptRecorder
	Breaker  breaker.Settings
	// Forced is what an operator decided about the breaker of an endpoint, by its key, as it is now; see Follow.
	// Default: nothing. It is called inside the dispatcher's lock and must not call the dispatcher.
	Forced func(endpoint string) catalog.BreakerState
	// Contended reports that others wait for room in the window; Share is how many fresh deliveries one endpoint
	// may hold while they do, Room how many the window holds, which tenants then divide. Room 0: they do not.
	Contended func() bool
	Share     int
	Room      int
	// Instances is how many instances are live: limits of endpoints are divided by it. Default: one.
	Instances func() int
	// Memory bounds what attempts under way take. Default: defaultMemory.
	Memory Memory
	// HandOffAfter is the age at which a first attempt that has not begun is handed off. Default 5 s.
	HandOffAfter time.Duration
	// SmallestDelay is the shortest class of the retry wheel.
	SmallestDelay time.Duration
	// OnReport, when set, sees every outcome; OnBreaker every transition; OnHold every pause that a receiver asks for.
	// They must neither block nor call the dispatcher.
	OnReport  func(Report)
	OnBreaker func(endpoint string, c breaker.Change)
	OnHold    func(endpoint string, pause time.Duration)

	Log        *slog.Logger
	Registerer prometheus.Registerer
}

const (
	defaultHandOffAfter = 5 * time.Second
	// targetsKept bounds the compiled targets that are cached; the cache is dropped when it is full.
	targetsKept = 100_000
)

// Dispatcher routes tasks into lanes and carries out what follows. See the package comment.
type Dispatcher struct {
	o       Options
	metrics *metrics
	tokens  *token.Tokens
	room    *room

	ctx  context.Context // of suspensions and their retries; ends at Close
	stop context.CancelFunc
	work sync.WaitGroup // attempts and suspensions

	gate *gate

	lastLane atomic.Pointer[lane] // of the latest fresh delivery
	switched atomic.Int64         // Unix ns: when lastLane last changed

	lanesMu sync.RWMutex // guards what follows
	lanes   map[string]*lane
	tenants map[string]*tenant      // of the lanes
	parked  map[string]parkedAdvice // for endpoints without a lane

	targetsMu sync.RWMutex
	targets   map[targetKey]*target
}

type targetKey struct{ uid, office string }

// New returns a dispatcher that is ready for Submit. Run and Close belong to the caller.
func New(o Options) *Dispatcher {
	if o.HandOffAfter == 0 {
		o.HandOffAfter = defaultHandOffAfter
	}
	if o.Memory == (Memory{}) {
		o.Memory = defaultMemory
	}
	if o.Instances == nil {
		o.Instances = func() int { return 1 }
	}
	if o.Pair == nil {
		o.Pair = func(string) *rsa.PrivateKey { return nil }
	}
	if o.OnReport == nil {
		o.OnReport = func(Report) {}
	}
	if o.OnBreaker == nil {
		o.OnBreaker = func(string, breaker.Change) {}
	}
	if o.OnHold == nil {
		o.OnHold = func(string, time.Duration) {}
	}
	if o.Forced == nil {
		o.Forced = func(string) catalog.BreakerState { return "" }
	}
	ctx, stop := context.WithCancel(context.Background())
	d := &Dispatcher{
		o: o, ctx: ctx, stop: stop, lanes: map[string]*lane{}, tenants: map[string]*tenant{}, parked: map[string]parkedAdvice{},
		targets: map[targetKey]*target{}, room: newRoom(o.Memory),
	}
	d.metrics = newMetrics(d, o.Registerer)
	asker, _ := o.Client.(token.Doer) // nil: endpoints with OAuth2 cannot be served
	d.tokens = token.New(asker, o.Registerer)
	d.gate = newGate(d.overdue)
	return d
}

// Submit takes over a task. It returns at once, except while the producer's buffer is full.
func (d *Dispatcher) Submit(t *Task) {
	webhook, suspension, integration := d.o.Webhooks.Webhook(t.Delivery.UID)
	now := time.Now()
	t.submitted = now
	if next := routed(t.Delivery, webhook, suspension, now); next.Action != ActionSend {
		d.settle(t, webhook, next, outbound.Result{})
		return
	}
	if t.Refused != nil {
		t.Delivery.LastError = t.Refused.Error()
		d.settle(t, webhook, Next{Action: ActionDivert, Reason: divert.ReasonFilterError}, outbound.Result{})
		return
	}
	tgt := d.target(webhook, integration, t.Delivery.Event.Office)
	switch {
	case tgt.err != nil:
		t.Delivery.LastError = tgt.err.Error()
		d.settle(t, webhook, Next{Action: ActionDivert, Reason: divert.ReasonInvalid}, outbound.Result{})
		return
	case !tgt.endpoint.Enabled:
		d.settle(t, webhook, Next{Action: ActionCancel}, outbound.Result{})
		return
	}
	d.enqueue(t, tgt, now)
}

// enqueue puts the task into its lane, or hands it off where the lane cannot take it.
func (d *Dispatcher) enqueue(t *Task, tgt *target, now time.Time) {
	for {
		l := d.lane(tgt.endpoint.Key, tgt.webhook.Tenant)
		l.mu.Lock()
		if l.evicted {
			l.mu.Unlock()
			continue
		}
		l.lastUsed = now
		l.configure(tgt.endpoint.Concurrency, tgt.endpoint.RateLimit, d.o.Instances())
		switch l.admit(t, now, d.pressure(l, t, now)) {
		case admitPostpone:
			wait := l.pace(now, max(l.blocked(now), l.drainTime(now), d.o.SmallestDelay))
			l.mu.Unlock()
			d.postpone(t, wait)
			return
		case admitWait:
			l.mu.Unlock()
			if !d.pause(t) {
				d.Postpone(t)
				return
			}
			now = time.Now()
			continue
		}
		t.endpoint = l.key
		l.queues[t.Share].push(t)
		if t.Share == Fresh {
			l.held++
		}
		d.pump(l, now)
		l.mu.Unlock()
		return
	}
}

// othersFor is how long a delivery for another endpoint is remembered: while there are several, none may make the
// others wait.
const othersFor = 10 * time.Second

// pressure notes which endpoint is served and says whether there are others.
func (d *Dispatcher) pressure(l *lane, t *Task, now time.Time) pressure {
	if t.Share == Fresh {
		if last := d.lastLane.Swap(l); last != nil && last != l {
			d.switched.Store(now.UnixNano())
		}
	}
	return d.pressureAt(now)
}

func (d *Dispatcher) pressureAt(now time.Time) pressure {
	return pressure{others: now.UnixNano()-d.switched.Load() < int64(othersFor), contended: d.o.Contended(), share: d.o.Share, age: d.o.HandOffAfter}
}

// pause makes intake wait for a lane that has enough. It returns false when the owner cannot wait any longer.
func (d *Dispatcher) pause(t *Task) bool {
	timer := time.NewTimer(pauseFor)
	defer timer.Stop()
	select {
	case <-timer.C:
		return time.Since(t.waitsSince()) < d.o.HandOffAfter
	case <-t.Context.Done():
		return false
	case <-d.ctx.Done():
		return false
	}
}

// pauseFor is short against aloneFor, so that the lane never runs dry.
const pauseFor = 20 * time.Millisecond

// pump starts as many attempts as may start. Callers hold l.mu.
func (d *Dispatcher) pump(l *lane, now time.Time) {
	for {
		ready, wait := l.ready(now)
		if !ready {
			if wait > 0 && l.wake == nil {
				l.wake = time.AfterFunc(wait, func() {
					l.mu.Lock()
					defer l.mu.Unlock()
					l.wake = nil
					d.pump(l, time.Now())
				})
			}
			return
		}
		p := d.gate.enter(l, now)
		if p == nil {
			return // in line
		}
		t := l.start(now)
		d.work.Add(1)
		go d.run(l, t, p)
	}
}

// run makes attempts while it has a place, so that busy lanes share the goroutines that there are: for its own lane as
// long as nobody waits, else for the lane whose turn it is.
func (d *Dispatcher) run(l *lane, t *Task, p *place) {
	defer d.work.Done()
	for t != nil {
		d.attempt(l, t)
		now := time.Now()
		l.mu.Lock()
		l.running--
		l.lastUsed = now
		if t.Share == Fresh {
			l.held--
		}
		t = nil
		if d.gate.stays(p) {
			if ready, _ := l.ready(now); ready {
				t = l.start(now)
				p.since.Store(now.UnixNano())
			}
		}
		// After a success the slow start may allow more than this goroutine; after a pause the timer must be set.
		d.pump(l, now)
		l.mu.Unlock()
		if t == nil {
			l, t = d.turn(p, now)
		}
	}
}

// turn starts an attempt of the lane whose turn it is; nil: there is none, and the place is given back.
func (d *Dispatcher) turn(p *place, now time.Time) (*lane, *Task) {
	for l := d.gate.next(p, now); l != nil; l = d.gate.next(p, now) {
		var t *Task
		l.mu.Lock()
		l.turns--
		if ready, _ := l.ready(now); ready {
			t = l.start(now)
		}
		d.pump(l, now) // what it has besides waits for another turn
		l.mu.Unlock()
		if t != nil {
			return l, t
		}
	}
	return nil, nil
}

// overdue serves the line with the places of attempts that only wait. The gate's timer calls it.
func (d *Dispatcher) overdue() {
	for {
		now := time.Now()
		p := d.gate.spare(now)
		if p == nil {
			return
		}
		if l, t := d.turn(p, now); t != nil {
			d.work.Add(1)
			go d.run(l, t, p)
		}
	}
}

// HandOff hands off the tasks of an owner that have not begun, without an attempt.
func (d *Dispatcher) HandOff(owner any) {
	for _, t := range d.recall(func(t *Task) bool { return t.Owner == owner }) {
		d.postpone(t, d.o.SmallestDelay)
	}
}

// Postpone hands off a task that was never submitted.
func (d *Dispatcher) Postpone(t *Task) { d.postpone(t, d.o.SmallestDelay) }

// Drop forgets the tasks of an owner that lost its partition: the next owner reads them again.
func (d *Dispatcher) Drop(owner any) {
	for _, t := range d.recall(func(t *Task) bool { return t.Owner == owner }) {
		t.Done()
	}
}

func (d *Dispatcher) recall(match func(*Task) bool) []*Task {
	var tasks []*Task
	for _, l := range d.allLanes() {
		l.mu.Lock()
		tasks = append(tasks, l.recall(match)...)
		l.mu.Unlock()
	}
	return tasks
}

// recall takes matching tasks out of both queues. Callers hold mu.
func (l *lane) recall(match func(*Task) bool) []*Task {
	fresh := l.queues[Fresh].removeIf(match)
	l.held -= len(fresh)
	return append(fresh, l.queues[Backlog].removeIf(match)...)
}

func (d *Dispatcher) allLanes() []*lane {
	d.lanesMu.RLock()
	defer d.lanesMu.RUnlock()
	list := make([]*lane, 0, len(d.lanes))
	for _, l := range d.lanes {
		list = append(list, l)
	}
	return list
}

// target compiles a webhook for an office, or finds it compiled. Snapshots are immutable, so that identity says
// whether the cached one is current.
func (d *Dispatcher) target(w *catalog.Webhook, in *catalog.Integration, office string) *target {
	if len(w.Overrides) == 0 {
		office = ""
	}
	key := targetKey{w.UID, office}
	d.targetsMu.RLock()
	t := d.targets[key]
	d.targetsMu.RUnlock()
	if t != nil && t.webhook == w && t.integration == in {
		return t
	}
	t = compileTarget(w, in, office, d.o.Pair(w.Tenant))
	if t.err != nil {
		return t // what it lacks may come without an edit of the webhook: the tenant's key pair
	}
	d.targetsMu.Lock()
	defer d.targetsMu.Unlock()
	if len(d.targets) >= targetsKept {
		clear(d.targets)
	}
	d.targets[key] = t
	return t
}

// Close waits until ctx ends for attempts and suspensions, then cancels what is left. Call it when every owner has
// drained.
func (d *Dispatcher) Close(ctx context.Context) error {
	idle := make(chan struct{})
	go func() {
		d.work.Wait()
		close(idle)
	}()
	defer d.stop()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	d.stop()
	<-idle
	return context.Cause(ctx)
}
