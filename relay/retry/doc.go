// Package retry keeps deliveries until they are due: a hierarchical timing wheel whose slots are Kafka topics.
//
// It decides nothing about a delivery. Dispatcher (relay/deliver) says when it should come back, and gets it back.
//
// # The wheel
//
// Each topic relay.retry.<delay> has one constant delay, so that due times rise along a partition and only its head
// needs to be watched. A record carries the time that is left from the broker's append (header relay-wait). It waits
// out the largest delay that fits, then hops with what is left, until nothing is left: any due time works and nothing
// scans. A wait below the smallest delay is rounded up to it. What is left after a delay and is at most a tenth of
// it, and at most the smallest delay, is waited out in place, because a hop would round it up; the next record in the
// partition waits that much more at most. Topics of delays that are no longer configured are read as well, until they
// are empty.
//
// # Owners, and what a crash leaves
//
// Each assignment of a retry partition has one worker (intake.Group). It holds the head until due, looking again every
// few seconds, and ends with the assignment. The time is that of a clock whose jumps are spread out (clock.go), and no
// wait is longer than its delay by the monotonic clock: neither a clock that is set nor a lost timer makes a partition
// due at once or strands it. While the worker waits the partition pauses by its full inbox, and that pause belongs to
// the assignment too.
//
// A record stays uncommitted until what follows it is durable: the next hop, the postponement, or the settlement of
// the delivery. A crash repeats the hop or the attempt. What lies below the committed offset is trimmed
// (DeleteRecords) by the owner of the partition.
package retry
