// Package catalog says what can happen and who wants it: the Event that a platform published, the domains and
// event types that exist, the Webhook that subscribes to them, its Filter, and what is valid in each.
//
// It is the vocabulary that the data plane (relay/…) and the control plane (admin) share. It does no I/O, starts no
// goroutine and imports nothing else of this project.
//
// Read event.go first (what comes in), then webhook.go (who wants it), endpoint.go (where it goes), filter.go
// (which of it), validate.go and egress.go (what is refused, and why).
package catalog
