// Package intake reads partitions of a consumer group and commits an offset only when everything before it is
// settled or handed off. Group is the engine, which the retry wheel uses too; Intake is the use of it for the domain
// topics.
//
// The domain topics, for it, are those of the platform and relay.events, where the relay's own events are (package
// announce): its domain is "relay", and the alert that follows from the event of a suspension is handed to the retry
// wheel before that record is settled.
//
// It is not the place where deliveries are made or decided: it hands each one to a Submitter and is told when it is
// done.
//
// # Owners
//
//   - The poll goroutine of a Group is the only one that polls. It appends records to assignments and pauses
//     partitions; it never blocks on anything else.
//   - The gate goroutine resumes paused partitions: when the window drops below its low-water mark, when a worker has
//     emptied half of an inbox, and once a second in any case, so that a lost wake-up cannot leave a partition paused.
//     Pausing, resuming and halting happen inside the group's mutex, so that the client and the assignment agree.
//   - A halted partition (its records are gone or damaged, or the client would go on somewhere else) is paused and what
//     still arrives for it is ignored, until it is assigned anew.
//   - A refused partition (Kafka does not let it be read, or its offset be fetched) is paused for a second at a time and
//     shows in readiness. Where the client gave it up, the gate ends the session and Run joins the group anew.
//   - An Assignment is one assignment of one partition to this member and is never reused: a partition that comes
//     back gets a new one. Its mutex guards inbox, pause state and the revoked flag.
//   - Its Ledger has the entries of what was taken from the inbox. The ledger's mutex guards entries and its own
//     sealed flag, and the mark for commit happens inside it: a result that arrives after the revocation finds the
//     flag set and changes nothing.
//   - Each assignment has one worker goroutine, which ends when the assignment's context does.
//
// # Order of effects, and what a crash leaves
//
//  1. A record is tracked in the ledger, then worked on. Crash: it is read again.
//  2. Each of its deliveries is settled only when its next durable record is acknowledged (relay.Journal). Crash
//     before: read again. Crash after: read again too, a duplicate of that delivery.
//  3. When the last delivery of the lowest unsettled offset settles, the contiguous prefix is marked; marks are
//     committed once a second. Crash before the commit: at most what finished within that second is read again.
//  4. At revoke and stop: the worker ends, deliveries that have not begun are handed off to the retry topics, those
//     under way get DrainTimeout, then are cancelled and handed off as well; then the ledger is sealed and the marks
//     are committed. What was acknowledged is therefore below the committed offset. A client that waits to join holds
//     commits and its own end back, so at stop both go past it (leave.go).
//
// An attempt that hangs holds back the commit of its partition until its own timeout, and nothing else: what settles
// above it leaves the window, and is kept in the ledger as FinishedBytes a record, a million of them with the default window.
// A crash in that time reads all of them again.
//
// Hand-offs of a drain wait for room in the producer's buffer, the drain does not wait for them: what is not handed
// off in its time is read again.
//
// Lost partitions (the member was fenced) are sealed at once; nothing is committed or handed off for them, because
// another member has read them already.
//
// # Memory
//
// The window counts what was polled from the moment of the poll. When its bytes are used up all partitions pause, not
// only those that had records: each would otherwise add one more of up to the largest size. The client's records share
// the memory of the answer that they came in, so a worker gives each a value of its own (detach.go): what an endpoint
// holds up keeps nothing else. Records that wait for hours (Inbox.Waiting) are there without a value of more than
// 64 KiB, which is read again when it is due and there is room for it (reread.go). Nothing waits for ever for room: what
// is larger than all of it is there alone.
//
// Read window.go, ledger.go, assignment.go, detach.go, reread.go, group.go, refusal.go, rebalance.go, leave.go, then intake.go.
package intake
