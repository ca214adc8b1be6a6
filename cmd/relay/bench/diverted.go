package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/divert"
)

const (
	// divertedWebhooks that the diverted events are of.
	divertedWebhooks = 100
	// pageSize of the lists, pagesWanted of them are timed.
	pageSize, pagesWanted = 100, 200
	// resendsWanted are sent again, one by one.
	resendsWanted = 200
	// indexPatience is how long the index may take to be built.
	indexPatience = 20 * time.Minute
	// requestEvery keeps the benchmark below the rate that the admin API allows.
	requestEvery = 6 * time.Millisecond
)

// diverted lists many diverted events through the admin API and sends some of them again.
func diverted(ctx context.Context, s *stage) (Outcome, error) {
	var webhooks []*catalog.Webhook
	for i := range divertedWebhooks {
		webhooks = append(webhooks, newWebhook(tenantOf(0, 1), i, typeOf(i, 1, divertedWebhooks), fmt.Sprintf("%s/hook/%d", s.url, i), 0))
	}
	if err := s.seed(ctx, nil, webhooks); err != nil {
		return Outcome{}, err
	}
	if err := s.divert(ctx, webhooks); err != nil {
		return Outcome{}, err
	}
	if err := s.expect(ctx, expectation{Events: s.o.Diverted, Width: 1}); err != nil {
		return Outcome{}, err
	}
	p, err := s.startRelay(ctx)
	if err != nil {
		return Outcome{}, err
	}
	o, err := s.listAndResend(ctx, p)
	return o, errors.Join(err, p.stop())
}

func (s *stage) listAndResend(ctx context.Context, p *relayProcess) (o Outcome, err error) {
	s.say.step("the relay makes the index of %d diverted events", s.o.Diverted)
	began := time.Now()
	if err := p.awaitReady(ctx); err != nil {
		return o, err
	}
	var first page
	if err := p.await(ctx, "the index covers all diverted events", indexPatience, func(ctx context.Context) (bool, error) {
		err := p.adminCall(ctx, http.MethodGet, fmt.Sprintf("/v1/diverted?limit=%d", pageSize), &first)
		return err == nil && len(first.Items) > 0, err
	}); err != nil {
		return o, err
	}
	o.Figures = append(o.Figures, figure(fmt.Sprintf("index of %d made anew", s.o.Diverted), unitSecond, time.Since(began).Seconds()))

	var lists histogram
	cursor, listed := "", 0
	for n := 1; n <= pagesWanted; n++ {
		s.say.run("paging", n, pagesWanted)
		query := url.Values{"limit": {fmt.Sprint(pageSize)}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var got page
		asked := time.Now()
		if err := p.adminCall(ctx, http.MethodGet, "/v1/diverted?"+query.Encode(), &got); err != nil {
			return o, err
		}
		lists.add(time.Since(asked))
		listed += len(got.Items)
		if cursor = got.NextCursor; cursor == "" {
			break
		}
		until(ctx, asked.Add(requestEvery))
	}
	if want := min(s.o.Diverted, pagesWanted*pageSize); listed < want {
		return o, fmt.Errorf("%d diverted events were listed, of %d", listed, want)
	}
	page := lists.quantiles(0.5, 0.99)
	o.Figures = append(o.Figures,
		figure(fmt.Sprintf("a page of %d, p50", pageSize), unitMillis, millis(page[0])).atMost(50),
		figure(fmt.Sprintf("a page of %d, p99", pageSize), unitMillis, millis(page[1])))

	var resends histogram
	wanted := first.Items[:min(resendsWanted, len(first.Items))]
	for n, item := range wanted {
		s.say.run("resending", n, len(wanted))
		asked := time.Now()
		path := fmt.Sprintf("/v1/webhooks/%s/diverted/%s/resend", url.PathEscape(item.UID), url.PathEscape(item.DeliveryID))
		if err := p.adminCall(ctx, http.MethodPost, path, nil); err != nil {
			return o, err
		}
		resends.add(time.Since(asked))
		until(ctx, asked.Add(requestEvery))
	}
	m, err := s.watch(ctx, "resent", p.process, len(wanted), nil, nil)
	m.Latency = nil
	o.Rows = append(o.Rows, Row{Name: "resent", Rounds: []Measurement{m}})
	o.Figures = append(o.Figures, figure("a resend, p50", unitMillis, millis(resends.quantiles(0.5)[0])))
	o.Figures = append(o.Figures, accounted(o.Rows[0])...)
	return o, err
}

// page is a page of GET /v1/diverted.
type page struct {
	Items []struct {
		DeliveryID string `json:"deliveryId"`
		UID        string `json:"uid"`
	} `json:"items"`
	NextCursor string `json:"nextCursor"`
}

// divert writes the diverted events, as a relay would have.
func (s *stage) divert(ctx context.Context, webhooks []*catalog.Webhook) (err error) {
	cache := redis.NewClient(&redis.Options{Addr: s.redis}) // never asked: who only writes keeps no index
	defer func() { err = errors.Join(err, cache.Close()) }()
	store, err := divert.New(divert.Options{Kafka: []kgo.Opt{kgo.SeedBrokers(s.kafka)}, Topics: s.topics,
		Redis: cache, Webhooks: nobody{}, Resend: nobody{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(ctx)) }()
	var acked atomic.Int64
	now := time.Now()
	for i := range s.o.Diverted {
		w := webhooks[i%len(webhooks)]
		ev := &catalog.Event{ID: fmt.Sprintf("evt-%d", i), Source: "/bench", Type: w.Events[0], Domain: "debt", Tenant: w.Tenant, Time: now,
			Raw: eventValue(i, now), Livemode: true}
		ev.Data, ev.Span = ev.Raw, catalog.Span{To: len(ev.Raw)}
		d := relay.NewDelivery(ev, w.UID, relay.Coordinates{Topic: s.topic, Offset: int64(i)}, 0, nil, now)
		d.Attempts, d.LastStatus, d.LastError = 10, http.StatusInternalServerError, "status 500"
		store.Put(d, divert.Why{Reason: divert.ReasonExhausted, Status: d.LastStatus, Error: d.LastError}, func() { acked.Add(1) })
		if i%1000 == 0 {
			s.say.run("diverting", i, s.o.Diverted)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	for acked.Load() < int64(s.o.Diverted) {
		if !until(ctx, time.Now().Add(askEvery)) {
			return fmt.Errorf("%d of %d diverted events were acknowledged: %w", acked.Load(), s.o.Diverted, context.Cause(ctx))
		}
	}
	return nil
}

// nobody is what a store needs that only writes: no webhook is suspended and nothing is resent.
type nobody struct{}

func (nobody) Suspension(string) (*catalog.Suspension, *catalog.Webhook) { return nil, nil }

func (nobody) Enqueue(*relay.Delivery, time.Duration, func()) {
	panic("bench: a store that only writes resends nothing")
}
