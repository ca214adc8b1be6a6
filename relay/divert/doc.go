// Package divert keeps the deliveries that an operator has to know about: those whose retries are spent, that no
// format can carry, whose filter erred, or whose webhook was suspended. It writes them to a compacted topic, lists
// them, deletes them and sends them again.
//
// It does not decide what is diverted (relay/deliver does), sends nothing itself (a resend goes through the retry
// topics) and knows no HTTP API.
//
// # Records
//
// The topic is the truth. It is partitioned by webhook uid and has four kinds of record, told apart by their key:
//
//	uid/delivery/n            a diverted event: the event's bytes as the value, everything else in headers
//	uid/delivery/n            without a value: a tombstone, it was delivered, deleted or diverted again
//	uid/delivery/n/resending  a marker: generation n is being resent; its tombstone ends that
//	barrier/p                 nothing; gives partition p a last record (see Store.awaitIndexed)
//
// n is the generation: how often the delivery was resent before it was diverted. A tombstone names its generation,
// so one that comes late never erases a newer diverted event.
//
// # Order of effects
//
// Each step is acknowledged before the next begins; a crash in between duplicates a delivery and never loses one.
//
//	divert     the new record; then the tombstones of the generation it came from; then the caller settles
//	resend     the delivery to the retry topics; then the marker. In between: listed as diverted, may be resent twice
//	delivered  the tombstones of record and marker (Resolve); then the caller settles
//	cancelled  the tombstone of the marker only (Release): the diverted event stays listed
//	deleted    the tombstones of record and marker. A resend that is under way may still be sent, and is diverted
//	           again as the next generation if it fails
//
// Where a crash left two generations of one delivery, the index lists the newer one and the tail writes the
// tombstone of the older one.
//
// # The index
//
// Listing needs an order that Kafka does not have, so a tail of the topic keeps an index in Redis: per partition one
// hash of entries, four ordered sets and the set of markers, all in one hash slot. Redis is a cache: the index never
// holds an event's bytes, and it carries its watermark, the offset up to which it covers the topic. A batch of
// records and the watermark are applied by one script, and only if the watermark lies inside the batch, so any number
// of processes may tail at once. An index that is missing, damaged by eviction, of another topic, ahead of the topic or
// older than the topic keeps tombstones is begun anew from the first record. A read asks Kafka for the end
// of the topic and waits until the watermark reaches it; if it does not, the read fails with ErrIndexBehind. So an
// empty or half-filled Redis never looks like "nothing was diverted".
//
// # Ownership
//
//	Store.chains   follow-up writes that wait their turn; one goroutine, from New to Close
//	tail           positions in the topic; the one goroutine of Store.RunIndex that polls
//	sweeper    its ramps and its term; one goroutine of RunIndex. One instance sweeps at a time, by a lock in Redis
//	           that is advice: two that sweep duplicate deliveries
//	layout     topic id, leaders and partition count; a mutex
//
// # The sweeper
//
// It does what is to be done to many diverted events, a little of each at every tick: drains of suspensions that ended,
// then jobs, the oldest first, then what is older than divert.retention. A webhook gets one batch of resends a tick,
// whoever asks for more; a batch begins with ten and doubles, and the lanes send fresh events before any of it.
//
// The state of a drain is the topic itself: what is listed as suspended in an epoch that is drained is resent, however
// late it was diverted and whoever stopped before. The state of a job is in the jobs topic (package jobs): where it
// goes on, and how many it dealt with. Only who holds the term there may write it. At each step of a job:
//
//	claim      in Redis, on each entry that is to be resent. A dead holder's ends after claimFor; the job waits for it,
//	           so that nothing is passed over
//	look       at the entries once more, in an index that covers the topic: what was resolved or marked since is left out
//	effects    the resends with their markers, or the tombstones, acknowledged
//	progress   saved. A crash before this repeats the step: tombstones that stand and markers that stand are found, and
//	           what was resent without a marker is resent once more
//
// A job selects only what stood in the topic when it was created, so that what fails again is not selected again.
// What expires is claimed and looked at in the same way, removed, counted and announced; entries that are being resent
// are left alone.
//
// Read key.go and record.go (what is stored), store.go (how it is written), index.go with the scripts beside it, tail.go
// and await.go (how it is indexed), list.go, offset.go, detail.go and resend.go (what is done with it),
// sweep.go, bulk.go, walk.go, run.go and expire.go (what is done with many).
package divert
