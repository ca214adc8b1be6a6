// Package payload turns a delivery into the bytes of one HTTP request: the body in the webhook's format, the headers
// that every delivery carries, and the signature.
//
// It does not send (see relay/deliver/outbound), does not authenticate (credentials and the owner's headers are the
// endpoint's, added by the lane) and does not read or change the event: data is spliced in as the bytes that the
// platform wrote, never decoded and encoded again.
//
// # Ownership
//
// An Encoding is compiled once per revision of a webhook, is immutable after Compile, and may be used by any number
// of goroutines. A Message belongs to one goroutine at a time, which pools it: Compose fills it, the caller sends it,
// then Resets it. Its Body may be the event's own bytes, so nobody may write to it.
//
// The package keeps no other state and performs no effects, so a crash at any point leaves nothing behind. The same
// delivery composed again differs only in webhook-timestamp, webhook-attempt and the signature over them.
//
// # Rotated secrets
//
// A secret that was rotated out has an end, and the clock of the attempt decides: the Encoding stays the same. The
// formats with room for several signatures carry one of each secret that is valid, the newest first. socotra and
// donutwork have room for one: they go on with the old secret until it ends and use the new one from then on.
//
// # The platforms' formats
//
// ophelos, socotra, ocelot, donutwork and receeve are what receivers of these platforms already understand, and are
// signed as these platforms sign. A signing secret is then the text that its owner was shown: its characters are the
// key, also where it reads "whsec_…". An event may have come in as anything: a platform's own envelope is taken apart
// on the way in, so that every format is built from the same catalog.Event.
//
// # Alerts
//
// A delivery with a relay.Alert is composed by CompileAlert's encoding instead of its webhook's format (alert.go).
//
// # Adding a format
//
// A format is one file with its compose function and one row in the table formats. The row compiles the webhook's
// keys as the format wants them, so a format brings its signature scheme along, in a header or inside the body. An
// event that the format cannot carry is ErrFormat.
//
// Read encoding.go first (the table and the order of work), then message.go and header.go (what every request
// carries), standard.go (the simplest format), signature.go, cloudevents.go, cloudevents_binary.go and raw.go; then
// members.go and eventtime.go, which the platforms' formats share, and ophelos.go, socotra.go, donutwork.go, ocelot.go
// and receeve.go. Package receive beside it is what receivers do, and shares no code with this one.
package payload
