package outbound_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/outbound"
)

func ExampleClient_Do() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("%s received %s\n", r.Header.Get("webhook-id"), body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer receiver.Close()

	client := outbound.New(outbound.Options{
		Policy: catalog.Egress{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	defer client.Close()

	result := client.Do(context.Background(), &outbound.Request{
		Endpoint: &catalog.Endpoint{URL: receiver.URL + "/hook", Timeout: 5 * time.Second},
		Headers:  []outbound.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "webhook-id", Value: "msg_1"}},
		Body:     []byte(`{"type":"debt.paid"}`),
	})
	fmt.Println(result.Status)

	blocked := client.Do(context.Background(), &outbound.Request{Endpoint: &catalog.Endpoint{URL: "https://169.254.169.254/"}})
	fmt.Println(blocked.Status, blocked.Class)
	// Output:
	// msg_1 received {"type":"debt.paid"}
	// 202
	// 0 blocked
}
