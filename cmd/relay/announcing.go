package main

import (
	"maps"

	"eventrelay/catalog"
	"eventrelay/relay/announce"
	"eventrelay/relay/deliver"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/intake"
)

// sources are the topics that intake reads, with their domains: the configured ones, and the relay's own events.
func (n node) sources() map[string]string {
	sources := maps.Clone(n.Domains)
	sources[n.Topics.Events()] = catalog.DomainRelay
	return sources
}

// countsAlerts reports that the minute of a webhook's alerts is counted in this assignment of a retry topic: in that of
// the smallest class, which every wait can end in.
func (n node) countsAlerts(owner any) bool {
	a, ok := owner.(*intake.Assignment)
	return !ok || a.Topic == n.Topics.Retry(n.Topics.Delays[0])
}

// onReport tells the announcer of outcomes, and whoever watches.
func (n node) onReport(announcer *announce.Announcer) func(deliver.Report) {
	return func(r deliver.Report) {
		announcer.Report(r)
		if n.OnReport != nil {
			n.OnReport(r)
		}
	}
}

// onBreaker tells the announcer of transitions, and whoever watches.
func (n node) onBreaker(announcer *announce.Announcer) func(string, breaker.Change) {
	return func(endpoint string, c breaker.Change) {
		announcer.Breaker(endpoint, c)
		if n.OnBreaker != nil {
			n.OnBreaker(endpoint, c)
		}
	}
}
