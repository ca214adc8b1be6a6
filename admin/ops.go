package admin

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one condition of readiness.
type Check struct {
	// Name of what is checked, such as "registry".
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// WaitsFor says what is missing, for an operator; empty when OK.
	WaitsFor string `json:"waitsFor,omitempty"`
}

// OpsHandler serves what operators and orchestrators watch, without keys, on an address of its own: /healthz (the
// process answers), /readyz (it can do its work; 503 and what it waits for when not) and /metrics. ready must not
// block.
func OpsHandler(ready func() []Check, gatherer prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeOps(w, http.StatusOK, map[string]bool{"ok": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		answer := readiness{Ready: true, Checks: ready()}
		for _, check := range answer.Checks {
			answer.Ready = answer.Ready && check.OK
		}
		status := http.StatusOK
		if !answer.Ready {
			status = http.StatusServiceUnavailable
		}
		writeOps(w, status, answer)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	return mux
}

type readiness struct {
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"`
}

func writeOps(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // strings and booleans cannot fail
		panic(err)
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away is no concern
}
