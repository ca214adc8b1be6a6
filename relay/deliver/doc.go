// Package deliver brings deliveries to their endpoints and decides what becomes of each: delivered, tried again,
// diverted, dropped or cancelled. It neither reads Kafka nor waits for due times: intake and the retry wheel submit
// tasks, and the retry wheel and the divert store take what cannot be settled now.
//
// # Owners
//
//   - A Task belongs to whoever submits it until Submit, then to the lane, and ends with exactly one call of Done.
//   - A lane belongs to one endpoint. Its mutex guards queues, counts and pacing. At most `concurrency` of its attempts
//     are under way; an idle endpoint costs nothing.
//   - The gate bounds how many attempts keep this machine busy over all lanes: a lane that may start one needs a place,
//     or waits in line for it. Its mutex is taken with a lane's held. An attempt that only waits for its receiver gives
//     its place up, so that no endpoint, however many hang, keeps the others from starting. The goroutine that made an
//     attempt goes on with the next in line while it has its place, and ends otherwise.
//   - The breaker has its own lock and never calls back into the lane.
//   - The sweep goroutine (Run) hands off what has waited 5 s without having begun, or stands behind a breaker that was
//     opened from outside, adds up what each tenant holds, and evicts idle lanes.
//   - Memory of attempts under way is taken before the breaker is asked and given back when the result is known: bodies
//     are encoded within it, so that a large event for many webhooks is not there once for each of them. Whoever finds
//     none waits as long as a delivery may wait in a lane, then hands it off (room.go).
//   - The goroutines of attempts and suspensions belong to the Dispatcher, which waits for them in Close.
//
// # What comes from outside
//
// An operator's decision about a breaker is applied when the lane is made (Options.Forced) and whenever it changes
// (Follow): open, deliveries are postponed without an attempt until their deadline; closed, nothing opens the breaker.
// What other instances learn of an endpoint is advice (Advise, Hold): bounded in time, and parked while the endpoint
// has no lane here. Both only write state; what is queued is handed off by the sweep.
//
// # Shares
//
// While the window is contended, an endpoint may hold an eighth of it, and a tenant what is left when all active ones
// get the same. Whoever holds more and works it off slowly is handed off; fast endpoints take nothing from anybody. An
// uncontended window costs nothing: tenants are added up by the sweep.
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
// Read task.go, decide.go (what follows from a result: pure), lane.go and gate.go (when an attempt may start), room.go
// (whether there is memory for it), attempt.go (one attempt; authorized.go where it needs an access token, scrub.go for
// what receivers echo), settle.go and alert.go (the effects), dispatcher.go, sweep.go, tenant.go and endpoint.go (what
// comes from outside); attempts.go (what is recorded) and testcall.go stand beside them.
package deliver
