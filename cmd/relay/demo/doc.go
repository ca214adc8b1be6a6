// Package demo is what `relay dev` shows: sample events, a local receiver with a webhook for each payload format, an
// endpoint that fails and recovers, and a line for every attempt.
//
// It is a client of the relay like any other. Traffic publishes to Kafka, Script uses the admin API over HTTP, Receiver
// is reached over HTTP: nothing here knows the data plane, and leaving it out changes nothing.
//
// # Who owns what
//
// A Receiver owns its listener and what it received, behind one mutex. Traffic and Script have no state that outlives
// Run, except the signing secrets of the demo's webhooks, which Script keeps in demo.json of the data directory,
// written before the webhooks that use them: a crash in between leaves secrets that the next start uses. A Printer
// owns its writer; everybody else prints through it.
//
// Read webhooks.go (what is registered), register.go (through which API), receiver.go, verify.go (how a request of each format is checked; see
// relay/payload/receive), script.go (the story), traffic.go, then print.go and banner.go (how it looks) and api.go, secrets.go.
package demo
