// Package outbound sends one HTTP request to a receiver that nobody vouches for, and says in one word what came of
// it. It is a guarded client: a webhook's URL can never make it talk to an address that the operator's policy
// denies, and no receiver can make it wait, read or remember more than the bounds below.
//
// It does not sign, schedule, retry or judge. Whether a status is a success, and what follows from a Result, is the
// caller's; so are the headers, authentication included, except for client certificates, which belong to the
// connection. It follows no redirect, inflates no body and uses no proxy.
//
// # One attempt
//
// Client.Do looks up the target of the endpoint (URL checked, TLS material parsed: once, then remembered), takes an
// idle connection of the target's pool or dials one, writes the request, reads status, headers and at most
// maxBodyBytes of the body, and classifies. One deadline covers all of it, the lookup of the name and the end of the
// body included: a receiver that answers 200 and then stalls in the body has timed out.
//
// The dial resolves the name, has the policy vet every address of the answer (one that is denied refuses them all),
// connects to an address that was vetted, never to the name, and makes the TLS handshake. The socket's control hook
// asks the policy once more about the concrete address.
//
// HTTP/1.1 is preferred; fasthttp writes and parses it, on connections that this package pools itself, because an
// attempt must know its connection: whether it is fresh, whether a byte was received, and how to end it when the
// caller's context ends. Receivers that speak only HTTP/2 are found by ALPN and served through net/http on the same
// dial.
//
// # Why fasthttp
//
// Because a request through it costs about half, and net/http where there is no choice. BenchmarkChoice makes the same
// requests of 600 bytes to the same receivers, 64 at a time, by this client and by net/http's transport; CPU is of both
// sides, as the receiver shares the process (median of three, two busy cores, loopback):
//
//	receiver      this client                        net/http
//	HTTP/1.1      19 µs, 25 µs a request,  4 allocs  36 µs, 43 µs a request,  59 allocs
//	the same TLS  34 µs, 46 µs a request, 40 allocs  58 µs, 95 µs a request, 100 allocs
//	only HTTP/2   58 µs, 62 µs a request, 104        70 µs, 118 µs a request, 103
//
// The allocations on TLS are mostly the receiver's; HTTP/2 is net/http on both sides, so that those two differ by noise
// and the context's handling alone. With 8 000 requests under way at once, on as many connections (BenchmarkConnections,
// up to 10 000 where the process may open the files), both sides together take 30 KB a connection with this client and
// 32 KB with net/http, and 142 µs against 184 µs of CPU a request, the dial included: connections cost much the same,
// requests do not. A client written by hand on bare sockets was a tenth faster than fasthttp, which is not worth a
// parser of our own.
//
// # Sent once
//
// A request is written to a second connection only if the first one came from the pool and was closed before the
// first byte of a response: the receiver closed it while idle. That happens at most once per attempt. On a fresh
// connection, or after any byte of a response, nothing is ever written again.
//
// # Bounds
//
// Time: the attempt's deadline. Memory: maxHeaderBytes, and nothing of the body but its first KeptBodyBytes. Traffic:
// maxResponseBytes. Connections under way are bounded by the caller's concurrency, idle ones and targets by Options, and
// all sockets together by a share of the files that the process may open: when they are used up idle connections are
// closed, and an attempt that still finds none is our fault (ClassInternal), not the endpoint's.
//
// # Ownership
//
// A connection belongs to the attempt that took it until it is put back; the pool's mutex guards the idle ones only.
// Client.mu guards the targets and their order of use. sockets knows every open socket, so that Close can end them.
// There is one goroutine, the sweeper, which closes what has been idle too long; Close waits for it. Nothing here
// is durable: a crash loses connections and what was learned about protocols.
//
// Read client.go first (an attempt from end to end), then target.go, dial.go and resolve.go (the guard), pool.go and
// socket.go (connections), exchange.go and http2.go (the two protocols), result.go (what came of it). certificate.go
// makes the handshake without an attempt, for whoever wants to know beforehand; besides.go asks other servers than the
// receiver, behind the same guard.
package outbound
