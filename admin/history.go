package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/history"
)

// Attempts is what the API needs of the attempts that were made.
type Attempts interface {
	// Recent and Stats are answered from the cache, Attempts from the topic.
	Recent(ctx context.Context, q history.RecentQuery) (history.RecentPage, error)
	Attempts(ctx context.Context, q history.AttemptQuery) (items []history.Attempt, next string, err error)
	Stats(ctx context.Context, q history.StatsQuery) (history.Stats, error)
}

// Records is what the API needs of the topics that events come from.
type Records interface {
	Rejected(ctx context.Context, q history.RejectedQuery) (items []history.Rejected, next string, err error)
	Event(ctx context.Context, topic string, partition int32, offset int64) (*catalog.Event, error)
}

const (
	// cacheTimeout bounds the wait for Redis, which answers within milliseconds or not at all.
	cacheTimeout = 2 * time.Second
	// maxScans bounds the scans of topics at a time: each may read 64 MiB of a broker.
	maxScans = 4
)

var errCacheTimeout = errors.New("timed out waiting for Redis")

// historyProblem decides how an error of the history is answered; nobody is told of brokers.
func historyProblem(err error) error {
	var own *problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.Is(err, history.ErrBadCursor):
		return badParameter("cursor", "is not one that this list gave")
	case errors.Is(err, history.ErrNotFound):
		return newProblem(kindNotFound, "there is no such record, or it is not the tenant's")
	default:
		return &problem{kind: kindHistory, detail: "deliveries go on; repeat the request", retryAfter: retrySoon, cause: err}
	}
}

// cacheContext bounds a read from Redis.
func cacheContext(c *call) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(c.Request().Context(), cacheTimeout, errCacheTimeout)
}

// scan runs one scan of a topic, bounded in time and in number.
func (s *Server) scan(c *call, f func(ctx context.Context) error) error {
	select {
	case s.scans <- struct{}{}:
		defer func() { <-s.scans }()
	default:
		return &problem{kind: kindRateLimited, detail: "too many topics are being read at the moment", retryAfter: retrySoon}
	}
	ctx, cancel := s.writeContext(c)
	defer cancel()
	return historyProblem(f(ctx))
}

// attemptResource is an attempt as it is listed.
type attemptResource struct {
	UID         string     `json:"uid"`
	DeliveryID  string     `json:"deliveryId"`
	WebhookID   string     `json:"webhookId"`
	EventID     string     `json:"eventId"`
	EventType   string     `json:"eventType"`
	Attempt     int        `json:"attempt"`
	At          time.Time  `json:"at"`
	LatencyMS   float64    `json:"latencyMs"`
	Status      int        `json:"status"`
	Error       string     `json:"error"`
	Outcome     string     `json:"outcome"`
	Reason      string     `json:"reason"`
	NextAttempt *time.Time `json:"nextAttemptAt"`
	Response    string     `json:"response"`
}

func newAttemptResource(a *history.Attempt) attemptResource {
	shown := attemptResource{
		UID: a.UID, DeliveryID: a.DeliveryID, WebhookID: a.WebhookID, EventID: a.EventID, EventType: a.EventType, Attempt: a.Attempt,
		At: a.At.UTC(), LatencyMS: a.LatencyMS, Status: a.Status, Error: a.Error, Outcome: a.Outcome, Reason: a.Reason, Response: a.Response,
	}
	if next := a.NextAt(); !next.IsZero() {
		next = next.UTC()
		shown.NextAttempt = &next
	}
	return shown
}

// attemptPage is a page of attempts. Since is when the recent view began; nil where the topic was read.
type attemptPage struct {
	page[attemptResource]
	Since *time.Time `json:"since"`
}

func newAttemptPage(c *call, l listing, attempts []history.Attempt, next string, since *time.Time) attemptPage {
	items := make([]attemptResource, len(attempts))
	for i := range attempts {
		items[i] = newAttemptResource(&attempts[i])
	}
	return attemptPage{newPage(c, l, items, next), since}
}

func (s *Server) listAttempts(c *call) error {
	view, err := s.webhook(c)
	if err != nil {
		return err
	}
	uid := view.Webhook.UID
	if c.QueryParam("from") != "" {
		return s.answerAttempts(c, uid)
	}
	after, err := c.cursor(listOfAttempts)
	if err != nil {
		return err
	}
	ctx, cancel := cacheContext(c)
	defer cancel()
	found, err := s.opts.Attempts.Recent(ctx, history.RecentQuery{
		Tenant: c.tenant, UID: uid, EventID: c.QueryParam("eventId"), Result: history.Result(c.QueryParam("result")), To: c.time("to"),
		Cursor: after, Limit: c.limit(),
	})
	if err != nil {
		return historyProblem(err)
	}
	return c.answer(http.StatusOK, newAttemptPage(c, listOfAttempts, found.Items, found.Next, &found.Since))
}

func (s *Server) findAttempts(c *call) error {
	if c.QueryParam("eventId") == "" {
		return badParameter("eventId", "is required")
	}
	return s.answerAttempts(c, "")
}

// answerAttempts reads the topic.
func (s *Server) answerAttempts(c *call, uid string) error {
	after, err := c.cursor(listOfHistory)
	if err != nil {
		return err
	}
	var answer attemptPage
	err = s.scan(c, func(ctx context.Context) error {
		items, next, err := s.opts.Attempts.Attempts(ctx, history.AttemptQuery{
			Tenant: c.tenant, UID: uid, EventID: c.QueryParam("eventId"), Result: history.Result(c.QueryParam("result")),
			From: c.time("from"), To: c.time("to"), Cursor: after, Limit: c.limit(),
		})
		answer = newAttemptPage(c, listOfHistory, items, next, nil)
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, answer)
}

// countsResource are counts; At is the beginning of a step, not set for the total.
type countsResource struct {
	At        time.Time        `json:"at,omitzero"`
	Attempts  int64            `json:"attempts"`
	Delivered int64            `json:"delivered"`
	Failed    int64            `json:"failed"`
	Retried   int64            `json:"retried"`
	Diverted  int64            `json:"diverted"`
	Dropped   int64            `json:"dropped"`
	Cancelled int64            `json:"cancelled"`
	LatencyMS *latencyResource `json:"latencyMs"`
}

type latencyResource struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
}

func newCountsResource(at time.Time, n history.Counts) countsResource {
	shown := countsResource{
		At: at, Attempts: n.Attempts, Delivered: n.Delivered, Failed: n.Failed, Retried: n.Retried, Diverted: n.Diverted,
		Dropped: n.Dropped, Cancelled: n.Cancelled,
	}
	if n.Latency != nil {
		shown.LatencyMS = &latencyResource{n.Latency.P50, n.Latency.P90, n.Latency.P99}
	}
	return shown
}

type statsResource struct {
	Step    history.Step     `json:"step"`
	Since   time.Time        `json:"since"`
	Total   countsResource   `json:"total"`
	Buckets []countsResource `json:"buckets"`
}

func (s *Server) getStats(c *call) error {
	view, err := s.webhook(c)
	if err != nil {
		return err
	}
	step := history.Step(c.QueryParam("step"))
	if step == "" {
		step = history.StepHour
	}
	ctx, cancel := cacheContext(c)
	defer cancel()
	stats, err := s.opts.Attempts.Stats(ctx, history.StatsQuery{UID: view.Webhook.UID, Step: step, From: c.time("from"), To: c.time("to")})
	if err != nil {
		return historyProblem(err)
	}
	shown := statsResource{Step: step, Since: stats.Since, Total: newCountsResource(time.Time{}, stats.Total), Buckets: make([]countsResource, len(stats.Buckets))}
	for i, b := range stats.Buckets {
		shown.Buckets[i] = newCountsResource(b.At, b.Counts)
	}
	return c.answer(http.StatusOK, shown)
}

// rejectedResource is a rejected record as it is listed.
type rejectedResource struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Reason    string    `json:"reason"`
	Detail    string    `json:"detail"`
	At        time.Time `json:"at"`
	Size      *int      `json:"size"`
	Preview   string    `json:"preview"`
}

func (s *Server) listRejected(c *call) error {
	if c.principal.Tenant != "" {
		return newProblem(kindForbidden, "a rejected record has no known tenant: only a key that is bound to none sees them")
	}
	after, err := c.cursor(listOfRejected)
	if err != nil {
		return err
	}
	var answer page[rejectedResource]
	err = s.scan(c, func(ctx context.Context) error {
		found, next, err := s.opts.Records.Rejected(ctx, history.RejectedQuery{
			Topic: c.QueryParam("topic"), Reason: c.QueryParam("reason"), From: c.time("from"), To: c.time("to"), Cursor: after, Limit: c.limit(),
		})
		items := make([]rejectedResource, len(found))
		for i, r := range found {
			items[i] = rejectedResource{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Reason: r.Reason, Detail: r.Detail, At: r.At.UTC(), Preview: r.Preview}
			if r.Kept {
				items[i].Size = &r.Size
			}
		}
		answer = newPage(c, listOfRejected, items, next)
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, answer)
}
