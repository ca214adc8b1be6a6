package breaker_test

import (
	"fmt"

	"eventrelay/relay/deliver/breaker"
)

// A lane reports on every path, panics included: the zero Outcome is Excluded, which counts for nothing.
func Example() {
	b := breaker.New(breaker.Settings{OnChange: func(c breaker.Change) { fmt.Println(c.From, "to", c.To, "because of", c.Reason) }})
	attempt := func(send func() breaker.Outcome) bool {
		done, ok, _ := b.Allow()
		if !ok {
			return false
		}
		var outcome breaker.Outcome
		defer func() { done(outcome) }()
		outcome = send()
		return true
	}
	for attempt(func() breaker.Outcome { return breaker.Failed }) {
	}
	fmt.Println("attempts may start:", b.Concurrency(8))
	// Output:
	// closed to open because of consecutive_failures
	// attempts may start: 0
}
