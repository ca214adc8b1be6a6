// Package registry knows who wants what: webhooks, integrations, suspensions, tenants' key pairs, the hashes of API keys
// and what operators forced on breakers. Their truth is one compacted topic with one partition; every process tails it
// into its own snapshot, from which the matcher's index
// is compiled and the API reads. It does not validate resources (package catalog does), does not match events
// (package match does) and does not decide when a webhook is suspended (package deliver does).
//
// # What it promises
//
// An incomplete or stale snapshot must never look like "nobody subscribed". Complete means applied up to an end
// offset that Kafka was asked for at start, and fresh that this was confirmed again within the last 30 s; what Redis
// says counts for neither. A write that was answered is in the snapshot of this process, and in every other
// process's as soon as that reads on: within a second.
//
// # Records
//
// A record's key is kind/tenant/uid, its value a JSON envelope: version, kind, the resource with its secrets
// redacted, and the secrets sealed. A tombstone deletes. A kind that is not known here is passed on to the cache and
// otherwise left alone. A record that does not decode is quarantined: its last good version stays in force, readiness
// and a metric count it, and the next good record of that key lifts it. One that is sealed with a master key that
// this process does not hold is more than one bad record: subscriptions are unknown here, so the snapshot is not
// complete, and not fresh, until the key is configured or the record replaced.
//
// # Master keys
//
// A record's secrets are sealed with a data key of their own, which a master key wraps. SetKeys replaces the master
// keys of a running process. Records under another key than the first are stale: each process knows which they are, and
// the one that was told to (Options.Rewrap) wraps their data keys anew, a chunk at a time through the fenced writer; a
// record changes in nothing else, so that no revision and no webhook's behaviour does. Interrupted anywhere, it goes on
// after the next start. Keys that records may need cannot be taken away from a running process.
//
// # Who owns what
//
//	applying   held by whoever fills the snapshot: Run's start and tail for each batch, SetKeys while it replaces the
//	           keys, keepSealed while it applies what waited for one
//	snapshot   its mutex; written by the holder of applying only
//	stale      its mutex; noted by the holder of applying, counted by keepSealed
//	applied    position; advanced by the applying goroutine after snapshot, callbacks and cache queue have the batch
//	freshness  Registry.mu; written by keepFresh and by writers, who ask for the end too
//	writer     whoever holds its turn: one write of this process at a time; other processes are fenced by Kafka
//	cache      queue under its mutex; all requests to Redis by its goroutine, which nothing waits for for long
//
// # Order of effects
//
// A write: become the writer (fencing every other), read to the end, decide, commit the records together with an
// entry of the audit trail for each, wait until applied here, give the cache a moment, answer. What Options.Announce
// says of a suspension is in its transaction too, so that whoever reads the topic of announcements (read_committed)
// sees one exactly when there was one. See writer for what a crash or a lost answer at each point leaves. A batch:
// snapshot, callbacks, cache queue, position. The cache: records and watermark in one script; a rebuilt copy is swapped
// in whole. Redis may be emptied, lost, or filled with garbage at any time: nothing waits for it and nothing is believed
// of it that its count, its watermark and the topic's id do not bear out.
//
// # Reading
//
// registry.go (options, Run), record.go and seal.go (what is stored), snapshot.go and views.go (what is read), tail.go
// and freshness.go (how it is filled and confirmed), writer.go (how it is written) with webhooks.go, suspensions.go,
// integrations.go, apikeys.go, keypairs.go and breakers.go (what the writes decide) and trail.go (what is told of them), rekey.go with
// stale.go and rewrap.go (how master keys change), cache.go with cache_load.go and cache_rebuild.go (the copy in Redis).
package registry
