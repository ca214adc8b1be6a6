package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"eventrelay/catalog"
)

// Exchange is one request to a receiver and what came back, secrets redacted.
type Exchange struct {
	URL             string
	Headers         []Header
	Body            []byte
	Status          int    // 0: there was no response
	Error           string // why, as a class
	ResponseHeaders []Header
	ResponseBody    []byte
	Latency         time.Duration
}

// Header is one header of a request or a response.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Tester sends an event to a webhook exactly as a delivery would be sent, once, and accounts for nothing.
type Tester interface {
	Test(ctx context.Context, w *catalog.Webhook, in *catalog.Integration, ev *catalog.Event) (*Exchange, error)
}

// ErrCannotSend is matched by a Tester's errors for a webhook that no request can be made for. Their text is for the
// webhook's owner.
var ErrCannotSend = errors.New("no request can be made")

const (
	// testsPerSecond and testBurst are how many test calls a tenant may make.
	testsPerSecond, testBurst = 1, 10
	// maxTests bounds the test calls under way, each of which may take as long as an attempt.
	maxTests = 16
)

// testLimits bound test calls: they make the relay send requests to anywhere it may reach.
type testLimits struct {
	rate  *limiter
	slots chan struct{}
}

func newTestLimits() *testLimits {
	return &testLimits{rate: newLimiter(testsPerSecond, testBurst), slots: make(chan struct{}, maxTests)}
}

// enter lets a tenant's test call through; leave ends it.
func (l *testLimits) enter(tenant string) (leave func(), err error) {
	if err := l.rate.allow("tenant:" + tenant); err != nil {
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	default:
		return nil, &problem{kind: kindRateLimited, detail: "too many test calls are under way", retryAfter: retrySoon}
	}
}

type exchangeResource struct {
	Delivered bool              `json:"delivered"`
	LatencyMS float64           `json:"latencyMs"`
	Error     *string           `json:"error"`
	EventID   string            `json:"eventId"`
	EventType string            `json:"eventType"`
	Request   requestResource   `json:"request"`
	Response  *responseResource `json:"response"`
}

type requestResource struct {
	Method  string   `json:"method"`
	URL     string   `json:"url"`
	Headers []Header `json:"headers"`
	Body    string   `json:"body"`
}

type responseResource struct {
	Status  int      `json:"status"`
	Headers []Header `json:"headers"`
	Body    string   `json:"body"`
}

func newExchangeResource(ev *catalog.Event, x *Exchange) exchangeResource {
	shown := exchangeResource{
		Delivered: x.Status/100 == 2, LatencyMS: float64(x.Latency.Microseconds()) / 1000, EventID: ev.ID, EventType: ev.Type,
		Request: requestResource{Method: http.MethodPost, URL: x.URL, Headers: textHeaders(x.Headers), Body: text(x.Body)},
	}
	if x.Status == 0 {
		shown.Error = &x.Error
		return shown
	}
	shown.Response = &responseResource{Status: x.Status, Headers: textHeaders(x.ResponseHeaders), Body: text(x.ResponseBody)}
	return shown
}

func textHeaders(headers []Header) []Header {
	shown := make([]Header, len(headers))
	for i, h := range headers {
		shown[i] = Header{Name: text([]byte(h.Name)), Value: text([]byte(h.Value))}
	}
	return shown
}

// text is what may be any bytes as a JSON string.
func text(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

func (s *Server) testWebhook(c *call) error {
	sent, _, err := c.body()
	if err != nil {
		return err
	}
	var request struct {
		Type   string `json:"type"`
		Office string `json:"office"`
	}
	if err := fill(&request, sent, nil); err != nil {
		return err
	}
	view, err := s.webhook(c)
	if err != nil {
		return err
	}
	eventType, err := testType(view.Webhook, request.Type)
	if err != nil {
		return err
	}
	leave, err := s.tests.enter(c.tenant)
	if err != nil {
		return err
	}
	defer leave()
	ev := catalog.SampleEvent(eventType, c.tenant, request.Office, time.Now())
	exchange, err := s.opts.Tester.Test(c.Request().Context(), view.Webhook, view.Integration, ev)
	switch {
	case errors.Is(err, ErrCannotSend):
		return &problem{kind: kindCannotSend, detail: err.Error()}
	case err != nil:
		return &problem{kind: kindUnavailable, detail: "the relay itself could not make the request; repeat it", retryAfter: retrySoon, cause: err}
	}
	return c.answer(http.StatusOK, newExchangeResource(ev, exchange))
}

// testType is the event type that a test call sends.
func testType(w *catalog.Webhook, name string) (catalog.EventType, error) {
	if name == "" {
		t, ok := w.SampleType()
		if !ok {
			return t, invalid([]fieldMessage{{"type", "is needed: the webhook wants no event type of the catalog"}})
		}
		return t, nil
	}
	t, ok := catalog.LookupEventType(name)
	if !ok {
		return t, invalid([]fieldMessage{{"type", "is not an event type of the catalog; /v1/event-types lists them"}})
	}
	return t, nil
}
