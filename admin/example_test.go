package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"eventrelay/catalog"
)

// A webhook is created with the bootstrap key; only the required field is sent.
func ExampleServer_Handler() {
	server := New(Options{Registry: newFakeRegistry(), Diverted: &fakeDiverted{}, BootstrapKey: catalog.NewSecret("the-key")})

	request := httptest.NewRequest(http.MethodPost, "/v1/webhooks", strings.NewReader(`{"url": "https://example.com/hook"}`))
	request.Header.Set("Authorization", "Bearer the-key")
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, request)

	fmt.Println(answer.Code, answer.Header().Get("ETag"))
	// Output: 201 "1"
}

func ExampleOpsHandler() {
	ready := func() []Check { return []Check{{Name: "registry", WaitsFor: "the subscriptions to be complete"}} }
	answer := httptest.NewRecorder()
	OpsHandler(ready, prometheus.NewRegistry()).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))

	fmt.Println(answer.Code, answer.Body)
	// Output: 503 {"ready":false,"checks":[{"name":"registry","ok":false,"waitsFor":"the subscriptions to be complete"}]}
}
