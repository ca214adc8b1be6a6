// Package embedded holds the two services that `relay dev` carries inside its own process: a Kafka broker with a data
// directory, and a Redis.
//
// It is for development only. The broker has no replica and does not flush each batch to disk; the Redis is memory.
// What a developer publishes survives a restart and a kill, not the loss of the machine.
//
// # Who owns what
//
// A Kafka owns its data directory through a file lock from StartKafka to Close: a second process is refused before it
// has read or changed anything. It owns the listener, and with it the moment at which the first client is served. A
// Redis owns nothing on disk.
//
// # Order of a start
//
// Lock the directory, bind the address (a taken one fails before any file was touched), repair what a crash left of an
// earlier compaction, compact, load, create and adjust all topics, serve. No client is answered before the last
// topic exists: a client that looks for a topic too early may cache that it is not there.
//
// Read kafka.go first, then compact.go, whose comment lists what a crash leaves at each step, then gate.go, lock.go
// and redis.go.
package embedded
