// Package deliver brings deliveries to their endpoints and decides what becomes of each: delivered, tried again,
// diverted, dropped or cancelled. It neither reads Kafka nor waits for due times: intake and the retry wheel submit
// tasks, and the retry wheel and the divert store take what cannot be settled now.
//
// # Owners
//
//   - A Task belongs to whoever submits it until Submit, then to the lane, and ends with exactly one call of Done.
//   - A lane belongs to one endpoint. Its mutex guards queues, counts and pacing. Attempts run in at most
//     `concurrency` goroutines, which end when the queue is empty, so that an idle endpoint costs nothing.
//   - The breaker has its own lock and never calls back into the lane.
//   - The sweep goroutine (Run) hands off what has waited 5 s without having begun and evicts idle lanes.
//   - The goroutines of attempts and suspensions belong to the Dispatcher, which waits for them in Close.
//
// # Order of effects
//
// The next durable record first, then Done:
//
//	delivered            tombstone of the diverted entry, if it was a resend ─► Done
//	tried again          retry record ─► Done
//	diverted             divert record (then the tombstone of the former entry) ─► Done
//	diverted, suspended  suspension in the registry ─► divert record stamped with its epoch ─► Done
//	dropped              record in the attempt log ─► Done
//	cancelled            Done; a resend's entry becomes plain diverted again
//	given up, alerted    one of the above, and beside it the record of the alert in the retry wheel ─► Done
//
// A crash before Done repeats the attempt or the record; after Done nothing is repeated.
//
// A test call (Dispatcher.Test) makes one attempt with the same code and has no task in any lane: it belongs to its
// caller, leaves no record and cannot end in any of the above.
//
// Read task.go, decide.go (what follows from a result: pure), lane.go (when an attempt may start), attempt.go (one
// attempt; authorized.go where it needs an access token, scrub.go for what receivers echo), settle.go and alert.go (the
// effects) and dispatcher.go; attempts.go (what is recorded) and testcall.go stand beside them.
package deliver
