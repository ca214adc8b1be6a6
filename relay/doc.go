// Package relay holds the words that the rooms of the data plane share: a Delivery, its durable form as a Kafka
// record, the topics, and the Journal that writes a record until it is acknowledged. It has no loop of its own; the
// work is done in the packages below it and wired in cmd/relay.
//
// # The way of an event
//
// From poll to settled, in order:
//
//  1. intake.Group.pollLoop      reads a batch and hands each record to its partition's assignment
//  2. envelope.Decoder.Decode    turns the record into a catalog.Event, or rejects it
//  3. match.Index.Match          names the webhooks that want it
//  4. intake.Intake.expand       makes a relay.Delivery of each, as the window has room
//  5. deliver.Dispatcher.Submit  puts it in the lane of its endpoint
//  6. deliver.Dispatcher.attempt passes the breaker, signs, sends and classifies one HTTP request
//  7. deliver.Dispatcher.settle  decides what follows: settled, retried (retry.Wheel) or diverted (divert.Store)
//  8. intake.Entry.Settle        resolves the offset; the contiguous prefix is marked for commit
//
// A delivery that is given up also gives an alert (deliver.Dispatcher.alert), which the wheel brings back through
// announce.Coalescer; what the relay tells of itself are events of relay.events, which take the same way from step 1.
// What happened is read back through package history, which nothing waits for.
//
// # Order of effects
//
// Everywhere: write the next durable record, wait for its acknowledgement, then settle the previous one. A crash in
// between duplicates a delivery and never loses one. Writes go through a Journal, which goes on until the broker
// acknowledged: a failed or timed-out produce is unknown, not unwritten.
package relay
