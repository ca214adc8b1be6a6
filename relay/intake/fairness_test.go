package intake

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/deliver"
	"eventrelay/relay/deliver/outbound"
	"eventrelay/relay/divert"
	"eventrelay/relay/intake/envelope"
	"eventrelay/relay/match"
)

// plant is an intake with its dispatcher on virtual time. Only Kafka and HTTP are not real: records are put into the
// assignments' inboxes, and an attempt takes as long as its endpoint's URL says.
type plant struct {
	t          *testing.T
	in         *Intake
	window     *Window
	dispatcher *deliver.Dispatcher
	index      *match.Index
	parts      []*published
	stop       func()

	mu        sync.Mutex
	webhooks  map[string]*catalog.Webhook
	delivered map[string][]delivered // by webhook
	handedOff map[string]int         // by webhook
}

// delivered is when an event was published and when it arrived.
type delivered struct{ at, arrived time.Time }

// published is a partition with a backlog of what is published and not yet polled.
type published struct {
	a       *Assignment
	backlog []*kgo.Record
	paused  bool
	offset  int64
}

func (p *plant) Webhook(uid string) (*catalog.Webhook, *catalog.Suspension, *catalog.Integration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.webhooks[uid], nil, nil
}

func (p *plant) Suspend(context.Context, string, string, string, string) (*catalog.Suspension, error) {
	return &catalog.Suspension{}, nil
}

// Enqueue takes what is handed off or failed: it is out of the window's way.
func (p *plant) Enqueue(d *relay.Delivery, _ time.Duration, acked func()) {
	p.mu.Lock()
	p.handedOff[d.UID]++
	p.mu.Unlock()
	acked()
}
func (p *plant) Put(_ *relay.Delivery, _ divert.Why, acked func())    { acked() }
func (p *plant) Resolve(_ *relay.Delivery, acked func())              { acked() }
func (p *plant) Release(_ *relay.Delivery, acked func())              { acked() }
func (p *plant) Write(*relay.Delivery, outbound.Result, deliver.Next) {}
func (p *plant) WriteDropped(_ *relay.Delivery, _ outbound.Result, _ deliver.Next, acked func()) {
	acked()
}
func (p *plant) Fresh() bool    { return true }
func (p *plant) Applied() int64 { return 1 }

// Do answers after what the host says: "200ms.example", "hang.example" (accepts and never answers), "drip.example" (a
// byte at a time for ever) and "tls.example" (a handshake that never ends) all last until the attempt's own timeout.
func (p *plant) Do(ctx context.Context, r *outbound.Request) outbound.Result {
	begun := time.Now()
	host := strings.TrimSuffix(strings.TrimPrefix(r.Endpoint.URL, "https://"), ".example")
	after, err := time.ParseDuration(host)
	res := outbound.Result{Status: 200}
	if err != nil {
		after, res = r.Endpoint.Timeout, outbound.Result{Class: outbound.ClassTimeout}
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		res = outbound.Result{Class: outbound.ClassCanceled}
	}
	res.Latency = time.Since(begun)
	return res
}

func (p *plant) report(r deliver.Report) {
	if r.Next.Action == deliver.ActionSettle {
		p.mu.Lock()
		defer p.mu.Unlock()
		d := r.Task.Delivery
		p.delivered[d.UID] = append(p.delivered[d.UID], delivered{d.Event.Time, r.At})
	}
}

// newPlant must be called inside a bubble.
func newPlant(t *testing.T, partitions int, limits Limits, room int) *plant {
	decoder, err := envelope.NewDecoder(envelope.Options{MaxEventBytes: 1 << 20, Domains: map[string]string{"debt": "debt"}})
	require.NoError(t, err)
	p := &plant{t: t, window: NewWindow(limits), index: match.NewIndex(), webhooks: map[string]*catalog.Webhook{}, delivered: map[string][]delivered{}, handedOff: map[string]int{}}
	log := slog.New(slog.DiscardHandler)
	p.dispatcher = deliver.New(deliver.Options{Webhooks: p, Client: p, Retry: p, Divert: p, Attempts: p, Contended: p.window.Contended,
		Share: limits.Deliveries / 8, Room: room, SmallestDelay: 5 * time.Second, OnReport: p.report, Log: log, Registerer: prometheus.NewRegistry()})
	p.in = &Intake{o: Options{Limits: limits, Decoder: decoder, Index: p.index, Registry: p, Dispatcher: p.dispatcher, Log: log}, window: p.window,
		metrics: newIntakeMetrics(prometheus.NewRegistry())}
	var run sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	run.Go(func() { p.dispatcher.Run(ctx) })
	for range partitions {
		a, _ := testAssignment(p.window, DefaultInbox)
		a.Topic, a.attempts = "debt", a.ctx
		a.Ledger = newLedger(p.window, func(*kgo.Record) {})
		p.parts = append(p.parts, &published{a: a})
		run.Go(func() { p.in.work(a) })
	}
	p.stop = func() {
		for _, part := range p.parts {
			part.a.end(ErrStopping)
		}
		cancel()
		run.Wait()
		require.NoError(t, p.dispatcher.Close(context.Background()))
	}
	return p
}

// webhook registers one that wants events of the type that has its name.
func (p *plant) webhook(uid, tenant, host string) {
	w := &catalog.Webhook{UID: uid, ID: uid, Tenant: tenant, Enabled: true, URL: "https://" + host + ".example", Events: []string{"of." + uid}, Format: catalog.FormatRaw,
		Retry: catalog.RetryStandard, FailureHandling: catalog.DefaultFailureHandling(), Delivery: catalog.DeliveryLimits{Timeout: catalog.Duration(15 * time.Second), Concurrency: 8}}
	require.NoError(p.t, p.index.Put(w, 1))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.webhooks[uid] = w
}

// publish puts an event for a webhook on a partition.
func (p *plant) publish(part int, uid, tenant string) {
	to := p.parts[part%len(p.parts)]
	to.backlog = append(to.backlog, &kgo.Record{Topic: "debt", Offset: to.offset, Timestamp: time.Now(), Value: []byte(`{}`), Headers: []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(fmt.Sprint(part, "-", to.offset))}, {Key: "ce_source", Value: []byte("/t")},
		{Key: "ce_type", Value: []byte("of." + uid)}, {Key: "ce_tenant", Value: []byte(tenant)}, {Key: "ce_time", Value: []byte(time.Now().UTC().Format(time.RFC3339Nano))}}})
	to.offset++
}

// poll does what the group's poll and gate do: gives every partition that is not paused what is there, and resumes.
func (p *plant) poll() {
	for _, part := range p.parts {
		if part.paused && part.a.mayResume() {
			part.paused = false
		}
		if n := min(len(part.backlog), 500); n > 0 && !part.paused {
			part.paused = part.a.put(part.backlog[:n])
			part.backlog = part.backlog[n:]
		}
	}
	synctest.Wait()
}

const pollEvery = 10 * time.Millisecond

// healthy are the delays of the deliveries of those webhooks, sorted.
func (p *plant) healthy(uids []string) (delays []time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, uid := range uids {
		for _, d := range p.delivered[uid] {
			delays = append(delays, d.arrived.Sub(d.at))
		}
	}
	slices.Sort(delays)
	return delays
}

// TestFairness: on the same partitions, one endpoint hangs, one drips, one never ends its TLS handshake, and one tenant
// publishes at three hundred times the rate of the others, and at twice the rate that its four hundred slow endpoints take. Every delivery to a healthy
// endpoint is done before the first attempt of those times out, and none of them is handed off.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, 8, DefaultLimits, DefaultLimits.Deliveries)
		defer p.stop()
		var well, ill, noisy []string
		for i := range 50 {
			well = append(well, fmt.Sprint("well", i))
			p.webhook(well[i], fmt.Sprint("tenant", i%5), []string{"1ms", "5ms", "20ms"}[i%3])
		}
		for i, host := range []string{"hang", "drip", "tls"} {
			ill = append(ill, fmt.Sprint("ill", i))
			p.webhook(ill[i], "tenant0", host)
		}
		for i := range 400 {
			noisy = append(noisy, fmt.Sprint("noisy", i))
			p.webhook(noisy[i], "noisy", "1s")
		}
		begun := time.Now()
		n, sent := 0, 0
		for time.Since(begun) < 8*time.Second {
			// A second's events: 100 for the healthy of five tenants, as many for each of the ill, and 6 000 for the noisy.
			well, tenant := well[sent%50], fmt.Sprint("tenant", sent%50%5)
			p.publish(n, well, tenant)
			sent++
			for i := range ill {
				p.publish(n+i, ill[i], "tenant0")
			}
			for i := range 60 {
				p.publish(n+i, noisy[(60*n+i)%400], "noisy")
			}
			n++
			p.poll()
			<-time.After(pollEvery)
		}
		for len(p.healthy(well)) < sent && time.Since(begun) < 15*time.Second {
			p.poll()
			<-time.After(pollEvery)
		}
		delays := p.healthy(well)
		require.Len(t, delays, sent, "all done before the first of the ill times out")
		require.Less(t, time.Since(begun), 15*time.Second)
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, uid := range well {
			require.Zero(t, p.handedOff[uid], uid)
		}
		p99 := delays[len(delays)*99/100]
		t.Logf("healthy: %d deliveries, p50 %s, p99 %s, max %s", len(delays), delays[len(delays)/2], p99, delays[len(delays)-1])
		require.Less(t, p99, time.Second)
	})
}

// TestFairness_ManyHang: a fifth of a thousand endpoints hangs. Attempts under way, goroutines and the window stay
// bounded, and the other endpoints get everything at once.
func TestFairness_ManyHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const endpoints, hung = 1000, 200
		p := newPlant(t, 8, DefaultLimits, DefaultLimits.Deliveries)
		defer p.stop()
		var all, well []string
		for i := range endpoints {
			all = append(all, fmt.Sprint("w", i))
			host := "5ms"
			if i%(endpoints/hung) == 0 {
				host = "hang"
			} else {
				well = append(well, all[i])
			}
			p.webhook(all[i], fmt.Sprint("tenant", i%10), host)
		}
		idle := runtime.NumGoroutine()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		begun := time.Now()
		n, goroutines := 0, 0
		for time.Since(begun) < 14*time.Second {
			for range 10 { // 1 000 a second, one for each
				p.publish(n, all[n%endpoints], fmt.Sprint("tenant", n%endpoints%10))
				n++
			}
			p.poll()
			goroutines = max(goroutines, runtime.NumGoroutine()-idle)
			usage := p.window.Usage()
			require.LessOrEqual(t, usage.Deliveries, DefaultLimits.Deliveries)
			require.LessOrEqual(t, usage.Records, DefaultLimits.Records+8*500)
			<-time.After(pollEvery)
		}
		delays := p.healthy(well)
		require.GreaterOrEqual(t, len(delays), n*4/5-20)
		p99 := delays[len(delays)*99/100]
		runtime.GC()
		runtime.ReadMemStats(&after)
		grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		t.Logf("healthy: %d deliveries, p99 %s, max %s; %d goroutines, heap +%d KiB", len(delays), p99, delays[len(delays)-1], goroutines, grown>>10)
		require.Less(t, p99, 100*time.Millisecond)
		require.LessOrEqual(t, goroutines, hung*8+endpoints)
		require.Less(t, grown, int64(64<<20))
	})
}
