package audit_test

import (
	"context"
	"fmt"

	"eventrelay/relay/audit"
)

// The API says who acts once, where the request comes in; whatever changes something further down finds it in the
// context. What nobody asked for is the relay's own doing.
func ExampleNewContext() {
	request := audit.NewContext(context.Background(), audit.Call{Actor: "key_4zq", Action: "DELETE /v1/webhooks/{id}"})
	fmt.Println(audit.FromContext(request).Actor)
	fmt.Println(audit.FromContext(context.Background()).Actor)
	// Output:
	// key_4zq
	// relay
}
