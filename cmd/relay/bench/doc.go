// Package bench measures the relay against a bare loop on the machine that it runs on: how many deliveries a second,
// what each costs, how long it takes, and whether any is lost.
//
// # What is compared
//
// The bare loop consumes, signs, appends the envelope and POSTs with the same HTTP client, and does nothing else: it is
// the floor below which no relay gets. The relay is `relay serve` as it stands, with everything on: webhooks by the
// hundred thousand, filter, signature, breaker, guard, attempt log, a commit each second. Both are run in turns within
// one invocation, several rounds, and what is reported is the ratio of rounds that were made together, with its spread:
// ratios mean something on any machine, deliveries a second only on the one at hand.
//
// Broker, cache, receiver, load, bare loop and relay each have a process of their own, so that what is charged to one
// of them is what it used. They share the machine's cores; the receiver does as little as it can.
//
// # Processes
//
// A process plays a role. It reads requests from its standard input and answers on its standard output, one line of
// JSON each, and ends when its input does: whatever becomes of the process that started it, nothing is left behind.
// A stage owns the processes of one scenario, their logs and their topics, and strikes them in the end. The progress,
// the report and all measuring belong to the one goroutine of Run; only a load that publishes while a run is watched
// has a second one, which is waited for.
//
// # What counts
//
// The receiver knows which deliveries to expect and keeps a bit for each: what did not arrive is lost, which fails the
// benchmark; what arrived again is a duplicate. Rates and CPU are taken from the tenth of the deliveries to the last, so
// that starting up does not count. Latency is from just before an event is published to the whole request at the
// receiver, both by the clock of the same machine.
//
// Read bench.go (scenarios and their order), stage.go and process.go (what a scenario plays on), role.go (the other
// side of a process), then the roles receiver.go with tally.go, load.go, bare.go and measured.go, then measure.go (what
// a measurement is) and the scenarios, backlog.go first; group.go is the one with several relays.
package bench
