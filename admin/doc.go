// Package admin is the control plane: the HTTP API under /v1 through which webhooks, integrations, diverted events
// and keys are managed and the audit trail is read, and the handlers of the ops server (health, readiness, metrics).
//
// It is not a store and holds no state that outlives a request, rate limits aside: what it answers comes from the
// registry and the divert store, and a write is answered only after they acknowledged it. It does not listen either;
// cmd/relay does, with NewHTTPServer.
//
// What has happened is read through package relay/history: the attempts of deliveries, their counts, and rejected
// records. Such reads are bounded in time, in work and in number, and answer 503 while Redis or Kafka does not answer.
//
// # The way of a request
//
// openapi.yaml is written first and enforced: the route table (routes.go) may hold only what it documents, and
// parameters and bodies are checked against it before a handler runs. In order:
//
//  1. request id, access log, metrics, recovery from panics    (observe.go)
//  2. rate limit by address                                    (ratelimit.go)
//  3. key → principal, tenant, scope; rate limit by key        (apikey.go, principal.go, routes.go)
//  4. query and header parameters                              (params.go, cursor.go)
//  5. what does not leave a trace by itself leaves one         (trail.go)
//  6. the handler and the body                                 (webhooks.go, suspension.go, integrations.go, wanted.go, diverted.go, breakers.go, jobs.go, keys.go, eventtypes.go, body.go,
//     history.go, match.go, testcall.go, rotate.go, rotate_integration.go)
//  7. an error becomes a problem                               (problem.go, failures.go)
//
// The platforms' own APIs (package dialect) are served beside /v1, each under a base path of its own: the same way with
// their routes instead of the document's, and errors of their own form (dialects.go).
//
// # Who may do what
//
// Each row of the route table names the one scope that it needs; New panics at a row without, and tests that derive from
// the table ask every route with every scope, without a valid key, and for what belongs to another tenant. The tenant
// comes from the key alone. What belongs to another one is not there: its ids answer as those that nobody has.
//
// # No change without its trace
//
// The request's context says who acts. The registry commits an entry of the audit trail together with each change; a
// route that does anything else writes its entry, and waits for its acknowledgement, before its handler runs. A crash in
// between leaves an entry of what was asked for and not done.
//
// # Concurrency
//
// Handlers share nothing that changes. Edits run inside UpdateWebhook's fenced section, so that what is validated is
// what is written; a crash or a lost answer leaves a write whole or absent, and its repeat (same If-Match or
// Idempotency-Key) finds out which. A key's request is stored with what it made, and forgotten with it: repeated after a
// deletion it creates anew, under another uid. The limiter has one mutex; no goroutine is started.
//
// Read server.go first, then routes.go, webhooks.go and webhook_resource.go, and problem.go.
package admin
