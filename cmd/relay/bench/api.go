package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"eventrelay/catalog"
)

const (
	// callsWanted of each kind of call are timed, and no more than there are webhooks, nor than fit into callsWithin: a
	// page of a million entries takes the embedded Redis most of a second. fewestCalls are timed in any case.
	callsWanted = 300
	callsWithin = 10 * time.Second
	fewestCalls = 10
	// latePages at the end of a list are told apart.
	latePages = 100
	// apiTarget is what every call is held to, in milliseconds: that of a page of diverted events.
	apiTarget = 50
)

// callAPI times the calls of the admin API that operators make most, with as many webhooks of one tenant and as many
// diverted events as the options say. One client asks, one call at a time.
func callAPI(ctx context.Context, s *stage) (Outcome, error) {
	tenant := tenantOf(0, 1)
	webhooks := make([]*catalog.Webhook, max(s.o.Webhooks, divertedWebhooks))
	for i := range webhooks {
		webhooks[i] = newWebhook(tenant, i, fmt.Sprintf("bench.type%d", i%1000), fmt.Sprintf("%s/hook/%d", s.url, i), 0)
	}
	if err := s.seed(ctx, nil, webhooks); err != nil {
		return Outcome{}, err
	}
	if err := s.divert(ctx, webhooks[:divertedWebhooks]); err != nil {
		return Outcome{}, err
	}
	p, err := s.startRelay(ctx)
	if err != nil {
		return Outcome{}, err
	}
	o, err := s.timeCalls(ctx, p, webhooks)
	return o, errors.Join(err, p.stop())
}

func (s *stage) timeCalls(ctx context.Context, p *relayProcess, webhooks []*catalog.Webhook) (o Outcome, err error) {
	if err := p.awaitReady(ctx); err != nil {
		return o, err
	}
	s.say.step("the relay makes the index of %d diverted events", s.o.Diverted)
	if err := p.await(ctx, "the index covers all diverted events", indexPatience, func(ctx context.Context) (bool, error) {
		err := p.adminCall(ctx, http.MethodGet, "/v1/diverted?limit=1", nil)
		return err == nil, err
	}); err != nil {
		return o, err
	}
	t := &timer{s: s, p: p, o: &o, calls: min(callsWanted, s.o.Webhooks)}
	nth := func(n int) *catalog.Webhook { return webhooks[n*len(webhooks)/t.calls] } // spread over all
	listed := t.walk(ctx, "webhooks", "/v1/webhooks", len(webhooks))
	if t.err == nil && listed < len(webhooks) {
		return o, fmt.Errorf("%d webhooks were listed, of %d", listed, len(webhooks))
	}
	// Nothing passes, so that every webhook is looked at.
	t.each(ctx, "GET /v1/webhooks with a filter that no webhook passes", func(int) call {
		return call{method: http.MethodGet, path: "/v1/webhooks?platform=ocelot"}
	})
	t.each(ctx, "GET a webhook by uid", func(n int) call {
		return call{method: http.MethodGet, path: "/v1/webhooks/" + url.PathEscape(nth(n).UID)}
	})
	t.each(ctx, "GET a webhook by id", func(n int) call {
		return call{method: http.MethodGet, path: "/v1/webhooks/" + url.PathEscape(nth(n).ID)}
	})
	t.each(ctx, "POST /v1/webhooks", func(n int) call {
		return call{method: http.MethodPost, path: "/v1/webhooks", body: map[string]any{
			"id": fmt.Sprintf("made-%d", n), "url": s.url + "/made", "events": []string{"bench.made"}, "filter": everyEvent}}
	})
	t.each(ctx, "PATCH a webhook", func(n int) call {
		return call{method: http.MethodPatch, path: "/v1/webhooks/" + url.PathEscape(nth(n).UID), body: map[string]any{"displayName": "edited"}}
	})
	t.walk(ctx, "diverted events", "/v1/diverted", min(s.o.Diverted, pagesWanted*pageSize))
	path := "/v1/webhooks/" + url.PathEscape(webhooks[0].UID) + "/diverted"
	t.walk(ctx, "diverted events of one webhook", path, s.o.Diverted/divertedWebhooks)
	return o, t.err
}

// call is a request of the admin API.
type call struct {
	method, path string
	body         any // nil: none
}

// timer makes calls and adds a figure for each kind. The first error ends it.
type timer struct {
	s     *stage
	p     *relayProcess
	o     *Outcome
	calls int // of each kind
	err   error
}

// each makes the calls of one kind.
func (t *timer) each(ctx context.Context, name string, make func(n int) call) {
	var took histogram
	began := time.Now()
	for n := 0; n < t.calls && t.err == nil && (n < fewestCalls || time.Since(began) < callsWithin); n++ {
		t.s.say.run(name, n, t.calls)
		c := make(n)
		t.make(ctx, &took, c, nil)
	}
	t.add(name, &took)
}

// walk asks for the first page again and again, then for one page after the other until so many were listed, of which
// the last ones are told apart.
func (t *timer) walk(ctx context.Context, what, path string, wanted int) (listed int) {
	first := fmt.Sprintf("%s?limit=%d", path, pageSize)
	t.each(ctx, fmt.Sprintf("the first page of %d %s", pageSize, what), func(int) call { return call{method: http.MethodGet, path: first} })
	pages := max((wanted+pageSize-1)/pageSize, 1)
	var early, late histogram // early is not told
	next := first
	for n := 0; n < pages && t.err == nil; n++ {
		t.s.say.run("paging through "+what, n, pages)
		took := &late
		if n < pages-latePages {
			took = &early
		}
		t.page(ctx, took, &next, path, &listed)
		if next == "" {
			break
		}
	}
	t.add(fmt.Sprintf("a page of %d %s, the last of %d", pageSize, what, pages), &late)
	return listed
}

// page asks for the page at *next and makes *next that of the page behind it, empty at the end.
func (t *timer) page(ctx context.Context, took *histogram, next *string, path string, listed *int) {
	var got struct {
		Items      []json.RawMessage `json:"items"`
		NextCursor string            `json:"nextCursor"`
	}
	t.make(ctx, took, call{method: http.MethodGet, path: *next}, &got)
	*listed += len(got.Items)
	*next = ""
	if got.NextCursor != "" {
		*next = path + "?" + url.Values{"limit": {fmt.Sprint(pageSize)}, "cursor": {got.NextCursor}}.Encode()
	}
}

func (t *timer) make(ctx context.Context, took *histogram, c call, into any) {
	if t.err != nil {
		return
	}
	asked := time.Now()
	t.err = t.p.adminSend(ctx, c.method, c.path, c.body, into)
	took.add(time.Since(asked))
	until(ctx, asked.Add(requestEvery))
}

func (t *timer) add(name string, took *histogram) {
	if t.err != nil {
		return
	}
	q := took.quantiles(0.5, 0.99)
	t.o.Figures = append(t.o.Figures,
		figure(name+", p50", unitMillis, millis(q[0])).atMost(apiTarget),
		figure(name+", p99", unitMillis, millis(q[1])))
}
