// Package token gets the access tokens of endpoints whose auth is oauth2, by the client credentials grant of RFC 6749,
// and keeps them in memory while they are good. It neither sends deliveries nor decides what becomes of one that has no
// token (package deliver does both), and stores nothing: after a restart tokens are fetched anew.
//
// # When a token is fetched
//
// When there is none, when the one at hand nears its expiry (earlyBy), and when the receiver refused it with 401 and
// the caller dropped it. At most one fetch is under way for an endpoint: others use the token at hand while it is good,
// and else wait for the fetch and share its outcome, a failure included. A fetch runs on the goroutine and within the
// context of the attempt that needs it, so that nothing outlives its owner; one that was cancelled is taken over by the
// next that waits.
//
// # Ownership
//
// Tokens.mu guards the grants. A grant's turn is one token of a channel, and who has taken it may fetch; its mu guards
// the token. Nothing of a token or a client secret is in an error, a log line or a metric.
//
// Read token.go, then fetch.go.
package token
