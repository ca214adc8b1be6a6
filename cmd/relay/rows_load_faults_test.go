//go:build faults

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
)

// flow publishes 300 events a second until stop, which says how many there were.
func (l *load) flow() (stop func() (events int)) {
	ended, sent := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-tick.C:
				l.publish(n, n+30)
				n += 30
			case <-ended:
				tick.Stop()
				sent <- n
				return
			}
		}
	}()
	return func() int { close(ended); return <-sent }
}

// TestRow06_RebalanceStorm: a member joins the group and leaves it again all the time, and settles nothing of what it is
// given, so that partitions move to it and back. Events flow on, nothing is lost, and nothing that a receiver acknowledged
// is repeated. RELAY_TEST_FULL=1 keeps it up for minutes.
func TestRow06_RebalanceStorm(t *testing.T) {
	flaps := 6
	if full() {
		flaps = 60
	}
	f, cluster := newAuditedFleet(t, time.Second)
	f.timeout = 5 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.03})
	one := f.start(t, "one", "--log-level", "info", "--session-timeout", "20s")
	one.awaitReady(t, f)
	l := f.register(t, one.api, o, receiver.URL, 12, 6)
	a := audit(t, f, cluster, l)
	stop := l.flow()
	l.awaitDelivered(t, 1)
	for range flaps {
		given := make(chan struct{}, 1)
		member, err := kgo.NewClient(append(slices.Clone(f.kafka), kgo.ConsumerGroup(f.group), kgo.ConsumeTopics(f.domains...),
			kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit(),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
				if len(partitions) > 0 {
					select {
					case given <- struct{}{}:
					default:
					}
				}
			}))...)
		require.NoError(t, err)
		select {
		case <-given:
		case <-time.After(time.Minute):
			member.Close()
			t.Fatalf("the flapping member was given nothing:\n%s", &f.logs)
		}
		member.Close()
		l.awaitDelivered(t, l.delivered()+100)
	}
	n := stop()
	v := l.settle(t, n)
	a.verdict(t)
	require.Zero(t, v.duplicates, "of %d pairs:\n%s", v.owed, f.troubles())
	t.Logf("%d members came and left: %d pairs, %d attempts, no duplicates", flaps, v.owed, v.attempts)
}

// TestRow07_ScaleOutAndIn: relays join one after the other while events flow, and leave again in order. Nothing is lost,
// and nothing that a receiver acknowledged is repeated. RELAY_TEST_FULL=1 goes up to eight.
func TestRow07_ScaleOutAndIn(t *testing.T) {
	most := 4
	if full() {
		most = 8
	}
	f := newFleet(t, time.Second, 5*time.Second)
	f.timeout = 5 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{fail: 0.03})
	relays := []*relayProcess{f.start(t, "r0", "--log-level", "info")}
	relays[0].awaitReady(t, f)
	l := f.register(t, relays[0].api, o, receiver.URL, 12, 6)
	stop := l.flow()
	holds := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			groups, err := f.admin.DescribeGroups(t.Context(), f.group)
			return err == nil && groups[f.group].State == "Stable" && len(groups[f.group].Members) >= n
		}, 90*time.Second, 50*time.Millisecond, "%d members", n)
		at := l.delivered()
		l.awaitDelivered(t, at+100) // and the events flow
	}
	for i := 1; i < most; i++ {
		relays = append(relays, f.start(t, fmt.Sprintf("r%d", i), "--log-level", "info"))
		relays[i].awaitReady(t, f)
		holds(i + 1)
	}
	for i := most - 1; i > 0; i-- {
		relays[i].stop(t, f)
		l.awaitDelivered(t, l.delivered()+1)
	}
	n := stop()
	for i := 1; i < most; i++ { // a static member's partitions are kept for it until its session ends
		f.start(t, fmt.Sprintf("r%d", i))
	}
	v := l.settle(t, n)
	require.Zero(t, v.duplicates, "of %d pairs:\n%s", v.owed, f.troubles())
	t.Logf("1, %d and 1 relays: %d pairs, %d attempts, no duplicates", most, v.owed, v.attempts)
}

// TestRow08_StopWithHungEndpoints: a relay that is asked to stop while some receivers hang ends within its drain time,
// and repeats at most what hung.
func TestRow08_StopWithHungEndpoints(t *testing.T) {
	const (
		events = 2000
		drain  = 4 * time.Second
	)
	f := newFleet(t, time.Second)
	f.timeout = 10 * time.Second
	o := newOracle()
	receiver := o.receiver(t, behaviour{hang: 0.003, hangs: 15 * time.Second})
	p := f.start(t, "one", "--drain-timeout", drain.String())
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 8, 4)
	published := make(chan struct{})
	go func() { defer close(published); l.publish(0, events) }()
	l.awaitDelivered(t, events/2)
	begun := time.Now()
	p.stop(t, f)
	took := time.Since(begun)
	// Two groups drain side by side; then come the commits and the close of everything else.
	require.Less(t, took, drain+2*stopTimeout)
	f.start(t, "one")
	<-published
	v := l.settle(t, events)
	require.Zero(t, v.duplicates, "of %d pairs:\n%s", v.owed, f.troubles())
	t.Logf("stopped in %s; %d pairs, %d attempts, no duplicates", took.Round(time.Millisecond), v.owed, v.attempts)
}

// TestRow35_CreatedThenPublished: a webhook that one relay has answered for is known to every other a second later, and
// to the one that answered at once. RELAY_TEST_FULL=1 tries a thousand.
func TestRow35_CreatedThenPublished(t *testing.T) {
	n := 150
	if full() {
		n = 1000
	}
	const known = time.Second
	f := newFleet(t, time.Second)
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	one, two := f.start(t, "one"), f.start(t, "two")
	one.awaitReady(t, f)
	two.awaitReady(t, f)
	send := func(id, kind string) {
		f.client.Produce(t.Context(), &kgo.Record{Topic: f.domains[0], Key: []byte(id), Value: []byte(`{}`), Headers: []kgo.RecordHeader{
			{Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte("/s")}, {Key: "ce_type", Value: []byte(kind)}}}, nil)
	}
	var later sync.WaitGroup
	for i := range n {
		id, kind := fmt.Sprintf("w%d", i), fmt.Sprintf("load.created%d", i)
		from := []*relayProcess{one, two}[i%2]
		_, err := from.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": id, "url": receiver.URL + "/hook/" + id, "events": []string{kind}}, nil)
		require.NoError(t, err, "%s", &f.logs)
		_, err = from.api.call(t.Context(), http.MethodGet, "/v1/webhooks/"+id, nil, nil)
		require.NoError(t, err, "not read back where it was written")
		o.mu.Lock()
		o.owed[pair{"at-once-" + id, id}] = true
		o.mu.Unlock()
		send("at-once-"+id, kind)
		o.owe("later-"+id, id)
		later.Add(1)
		time.AfterFunc(known, func() { defer later.Done(); send("later-"+id, kind) })
	}
	later.Wait()
	count := func(prefix string) (got int) {
		o.mu.Lock()
		defer o.mu.Unlock()
		for i := range n {
			if o.delivered[pair{fmt.Sprintf("%s-w%d", prefix, i), fmt.Sprintf("w%d", i)}] > 0 {
				got++
			}
		}
		return got
	}
	require.Eventually(t, func() bool { return count("later") == n }, 20*time.Second, 20*time.Millisecond, "%d of %d", count("later"), n)
	require.Empty(t, o.faults)
	t.Logf("of %d webhooks, %d got what was published at once, all what was published a second later", n, count("at-once"))
}

// TestRow59_PendingRetries: a relay that starts with a great many retries of one dead endpoint is ready as quickly as
// ever, delivers to others at once, grows no further and writes no faster than it may. RELAY_TEST_FULL=1 seeds 300 000.
func TestRow59_PendingRetries(t *testing.T) {
	pending := 20_000
	if full() {
		pending = 300_000
	}
	const (
		startWithin = 10 * time.Second
		slot        = 2 * time.Millisecond // what is postponed comes back at 500 a second
		watched     = 12 * time.Second
		grow        = 96 << 20 // inboxes of the wheel fill after the start: 12 partitions of half a MiB, and garbage
	)
	f := newFleet(t, time.Second, 5*time.Second, 30*time.Second, 10*time.Minute)
	o := newOracle()
	receiver := o.receiver(t, behaviour{})
	p := f.start(t, "one")
	p.awaitReady(t, f)
	l := f.register(t, p.api, o, receiver.URL, 4, 2)
	var dead struct {
		UID string `json:"uid"`
	}
	_, err := p.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "dead", "url": "http://" + freeAddr(t) + "/", "events": []string{"nothing.at.all"}}, &dead)
	require.NoError(t, err)
	p.stop(t, f)
	f.seedRetries(t, dead.UID, pending, slot)

	begun := time.Now()
	p = f.start(t, "one")
	p.awaitReady(t, f)
	l.publish(0, 1)
	l.awaitDelivered(t, 2)
	ready := time.Since(begun)
	require.Less(t, ready, startWithin)

	before := p.metrics(t)
	var slowest time.Duration
	sent := 1
	for began := time.Now(); time.Since(began) < watched; sent++ {
		at := time.Now()
		l.publish(sent, sent+1)
		l.awaitDelivered(t, 2*(sent+1))
		slowest = max(slowest, time.Since(at))
	}
	after := p.metrics(t)
	grown := after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"]
	rewrites := (after["relay_retry_enqueued_total"] - before["relay_retry_enqueued_total"]) / watched.Seconds()
	require.Less(t, slowest, 2*time.Second, "the others wait for the dead endpoint")
	require.Less(t, grown, float64(grow))
	require.Less(t, rewrites, 750.0, "rewrites a second")
	t.Logf("%d pending: first delivery %s after the start; %d events meanwhile, the slowest %s; %.0f MiB, %+.1f MiB in %s; %.0f rewrites/s", pending,
		ready.Round(time.Millisecond), sent, slowest.Round(time.Millisecond), after["process_resident_memory_bytes"]/(1<<20), grown/(1<<20), watched, rewrites)
}

// seedRetries writes what a relay leaves that has postponed n deliveries of one endpoint, one each slot.
func (f *fleet) seedRetries(t *testing.T, uid string, n int, slot time.Duration) {
	t.Helper()
	raw := []byte(`{"amount": 12.50, "note": "a delivery that waits for an endpoint that does not answer"}`)
	var failed error
	var mu sync.Mutex
	for i := range n {
		ev := &catalog.Event{ID: fmt.Sprintf("pending-%d", i), Source: "/s", Type: "load.type0", Tenant: "default", Time: time.Now(), Raw: raw, Data: raw, Span: catalog.Span{To: len(raw)}}
		d := relay.NewDelivery(ev, uid, relay.Coordinates{Topic: f.domains[0], Offset: int64(i)}, 0, nil, time.Now())
		d.Attempts, d.Retries = 1, 1
		wait := 2*time.Second + time.Duration(i)*slot
		class := f.topics.Delays[0]
		for _, delay := range f.topics.Delays {
			if delay <= wait {
				class = delay
			}
		}
		f.client.Produce(t.Context(), &kgo.Record{Topic: f.topics.Retry(class), Key: []byte(uid), Value: raw,
			Headers: append(relay.EncodeDelivery(d), relay.WaitHeader(wait))}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	require.NoError(t, f.client.Flush(t.Context()))
	require.NoError(t, failed)
}

// TestRow60_DueDuringRebalance: deliveries that fall due while their partitions move are on time all the same.
func TestRow60_DueDuringRebalance(t *testing.T) {
	const (
		events = 300
		delay  = 5 * time.Second
		late   = 5 * time.Second
	)
	f := newFleet(t, time.Second, delay)
	var (
		mu     sync.Mutex
		failed = map[string]time.Time{}
		second = map[string]time.Duration{}
	)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("webhook-id")
		mu.Lock()
		defer mu.Unlock()
		if at, again := failed[id]; again {
			second[id] = max(second[id], time.Since(at))
			return
		}
		failed[id] = time.Now()
		w.WriteHeader(http.StatusUnprocessableEntity) // opens no breaker
	}))
	defer receiver.Close()
	one := f.start(t, "one")
	one.awaitReady(t, f)
	_, err := one.api.call(t.Context(), http.MethodPost, "/v1/webhooks", map[string]any{"id": "w", "url": receiver.URL, "events": []string{"load.*"},
		"retry": map[string]any{"schedule": []string{delay.String()}}}, nil)
	require.NoError(t, err)
	l := &load{f: f, o: newOracle(), wanting: make([][]string, 1)}
	l.publish(0, events)
	count := func(m func() int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return m() == events }
	}
	require.Eventually(t, count(func() int { return len(failed) }), 30*time.Second, 10*time.Millisecond)
	begun := time.Now()
	two := f.start(t, "two") // joins, and leaves again before or while they fall due
	two.awaitReady(t, f)
	require.Eventually(t, func() bool {
		groups, err := f.admin.DescribeGroups(t.Context(), f.group+"-retry")
		return err == nil && len(groups[f.group+"-retry"].Members) == 2
	}, 30*time.Second, 20*time.Millisecond)
	two.stop(t, f)
	f.start(t, "two") // static: its partitions are kept for it
	moved := time.Since(begun)
	require.Eventually(t, count(func() int { return len(second) }), time.Minute, 10*time.Millisecond, "%s", &f.logs)
	mu.Lock()
	defer mu.Unlock()
	var slowest time.Duration
	for _, took := range second {
		slowest = max(slowest, took)
	}
	// A tenth of jitter; and what moves is held up for as long as nobody has it.
	require.Less(t, slowest, delay+delay/10+late+moved)
	t.Logf("%d retries of %s, two rebalances in %s: the latest came after %s", events, delay, moved.Round(time.Millisecond), slowest.Round(time.Millisecond))
}
