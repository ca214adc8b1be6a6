package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

const pagerSecret = "pager-secret-0123456789"

// pager is a receiver of alerts, written from the platform's page: FailureMessage and WebhookPayload with
// EventStreamWebhookSuspendedData, and nothing else. watched are the relay's own events that a subscriber got.
type pager struct {
	mu        sync.Mutex
	failures  map[string]failureMessage // by webhookName
	suspended []suspendedPayload
	watched   []string
	unasked   []string
	faults    []string
}

type failureMessage struct {
	WebhookName    string          `json:"webhookName"`
	URL            string          `json:"url"`
	ExpectedStatus string          `json:"expectedStatus"`
	ActualStatus   string          `json:"actualStatus"`
	EventData      json.RawMessage `json:"eventData"`
}

type suspendedPayload struct {
	ID            string `json:"id"`
	Timestamp     string `json:"timestamp"`
	TransactionID string `json:"transactionId"`
	Type          string `json:"type"`
	Username      string `json:"username"`
	Data          struct {
		Event           string `json:"event"`
		IntegrationName string `json:"integrationName"`
		WebhookName     string `json:"webhookName"`
	} `json:"data"`
}

// serve answers /pager, /watch and /everything, fails /failing and /gone and never answers /hanging.
func (p *pager) serve(t *testing.T) *httptest.Server {
	t.Helper()
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		switch r.URL.Path {
		case "/pager":
			p.page(r.Header, body)
		case "/watch":
			var event struct{ Type string }
			_ = json.Unmarshal(body, &event)
			p.watched = append(p.watched, event.Type)
		case "/everything":
			if name := r.Header.Get("webhook-event-type"); strings.HasPrefix(name, "relay.") {
				p.unasked = append(p.unasked, name)
			}
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/failing":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		p.mu.Unlock()
		if r.URL.Path == "/hanging" {
			<-stop
		}
	}))
	t.Cleanup(func() { close(stop); server.Close() })
	return server
}

func (p *pager) page(h http.Header, body []byte) {
	strict := json.NewDecoder(bytes.NewReader(body))
	strict.DisallowUnknownFields()
	var failure failureMessage
	if strict.Decode(&failure) == nil {
		p.failures[failure.WebhookName] = failure
		if h.Get("webhook-alert-count") == "" {
			p.faults = append(p.faults, "no count")
		}
	} else {
		var suspended suspendedPayload
		strict = json.NewDecoder(bytes.NewReader(body))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&suspended); err != nil {
			p.faults = append(p.faults, fmt.Sprintf("%v: %s", err, body))
			return
		}
		p.suspended = append(p.suspended, suspended)
	}
	if signature := h.Get("socotra-signature"); signature != "" {
		mac := hmac.New(sha256.New, []byte(pagerSecret))
		mac.Write(body)
		if signature != hex.EncodeToString(mac.Sum(nil)) {
			p.faults = append(p.faults, "signature of "+string(body))
		}
	} else if h.Get("webhook-signature") == "" {
		p.faults = append(p.faults, "not signed: "+string(body))
	}
}

func (p *pager) eventually(t *testing.T, f *fleet, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return cond()
	}, time.Minute, 20*time.Millisecond, "%s: %+v\n%s", what, p, &f.logs)
}

// TestAlerts: who is told when deliveries are given up and when a webhook is suspended, over both APIs; an alert
// integration that cannot be reached leads to nothing further; the relay's own events reach who names them alone.
func TestAlerts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, time.Second)
	pages := &pager{failures: map[string]failureMessage{}}
	server := pages.serve(t)
	p := f.start(t, "one")
	p.awaitReady(t, f)
	call := func(method, path, body string) {
		t.Helper()
		_, err := p.api.call(t.Context(), method, path, json.RawMessage(body), nil)
		require.NoError(t, err, "%s", &f.logs)
	}
	for name, url := range map[string]string{"failing": server.URL + "/failing", "gone": server.URL + "/gone"} {
		call(http.MethodPost, "/v1/integrations", fmt.Sprintf(`{"name":%q,"url":%q}`, name, url))
	}
	call(http.MethodPost, "/v1/integrations", fmt.Sprintf(`{"name":"pager","url":%q,"signing":{"enabled":true,"secrets":[{"value":%q,"encoding":"raw"}]}}`, server.URL+"/pager", pagerSecret))
	call(http.MethodPut, "/socotra/webhooks", `{"name":"claims","integrationName":"failing","alertIntegrationName":"pager","events":["claim.open"],
		"retryStrategy":"one","failureHandling":{"mode":"suspend","actOnStatusCodes":["5xx"],"actOnTimeout":true}}`)
	call(http.MethodPost, "/v1/webhooks", fmt.Sprintf(`{"id":"slow","url":%q,"events":["claim.open"],"retry":"none","alert":{"integration":"pager"},"delivery":{"timeout":"500ms"}}`, server.URL+"/hanging"))
	call(http.MethodPost, "/v1/webhooks", fmt.Sprintf(`{"id":"lonely","url":%q,"events":["claim.open"],"retry":"none","alert":{"integration":"gone"},"failureHandling":{"mode":"none"}}`, server.URL+"/failing"))
	call(http.MethodPost, "/v1/webhooks", fmt.Sprintf(`{"id":"watch","url":%q,"events":["relay.webhook.suspended","relay.webhook.unsuspended"],"domains":["debt"]}`, server.URL+"/watch"))
	call(http.MethodPost, "/v1/webhooks", fmt.Sprintf(`{"id":"everything","url":%q,"events":["*"]}`, server.URL+"/everything"))

	data := `{"claim":"c-1","amount":12345678901234567890.10}`
	require.NoError(t, f.client.ProduceSync(t.Context(), &kgo.Record{Topic: f.domains[2], Key: []byte("c-1"), Value: []byte(data), Headers: []kgo.RecordHeader{
		{Key: "ce_id", Value: []byte("e-1")}, {Key: "ce_source", Value: []byte("/claims")}, {Key: "ce_type", Value: []byte("claim.open")}}}).FirstErr())

	pages.eventually(t, f, "alerts", func() bool { return len(pages.failures) == 2 && len(pages.suspended) == 1 && len(pages.watched) == 1 })
	pages.mu.Lock()
	require.Equal(t, failureMessage{"claims", server.URL + "/failing", "2xx", "503", json.RawMessage(data)}, pages.failures["claims"])
	require.Equal(t, failureMessage{"slow", server.URL + "/hanging", "2xx", "timeout", json.RawMessage(data)}, pages.failures["slow"])
	suspended := pages.suspended[0]
	require.Equal(t, "webhook.suspended", suspended.Type)
	require.Equal(t, "claim.open", suspended.Data.Event)
	require.Equal(t, "failing", suspended.Data.IntegrationName)
	require.Equal(t, "claims", suspended.Data.WebhookName)
	require.NotEmpty(t, suspended.ID)
	require.NotEmpty(t, suspended.TransactionID)
	require.Regexp(t, "^[0-9]{13}$", suspended.Timestamp)
	require.Equal(t, []string{"relay.webhook.suspended"}, pages.watched)
	pages.mu.Unlock()

	call(http.MethodPatch, "/socotra/webhooks/claims/unsuspend", `{}`)
	pages.eventually(t, f, "unsuspended", func() bool { return len(pages.watched) == 2 })

	// Three deliveries were given up, and the alert about one of them as well, by an answer that suspends a webhook: it
	// leaves a trace and raises nothing.
	require.Eventually(t, func() bool {
		for _, rec := range readAll(t, f.kafka, f.topics.Attempts()) {
			var attempt struct{ UID, Outcome, Reason string }
			if json.Unmarshal(rec.Value, &attempt) == nil && attempt.Outcome == "dropped" && strings.HasPrefix(attempt.UID, "alert_") {
				return attempt.Reason == "gone"
			}
		}
		return false
	}, time.Minute, 100*time.Millisecond, "%s", &f.logs)
	pages.mu.Lock()
	require.Equal(t, []string{"relay.webhook.suspended", "relay.webhook.unsuspended"}, pages.watched)
	require.Len(t, pages.suspended, 1)
	require.Empty(t, pages.unasked)
	require.Empty(t, pages.faults)
	pages.mu.Unlock()
	resp, err := http.Get(p.ops + "/metrics")
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	metrics, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(metrics), "\nrelay_alerts_total 3\n")
}
