// Package jobs holds the bulk operations that were asked for and how far they have come: resending or deleting many
// diverted events. It keeps them in a compacted topic and gives them to whoever carries them out, one runner at a time.
//
// It carries out nothing itself (relay/divert does), schedules nothing and knows no HTTP API.
//
// # Records
//
// The topic is the truth, and small. A job has up to three records. Each is written by one kind of writer, so that none
// of them can undo what another one wrote:
//
//	job_…            the definition: whose job it is and what it is to do. Written when it is created, never changed
//	job_…/progress   how far it has come. Written by the runner alone, after what it reports is durable
//	job_…/cancel     somebody wants it to end. Written by the API, obeyed by the runner
//	barrier          nothing; gives the topic a last record (see Store.awaitEnd)
//
// Keys of other forms belong to others ("origin/<group>" is intake's) and are passed over. A record that cannot be read
// is counted and passed over too.
//
// # One runner
//
// A Term is the right to write progress. Taking one initialises a transactional id, after which Kafka refuses whatever
// an earlier holder sends, and then reads the topic to its end: the new runner begins where the last durable progress
// of the one before ended. What becomes of a job whose runner dies:
//
//	before it took the term     nothing has happened; the next one takes it
//	after effects, before       the next runner repeats what was done since the last progress; effects are such that
//	their progress is written   repeating them finds them done, or duplicates a delivery and never loses one
//	while progress is written   the next initialisation ends the transaction; the progress counts or not, as above
//	after the progress          the next runner goes on from there
//
// A runner that was only slow finds itself refused (ErrFenced) at its next progress and stops; until then it may have
// repeated what its successor does. Readers do not wait for transactions to end: a progress that was written is true,
// since what it reports was acknowledged before, and Kafka never lets one that was aborted displace one that was not.
//
// # Ownership
//
//	board   the jobs and the offset up to which they are known; one mutex. Written by the goroutine of Run alone
//	Term    belongs to the goroutine that took it
//
// Read job.go (what a job is), record.go (how it is stored), board.go and store.go (how it is known and written), and
// term.go (who may carry it out).
package jobs
