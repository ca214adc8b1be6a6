// Package audit is the trail of who changed what and when: one topic, appended to and never edited, kept for as long as
// its retention says. It decides nothing and knows no HTTP: package admin says who acts (Call), package registry writes
// the entries of its changes, and Log appends the entries of everything else and reads them all.
//
// # What it promises
//
// No change without its trace. A change of the registry and its entry are one Kafka transaction: both are there or
// neither is. Any other mutation writes its entry, and waits for the acknowledgement, before it acts: a crash between
// the two leaves an entry of something that was asked for and not done, never a deed without an entry. A produce that
// failed is unknown, so a repeated request may leave two entries; the request ids tell them apart.
//
// An entry names things and holds nothing of their content: no secret, no URL, no event. What was changed is told by
// the names of the members.
//
// # Ownership
//
// Nothing here is state. Call travels in a request's context; Log borrows the process's producer and is safe for
// concurrent use. Reading goes backwards from the end by offset, and one call looks at a bounded number of offsets.
//
// Read entry.go, then log.go and read.go.
package audit
