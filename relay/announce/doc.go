// Package announce tells tenants what befalls their webhooks, in two ways: by the relay's own events, which any webhook
// of the tenant may subscribe to by their exact names, and by alerts, which go to the integration that a webhook names
// for them.
//
// It delivers nothing itself. The relay's own events are records of the topic relay.events, which intake reads like a
// domain topic; alerts are deliveries of a webhook of their own (relay.AlertUID), which wait in the retry wheel and go
// through the lane, breaker, guard, credentials and signature of the alert integration as it is at that time.
//
// # The relay's own events
//
// They are of the domain "relay", which no webhook needs to name in its domains and no platform publishes to.
//
//	relay.webhook.suspended    written by the registry in the transaction of the suspension: one record for each,
//	relay.webhook.unsuspended  whatever crashes, with an id made of the webhook's uid and the suspension's epoch
//	relay.webhook.failing      the breaker of the endpoint opened over failures, and a delivery of the webhook is among
//	relay.webhook.recovered    them; it closed again. By each instance for itself, for its breakers are its own
//	relay.event.diverted       deliveries were diverted: the number of them in the minute that the first one began
//	relay.event.expired        diverted events were given up because they were older than their retention
//
// All but the first two are best effort: they never make a delivery wait, what there is no room for is counted and
// dropped, and a crash loses at most a minute of them. Deliveries of the relay's own events raise none, and no alert.
//
// # Alerts
//
// The FailureMessage of a delivery that is given up is written to the retry wheel by the dispatcher, before the
// delivery is settled. The alert about a suspension is made by intake of the record of relay.webhook.suspended, and
// written to the wheel, or delivered, before that record's offset is committed. A crash in between repeats an alert and
// never loses one. Deliveries of alerts raise no alert and no event; one that is given up is dropped.
//
// A Coalescer stands between the wheel and the dispatcher, so that a storm of failures becomes one message a minute for
// each webhook: the first alert passes at once. Those that fall due within the minute are gathered for a second, then
// written back to the wheel as one, which counts for all and comes back when the minute is over. All alerts of a webhook
// take their last hop in the partition of its uid in the wheel's smallest class, so that there is one instance that
// counts the minute; after a rebalance the next one begins anew.
//
// # Owners, and what a crash leaves
//
//   - Announcer: its Run goroutine owns the counts of diverted events and the state of failing endpoints. Everybody else
//     sends notes to it and does not wait. A crash loses the notes and counts of the current minute.
//   - Coalescer: one mutex guards the minutes and the groups; another one is held while a group is carried out, so that an
//     assignment that ends finds either the group or its task in the lane. A task that was gathered is settled when the
//     merged record is acknowledged: a crash before that reads the tasks again, and each counts again; a crash after it
//     changes nothing.
//
// Read event.go (what the events hold), announcer.go with failing.go (when the best-effort ones are written), alert.go
// (the webhook that alerts are delivered to, and the alert of a suspension) and coalescer.go.
package announce
