package demo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"eventrelay/catalog"
)

// API is a client of the admin API, as small as the demo needs it.
type API struct {
	base   string
	key    catalog.Secret
	client *http.Client
}

const (
	apiTimeout   = 10 * time.Second
	maxAPIAnswer = 4 << 20
)

// NewAPI speaks to the admin API at base ("http://127.0.0.1:8080").
func NewAPI(base string, key catalog.Secret) *API {
	return &API{base: strings.TrimSuffix(base, "/"), key: key, client: &http.Client{
		Timeout: apiTimeout,
		// A transport of its own: closing it leaves no connection behind.
		Transport: &http.Transport{DisableCompression: true},
	}}
}

// Close drops idle connections.
func (a *API) Close() { a.client.CloseIdleConnections() }

// APIError is an answer that is not a success.
type APIError struct {
	Method, Path  string
	Status        int
	Title, Detail string
}

func (e *APIError) Error() string {
	text := fmt.Sprintf("%s %s: %d", e.Method, e.Path, e.Status)
	for _, part := range []string{e.Title, e.Detail} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

// Diverted is what the demo reads of a diverted event.
type Diverted struct {
	DeliveryID string `json:"deliveryId"`
	EventType  string `json:"eventType"`
	Reason     string `json:"reason"`
	State      string `json:"state"`
}

// CreateWebhook registers a webhook.
func (a *API) CreateWebhook(ctx context.Context, resource map[string]any) error {
	return a.do(ctx, http.MethodPost, "/v1/webhooks", resource, nil)
}

// Registered is what the demo reads of a webhook that is there.
type Registered struct {
	UID         string `json:"uid"`
	Integration string `json:"integration"`
}

// Webhook finds a webhook.
func (a *API) Webhook(ctx context.Context, id string) (Registered, error) {
	var found Registered
	err := a.do(ctx, http.MethodGet, "/v1/webhooks/"+url.PathEscape(id), nil, &found)
	return found, err
}

// PatchWebhook changes parts of a webhook.
func (a *API) PatchWebhook(ctx context.Context, id string, patch map[string]any) error {
	return a.do(ctx, http.MethodPatch, "/v1/webhooks/"+url.PathEscape(id), patch, nil)
}

// ListDiverted gives the first diverted events of a webhook.
func (a *API) ListDiverted(ctx context.Context, id string) ([]Diverted, error) {
	var page struct {
		Items []Diverted `json:"items"`
	}
	err := a.do(ctx, http.MethodGet, divertedPath(id)+"?limit=100", nil, &page)
	return page.Items, err
}

// Resend sends a diverted event again.
func (a *API) Resend(ctx context.Context, id, deliveryID string) error {
	return a.do(ctx, http.MethodPost, divertedPath(id)+"/"+url.PathEscape(deliveryID)+"/resend", nil, nil)
}

// PublicKey gives the public key of the default tenant as PEM.
func (a *API) PublicKey(ctx context.Context) (string, error) {
	text, err := a.send(ctx, http.MethodGet, "/receeve/public-key", nil)
	return string(text), err
}

func divertedPath(id string) string { return "/v1/webhooks/" + url.PathEscape(id) + "/diverted" }

// do makes a request; header holds names and values in turns.
func (a *API) do(ctx context.Context, method, path string, send, receive any, header ...string) error {
	text, err := a.send(ctx, method, path, send, header...)
	if err != nil || receive == nil {
		return err
	}
	if err := json.Unmarshal(text, receive); err != nil {
		return fmt.Errorf("%s %s: decode the answer: %w", method, path, err)
	}
	return nil
}

// send makes a request and gives the body of a successful answer.
func (a *API) send(ctx context.Context, method, path string, send any, header ...string) ([]byte, error) {
	var body io.Reader
	if send != nil {
		text, err := json.Marshal(send)
		if err != nil {
			return nil, fmt.Errorf("%s %s: encode: %w", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+a.key.Reveal())
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	switch {
	case method == http.MethodPatch:
		req.Header.Set("Content-Type", "application/merge-patch+json")
	case send != nil:
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("admin API: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAPIAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		var problem struct{ Title, Detail, Error string } // the last on the platforms' APIs
		// An answer that is no problem document still has its status.
		_ = json.Unmarshal(text, &problem)
		problem.Title = cmp.Or(problem.Title, problem.Error)
		return nil, &APIError{Method: method, Path: path, Status: resp.StatusCode, Title: problem.Title, Detail: problem.Detail}
	}
	return text, nil
}
