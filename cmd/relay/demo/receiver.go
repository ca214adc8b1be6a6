package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Receiver is a webhook receiver on this machine. It answers 204 to what is signed correctly, 401 to what is not, 404
// on paths that nobody announced, and 503 on a path that is failing.
type Receiver struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{} // closed when the server's goroutine has ended

	mu    sync.Mutex // guards hooks and what they point at
	hooks map[string]*hook
}

type hook struct {
	verify   Verifier
	failing  bool
	accepted int64
	latest   []Received // at most keptReceived, oldest first
}

// Received is one request.
type Received struct {
	At        time.Time
	WebhookID string // header webhook-id
	EventType string // header webhook-event-type
	Attempt   string // header webhook-attempt
	Status    int    // what the receiver answered
	Err       string // why it refused; empty when it did not
	Body      []byte // at most keptBody bytes
}

const (
	// keptReceived and keptBody bound the receiver's memory: 100 × 4 KiB, 400 KiB a path.
	keptReceived = 100
	keptBody     = 4 << 10
	// maxBody is more than the largest event in any format (base64 in JSON makes 10 MiB 14).
	maxBody = 64 << 20

	readHeaderTimeout = 5 * time.Second
	receiverStop      = 2 * time.Second
)

// StartReceiver listens on addr ("127.0.0.1:0" chooses a port). The caller closes it.
func StartReceiver(ctx context.Context, addr string, log *slog.Logger) (*Receiver, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the demo's receiver cannot listen on %s, choose another address with --receiver-addr: %w", addr, err)
	}
	r := &Receiver{listener: listener, done: make(chan struct{}), hooks: make(map[string]*hook)}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: readHeaderTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() {
		defer close(r.done)
		if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("demo_receiver_stopped", "err", err)
		}
	}()
	return r, nil
}

// URL is the receiver's, without a path.
func (r *Receiver) URL() string { return "http://" + r.listener.Addr().String() }

// Close stops the receiver and waits for it.
func (r *Receiver) Close() error {
	// Requests under way are given a moment of their own, whatever ended the demo.
	ctx, cancel := context.WithTimeout(context.Background(), receiverStop)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("the demo's receiver did not stop within %s: %w", receiverStop, err), r.server.Close())
	}
	<-r.done
	return err
}

// Verifier checks a request: who sent it, and that it is as the platform's page documents it.
type Verifier func(ctx context.Context, header http.Header, body []byte) error

// Expect announces a path and the secret (whsec_…) that its requests are signed with, as Standard Webhooks say.
func (r *Receiver) Expect(path, secret string) error {
	verify, err := Webhook{}.verifier(secret, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r.ExpectVerified(path, verify)
	return nil
}

// ExpectVerified announces a path and how its requests are verified. Announcing it again changes that and keeps the
// rest.
func (r *Receiver) ExpectVerified(path string, verify Verifier) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hooks[path] == nil {
		r.hooks[path] = &hook{}
	}
	r.hooks[path].verify = verify
}

// SetFailing breaks a path, or repairs it.
func (r *Receiver) SetFailing(path string, failing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hooks[path]; h != nil {
		h.failing = failing
	}
}

// Accepted is how many requests a path has answered with success.
func (r *Receiver) Accepted(path string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hooks[path]; h != nil {
		return h.accepted
	}
	return 0
}

// Latest are the last requests of a path, oldest first.
func (r *Receiver) Latest(path string) []Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hooks[path]; h != nil {
		return append([]Received(nil), h.latest...)
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	got := Received{
		At: time.Now(), WebhookID: req.Header.Get("webhook-id"), EventType: req.Header.Get("webhook-event-type"),
		Attempt: req.Header.Get("webhook-attempt"), Body: append([]byte(nil), body[:min(len(body), keptBody)]...),
	}
	got.Status, got.Err = r.receive(req, body, got)
	if got.Err != "" {
		http.Error(w, got.Err, got.Status)
		return
	}
	w.WriteHeader(got.Status)
}

// receive decides the answer and keeps the request.
func (r *Receiver) receive(req *http.Request, body []byte, got Received) (status int, refused string) {
	verify := r.verifier(req.URL.Path)
	if verify == nil {
		return http.StatusNotFound, "no webhook was announced for this path"
	}
	verified := verify(req.Context(), req.Header, body)
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hooks[req.URL.Path] // a path that was announced stays announced
	got.Status, got.Err = answer(h.failing, req.Method, verified)
	if got.Err == "" {
		h.accepted++
	}
	if len(h.latest) == keptReceived {
		h.latest = append(h.latest[:0], h.latest[1:]...)
	}
	h.latest = append(h.latest, got)
	return got.Status, got.Err
}

func (r *Receiver) verifier(path string) Verifier {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hooks[path]; h != nil {
		return h.verify
	}
	return nil
}

func answer(failing bool, method string, signature error) (status int, refused string) {
	switch {
	case method != http.MethodPost:
		return http.StatusMethodNotAllowed, "webhooks are POST requests"
	case signature != nil:
		return http.StatusUnauthorized, signature.Error()
	case failing:
		return http.StatusServiceUnavailable, "this endpoint is broken at the moment"
	default:
		return http.StatusNoContent, ""
	}
}
