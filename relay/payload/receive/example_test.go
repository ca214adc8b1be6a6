package receive_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"eventrelay/catalog"
	"eventrelay/relay/payload/receive"
)

// A receiver of the payments platform: who sent it, what it says, and whether that is news.
func Example() {
	receiver, err := receive.New(receive.Options{Format: catalog.FormatDonutwork, Secret: catalog.NewSecret("generated_webhook_token")})
	if err != nil {
		fmt.Println(err)
		return
	}
	seen := receive.NewSeen(1000)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		event, err := receiver.Accept(r.Context(), r.Header, body)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusUnauthorized)
		case seen.First(event.ID):
			fmt.Fprintf(w, "%s: %s", event.Type, event.Data)
		default:
			fmt.Fprint(w, "again")
		}
	})
	for _, token := range []string{"generated_webhook_token", "generated_webhook_token", "a guess"} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(
			`{"id":"evt_1","event":"RecurringPayments.charge.paid","created":"2026-03-01T12:34:56Z","data":{"amount":29.90}}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Webhook-Token", token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 200 RecurringPayments.charge.paid: {"amount":29.90}
	// 200 again
	// 401 not sent by whom it should be: wrong token
}
