package announce

import (
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/breaker"
)

const (
	// failureCounts is how long a failed attempt can have taken part in opening a breaker: the window of the breaker.
	failureCounts = time.Minute
	// failingKept is when an endpoint of which nothing was heard is forgotten: no breaker stays open without a probe for
	// that long unless nothing is sent any more.
	failingKept = 24 * time.Hour
	// failingMost bounds the webhooks that are remembered of one endpoint, failingEndpoints the endpoints.
	failingMost      = 1000
	failingEndpoints = 100_000
)

// failing decides which webhooks are failing: those with a failed attempt at an endpoint whose breaker opened over
// failures, from that moment until it closes. It belongs to one goroutine.
type failing struct {
	endpoints map[string]*failingEndpoint
}

type failingEndpoint struct {
	open      bool
	seq       uint64
	reason    breaker.Reason
	heard     time.Time
	failed    map[string]failure          // by uid, while closed
	announced map[string]*catalog.Webhook // by uid, while open
}

type failure struct {
	webhook *catalog.Webhook
	at      time.Time
	last    string
}

// transition is a webhook that begins to fail or recovers.
type transition struct {
	webhook   *catalog.Webhook
	recovered bool
	reason    breaker.Reason
	last      string
}

func newFailing() *failing { return &failing{endpoints: map[string]*failingEndpoint{}} }

func (f *failing) endpoint(key string, now time.Time) *failingEndpoint {
	e := f.endpoints[key]
	if e == nil {
		if len(f.endpoints) >= failingEndpoints {
			return &failingEndpoint{failed: map[string]failure{}} // forgotten at once
		}
		e = &failingEndpoint{failed: map[string]failure{}}
		f.endpoints[key] = e
	}
	e.heard = now
	return e
}

// attemptFailed takes in a failed attempt. What was under way when the breaker opened comes after its opening.
func (f *failing) attemptFailed(key string, x failure) []transition {
	e := f.endpoint(key, x.at)
	if !e.open {
		if _, known := e.failed[x.webhook.UID]; known || len(e.failed) < failingMost {
			e.failed[x.webhook.UID] = x
		}
		return nil
	}
	if _, known := e.announced[x.webhook.UID]; known || len(e.announced) >= failingMost {
		return nil
	}
	e.announced[x.webhook.UID] = x.webhook
	return []transition{{webhook: x.webhook, reason: e.reason, last: x.last}}
}

// changed takes in a change of a breaker; older ones that come late are left out.
func (f *failing) changed(key string, c breaker.Change, now time.Time) []transition {
	if f.endpoints[key] == nil && c.To != breaker.Open {
		return nil
	}
	e := f.endpoint(key, now)
	if c.Seq <= e.seq {
		return nil
	}
	e.seq = c.Seq
	var list []transition
	switch {
	case c.To == breaker.Open && (c.Forced != "" || c.Reason == breaker.ReasonAdvised):
		// An operator's opening tells nothing of the endpoint, and another instance's is that one's to tell.
	case c.To == breaker.Open && !e.open:
		e.open, e.reason, e.announced = true, c.Reason, map[string]*catalog.Webhook{}
		for uid, x := range e.failed {
			if now.Sub(x.at) <= failureCounts {
				e.announced[uid] = x.webhook
				list = append(list, transition{webhook: x.webhook, reason: c.Reason, last: x.last})
			}
		}
		clear(e.failed)
	case c.To == breaker.Closed:
		for _, w := range e.announced {
			list = append(list, transition{webhook: w, recovered: true, reason: c.Reason})
		}
		e.open, e.announced = false, nil
	}
	return list
}

// forget drops what can play no part any more.
func (f *failing) forget(now time.Time) {
	for key, e := range f.endpoints {
		idle := now.Sub(e.heard)
		if idle > failingKept || !e.open && idle > failureCounts {
			delete(f.endpoints, key)
		}
	}
}
