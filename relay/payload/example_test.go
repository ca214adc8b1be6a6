package payload_test

import (
	"fmt"
	"time"

	"eventrelay/catalog"
	"eventrelay/relay"
	"eventrelay/relay/payload"
)

// A lane compiles the encoding once per revision of the webhook and composes each attempt into a pooled Message.
func Example() {
	encoding, err := payload.Compile(catalog.FormatStandard, payload.Keys{Signing: catalog.Signing{Enabled: true, Secrets: []catalog.SigningSecret{
		{Value: catalog.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Encoding: catalog.SecretWhsec},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	data := []byte(`{"debt":"deb_1","amount":12.50}`)
	now := time.Unix(1772368496, 0)
	ev := &catalog.Event{
		ID: "evt_1", Source: "/platform/debts", Type: "debt.paid", Tenant: catalog.DefaultTenant, Time: now, Livemode: true,
		Raw: data, Data: data, Span: catalog.Span{To: len(data)},
	}
	d := relay.NewDelivery(ev, "wh_1", relay.Coordinates{Topic: "debt", Offset: 42}, 0, nil, now)

	var message payload.Message
	if err := encoding.Compose(&message, d, now); err != nil {
		fmt.Println(err)
		return
	}
	for _, h := range message.Headers {
		fmt.Printf("%s: %s\n", h.Name, h.Value)
	}
	fmt.Printf("\n%s\n", message.Body)
	// Output:
	// webhook-id: msg_bd1bb62ac3fe4401ec77e40b2367c501
	// webhook-timestamp: 1772368496
	// webhook-attempt: 1
	// webhook-event-id: evt_1
	// webhook-event-type: debt.paid
	// content-type: application/json
	// webhook-signature: v1,VuU8G43NOYbOmTCMRcYlvJEh4jmml8xorSFk69myZ2g=
	//
	// {"type":"debt.paid","timestamp":"2026-03-01T12:34:56Z","data":{"debt":"deb_1","amount":12.50}}
}
