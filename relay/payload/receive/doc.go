// Package receive is the other side of a delivery: what somebody does with a request who has read nothing but the page
// of the platform. It checks who sent it, that the envelope has the members that the page documents and no others, and
// whether the event came before. It shares no code with the encoder, so that neither can hide a mistake of the other.
//
// `relay listen` and the receiver of `relay dev` are made of it, and so are the tests of the formats. It is no part of the
// data plane. Its files may be copied into a receiver as they stand, one for each platform.
//
// # Ownership
//
// A Receiver may be used by any number of goroutines. Its only state is the public key of the receeve format, which is
// fetched with the first request that needs it and then kept, behind one mutex that is held during the fetch: a burst of
// requests fetches once, and a fetch that failed is made again. A Seen has one mutex, and forgets everything with the
// process; a receiver that must not repeat an effect keeps the ids in the same transaction as the effect.
//
// # What the pages leave open
//
// Of Socotra's and receeve's data, nothing but the names of the members that hold it is documented; of Donutwork's
// requests nothing at all: their envelope is the relay's choice. Ocelot documents the members of IncomingSms.received, which
// are demanded, and says that those of its other events differ. A timestamp may have any number of digits after the
// second, but milliseconds at least where the page shows them.
//
// Read receiver.go, then standard.go and one file for each platform; publickey.go; members.go (kinds of members); seen.go.
package receive
