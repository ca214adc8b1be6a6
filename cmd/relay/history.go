package main

import (
	"eventrelay/relay/deliver"
	"eventrelay/relay/history"
)

// remember lets the recent view see every outcome, besides whoever watched already.
func remember(recent *history.Recent, watch func(deliver.Report)) func(deliver.Report) {
	return func(r deliver.Report) {
		if a, ok := r.History(); ok {
			recent.Observe(&a, r.Result.Body)
		}
		if watch != nil {
			watch(r)
		}
	}
}
