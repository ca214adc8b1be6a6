// Package advice tells other instances what this one learns of endpoints, and what they learn, to this one: transitions
// of breakers, and pauses that receivers ask for (Retry-After). It also lists the breakers of all instances for the API.
//
// It decides nothing: package breaker weighs advice, package deliver keeps holds within bounds, and what an operator
// forces goes through the registry, not through here. It is not needed for a delivery either: without Redis every
// instance finds out for itself, and nothing waits.
//
// # In Redis
//
//	<prefix>{breakers}:advice        channel: one notice per transition or pause, of the instance that saw it
//	<prefix>{breakers}:instances     sorted set: instance → when it last wrote its list, Unix ms
//	<prefix>{breakers}:of:<instance> hash with a TTL: endpoint → its breaker, as JSON; the field "" says whether the list
//	                                 is complete, and is there as long as the instance is
//
// Waits are sent as durations, so that clocks need not agree. Everything that is read is decoded within bounds; what
// does not decode is counted and ignored. A flushed or restarted Redis is filled again within seconds.
//
// # Owners
//
// Run owns three goroutines: one sends notices, one receives them, one writes this instance's list. Changed and Held
// are called on the delivery path: they take one mutex, for a map of at most 1 024 notices, and never block. Every
// request to Redis ends after a second; none is repeated, as the next notice says more than an old one.
//
// # What a crash leaves
//
// A list that expires after 15 s, and siblings that wait for a probe that never came, 35 s at most (see breaker).
//
// Read notice.go (what is said), board.go (saying and hearing it), list.go.
package advice
