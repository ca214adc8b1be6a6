// Package breaker stops attempts to an endpoint that does not live, finds out when it lives again, and lets traffic
// return slowly. There is one Breaker per endpoint and instance.
//
// It does not send, queue or wait: the endpoint's lane asks it before each attempt and reports the outcome. It does
// not throttle (Retry-After and rate limits are the lane's) and is not shared between instances, because one shared
// state would serialise requests and would be lost with the cache that holds it.
//
// # States
//
//	closed     attempts go out. 5 failures in a row, or half of at least 10 within a rolling minute, open it
//	open       no attempt until a time: 10 s, doubling with each opening to 10 min, plus up to 10 % jitter
//	half-open  that time is over: exactly one attempt, the probe, may be under way. Alive closes, Failed opens again
//
// After closing the breaker ramps: Concurrency gives 1, and doubles with each full round of successes until it
// reaches the endpoint's own limit; a failure on the way starts again at 1. The doubling of the open time ends with
// the ramp, not with the closing, so that an endpoint that lives for one probe at a time is asked less and less often.
//
// # What is not its own
//
// An operator may force it open or closed, which nothing but the operator ends, or reset it (automatic again, as new).
// That decision is kept elsewhere and applied to every new breaker of the endpoint.
//
// What a sibling, the breaker of another instance for the same endpoint, does is advice:
//
//	the sibling opened      a breaker without proof of life of its own opens until the sibling's next probe; one with
//	                        fresh proof makes one probe at once, at most one a minute
//	the sibling probes      an open breaker waits for the outcome, 32 s at most
//	the sibling closed      an open breaker may probe at once
//
// So of many instances one probes in each open time, and the others learn what came of it. Advice never closes a
// breaker, never touches a forced one nor a probe under way, and holds an opening for two hours at most, whatever is said.
// Without advice, or with wrong advice, each breaker finds out for itself.
//
// # Ownership and order
//
// One mutex per Breaker guards everything. The counting, the generations and the single probe are gobreaker's, whose
// own mutex is taken only inside ours; its callbacks touch nothing but what ours guards. OnChange runs outside both,
// on the goroutine whose call caused the change, so two changes may be seen out of order: Change.Seq orders them.
//
// Every transition begins a generation, and an outcome counts only in the generation that allowed its attempt: a
// timeout of an attempt that began before the breaker opened does not fail the probe.
//
// done must be called on every path, panics included: defer it. A forgotten one costs little all the same: in closed
// state nothing, and a probe that was never reported is given up after ProbeLease, as if it had been excluded.
//
// Nothing is durable. A crash at any point, or an eviction, leaves a closed breaker behind, which a dead endpoint
// opens again with its first five failures.
//
// Read state.go first (the words), then settings.go (the numbers, and the pure decisions), breaker.go (asking and
// reporting), ramp.go (slow start), operator.go and advice.go.
package breaker
