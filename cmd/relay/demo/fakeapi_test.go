package demo

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"eventrelay/catalog"
)

const testKey = "canary-key"

// fakeAPI is as much of the admin API as the demo uses, with hooks for what the test's relay would do.
type fakeAPI struct {
	mu       sync.Mutex
	webhooks map[string]map[string]any // by id
	// integrations by name.
	integrations map[string]map[string]any
	creates      int
	patches      int
	diverted     []Diverted
	resent       []string
	// onList may change what is diverted before a list is answered; onResend is told of each resend.
	onList   func(*fakeAPI)
	onResend func(f *fakeAPI, deliveryID string)
	// broken answers 503 that many times.
	broken int
}

func newFakeAPI(t *testing.T) (*fakeAPI, *API) {
	t.Helper()
	f := &fakeAPI{webhooks: map[string]map[string]any{}, integrations: map[string]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/webhooks", f.create)
	mux.HandleFunc("GET /v1/webhooks/{id}", f.show)
	mux.HandleFunc("PATCH /v1/webhooks/{id}", f.patch)
	mux.HandleFunc("POST /ophelos/webhooks", f.createByPlatform)
	mux.HandleFunc("POST /donutwork/2026-02-01/webhooks.json", f.createByPlatform)
	mux.HandleFunc("POST /ocelot/webhooks", f.createByPlatform)
	mux.HandleFunc("PUT /socotra/webhooks", f.createByPlatform)
	mux.HandleFunc("POST /socotra/integrations", f.createIntegration)
	mux.HandleFunc("GET /v1/integrations/{name}", f.integration)
	mux.HandleFunc("PUT /v1/integrations/{name}", f.integration)
	mux.HandleFunc("GET /v1/webhooks/{id}/diverted", f.list)
	mux.HandleFunc("POST /v1/webhooks/{id}/diverted/{delivery}/resend", f.resend)
	server := httptest.NewServer(f.guard(mux))
	t.Cleanup(server.Close)
	api := NewAPI(server.URL+"/", catalog.NewSecret(testKey))
	t.Cleanup(api.Close)
	return f, api
}

func (f *fakeAPI) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case r.Header.Get("Authorization") != "Bearer "+testKey:
			problem(w, http.StatusUnauthorized, "no key")
		case f.broken > 0:
			f.broken--
			problem(w, http.StatusServiceUnavailable, "the index is behind")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}

func (f *fakeAPI) create(w http.ResponseWriter, r *http.Request) {
	var resource map[string]any
	if json.NewDecoder(r.Body).Decode(&resource) != nil || r.Header.Get("Content-Type") != "application/json" {
		problem(w, http.StatusBadRequest, "not JSON")
		return
	}
	id := resource["id"].(string)
	if f.webhooks[id] != nil {
		problem(w, http.StatusConflict, "taken")
		return
	}
	f.creates++
	f.webhooks[id] = resource
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte("{}"))
}

func (f *fakeAPI) show(w http.ResponseWriter, r *http.Request) {
	hook := f.webhooks[r.PathValue("id")]
	if hook == nil {
		problem(w, http.StatusNotFound, "no such webhook")
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"uid": hook["id"], "integration": hook["integrationName"]})
}

// createByPlatform makes a webhook as the platforms' APIs do: under the id or name that is sent, else under one that is
// generated, which is the same for the same Idempotency-Key.
func (f *fakeAPI) createByPlatform(w http.ResponseWriter, r *http.Request) {
	var sent map[string]any
	if json.NewDecoder(r.Body).Decode(&sent) != nil {
		problem(w, http.StatusBadRequest, "not JSON")
		return
	}
	id, _ := sent["id"].(string)
	if name, ok := sent["name"].(string); ok {
		id = name
	}
	if id == "" {
		id = "generated for " + r.Header.Get("Idempotency-Key")
	}
	if f.webhooks[id] == nil {
		f.creates++
	}
	sent["id"], sent["platform"] = id, strings.Split(r.URL.Path, "/")[1]
	f.webhooks[id] = sent
	_ = json.NewEncoder(w).Encode(map[string]any{"id": id})
}

func (f *fakeAPI) createIntegration(w http.ResponseWriter, r *http.Request) {
	var sent map[string]any
	_ = json.NewDecoder(r.Body).Decode(&sent)
	name := sent["name"].(string)
	if f.integrations[name] != nil {
		problem(w, http.StatusConflict, "taken")
		return
	}
	f.integrations[name] = sent
	_, _ = w.Write([]byte("{}"))
}

func (f *fakeAPI) integration(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if f.integrations[name] == nil {
		problem(w, http.StatusNotFound, "no such integration")
		return
	}
	if r.Method == http.MethodPut {
		var sent map[string]any
		_ = json.NewDecoder(r.Body).Decode(&sent)
		f.integrations[name] = sent
	}
	_ = json.NewEncoder(w).Encode(f.integrations[name])
}

func (f *fakeAPI) patch(w http.ResponseWriter, r *http.Request) {
	var patch map[string]any
	hook := f.webhooks[r.PathValue("id")]
	if hook == nil || json.NewDecoder(r.Body).Decode(&patch) != nil || !strings.Contains(r.Header.Get("Content-Type"), "merge-patch") {
		problem(w, http.StatusNotFound, "no such webhook")
		return
	}
	f.patches++
	for name, value := range patch {
		hook[name] = value
	}
	delete(f.webhooks, r.PathValue("id"))
	f.webhooks[hook["id"].(string)] = hook
	_, _ = w.Write([]byte("{}"))
}

func (f *fakeAPI) list(w http.ResponseWriter, _ *http.Request) {
	if f.onList != nil {
		f.onList(f)
	}
	items := f.diverted
	if items == nil {
		items = []Diverted{}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "nextCursor": nil})
}

func (f *fakeAPI) resend(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("delivery")
	for i := range f.diverted {
		if f.diverted[i].DeliveryID == id {
			f.diverted[i].State = stateResending
			f.resent = append(f.resent, id)
			if f.onResend != nil {
				f.onResend(f, id)
			}
			w.WriteHeader(http.StatusAccepted)
			return
		}
	}
	problem(w, http.StatusNotFound, "no such diverted event")
}

func TestAPI_Errors(t *testing.T) {
	f, api := newFakeAPI(t)
	ctx := testContext(t)
	err := api.Resend(ctx, flakyID, "dlv_1")
	var answer *APIError
	require.ErrorAs(t, err, &answer)
	require.Equal(t, http.StatusNotFound, answer.Status)
	require.EqualError(t, err, "POST /v1/webhooks/demo-flaky/diverted/dlv_1/resend: 404: Not Found: no such diverted event")

	f.broken = 1
	_, err = api.ListDiverted(ctx, flakyID)
	require.True(t, hasStatus(err, http.StatusServiceUnavailable))
	require.NotContains(t, err.Error(), testKey)

	gone := NewAPI("http://127.0.0.1:1", catalog.NewSecret(testKey))
	defer gone.Close()
	_, err = gone.ListDiverted(ctx, flakyID)
	require.Error(t, err)
	require.NotContains(t, err.Error(), testKey)
}
