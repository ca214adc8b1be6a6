package main

import (
	"eventrelay/catalog"
	"eventrelay/relay/deliver"
	"eventrelay/relay/deliver/advice"
	"eventrelay/relay/deliver/breaker"
	"eventrelay/relay/registry"
)

// forcedBreaker is what operators decided, as deliveries ask for it: by the endpoint's key.
func forcedBreaker(hooks *registry.Registry) func(key string) catalog.BreakerState {
	return func(key string) catalog.BreakerState {
		if forced := hooks.ForcedBreaker(catalog.EndpointID(key)); forced != nil {
			return forced.State
		}
		return ""
	}
}

// followBreaker brings a decision that changed to the dispatcher.
func followBreaker(dispatcher *deliver.Dispatcher, endpoint string) {
	if ref, ok := catalog.ParseEndpointID(endpoint); ok {
		dispatcher.Follow(ref.Key())
	}
}

// tellSiblings posts what breakers do for the other instances, and passes it on.
func tellSiblings(board *advice.Board, next func(string, breaker.Change)) func(string, breaker.Change) {
	return func(endpoint string, c breaker.Change) {
		board.Changed(endpoint, c)
		next(endpoint, c)
	}
}
