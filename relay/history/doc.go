// Package history reads back what has happened: the attempts that were made, the records that were rejected, and the
// events themselves. It decides nothing, settles nothing, and nothing waits for it.
//
// # Two kinds of memory
//
// The topics are the truth, for as long as they are kept: relay.attempts (7 days, best effort: what the writer shed is
// counted by relay_attempts_shed_total), relay.rejected (30 days) and the domain topics. They are read backwards from
// the end, a bounded number of records for one page.
//
// Redis holds what operators look at most, as a cache: for each webhook its latest attempts and latest failures (100
// each) and its counts by minute and by hour. It is written from memory, in batches, after the fact; what does not fit
// or cannot be written is dropped and counted by relay_history_shed_total. Whoever reads is told since when the counts are
// complete: after FLUSHALL, an outage, or counts that were shed, they begin anew. Only topics are history that must not
// lack anything.
//
// # Who owns what
//
//	Recent.mu       what was observed and not written yet: bounded by maxWebhooks and maxEntries
//	Recent.Run      the one goroutine that writes to Redis, a batch at a time; the caller waits for it
//	History         holds nothing; every call asks Kafka or Redis anew and is bounded in time by its context
//
// Observe is called for every outcome on the delivery path: it takes a mutex, adds to counters and copies one struct.
// It never waits for Redis.
//
// # What a crash leaves
//
// Up to writeEvery of observations are lost, more where more webhooks are in use than a batch takes. A batch whose answer
// did not come may have been applied; it is not repeated, and the counts begin anew.
//
// Read history.go (what is offered), attempt.go (one attempt), recent.go and write.go (how Redis is written, push.lua),
// read.go and stats.go (how it is read), scan.go and topic.go (how topics are read backwards), and attempts.go,
// rejected.go and events.go, which select from them.
package history
