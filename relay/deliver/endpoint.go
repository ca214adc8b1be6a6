package deliver

import (
	"time"

	"eventrelay/catalog"
	"eventrelay/relay/deliver/breaker"
)

// maxAdvisedHold bounds for how long other instances' pauses hold a lane in which nothing is attempted: then it asks
// the receiver itself.
const maxAdvisedHold = time.Hour

const (
	// parkedKept bounds the advice for endpoints without a lane; more is not taken.
	parkedKept = 4096
	// maxParked is how long an open breaker of another instance is believed, as by a breaker.
	maxParked = 20 * time.Minute
)

// parkedAdvice waits for the endpoint's lane, so that an instance that has just started, or gets the first delivery
// for a dead endpoint, begins with one probe. Guarded by Dispatcher.lanesMu.
type parkedAdvice struct {
	probe time.Time // when the sibling's next probe is due; zero: its breaker is not open
	opens int
	held  time.Time // until when the receiver asked for a pause
}

func (p parkedAdvice) over(now time.Time) bool { return !now.Before(p.probe) && !now.Before(p.held) }

// lane is the endpoint's lane, made if it is not there.
func (d *Dispatcher) lane(key, tenantName string) *lane {
	if l := d.laneOf(key); l != nil {
		return l
	}
	d.lanesMu.Lock()
	defer d.lanesMu.Unlock()
	if l := d.lanes[key]; l != nil {
		return l
	}
	settings := d.o.Breaker
	settings.OnChange = func(c breaker.Change) {
		d.o.Log.Info("breaker", "endpoint", key, "from", string(c.From), "to", string(c.To), "reason", string(c.Reason), "until", c.Until)
		d.o.OnBreaker(key, c)
	}
	t := d.tenants[tenantName]
	if t == nil {
		t = &tenant{name: tenantName}
		d.tenants[tenantName] = t
	}
	t.lanes++
	l := &lane{key: key, tenant: t, breaker: breaker.New(settings)}
	// Inside the lock: whoever finds the lane finds what was decided before, and Follow brings what is decided later.
	if forced := d.o.Forced(key); forced != "" {
		l.follow(forced)
	}
	now := time.Now()
	if p, ok := d.parked[key]; ok {
		delete(d.parked, key)
		if now.Before(p.probe) {
			l.breaker.Advise(breaker.Advice{To: breaker.Open, Wait: p.probe.Sub(now), Opens: p.opens})
		}
		l.hold(now, p.held.Sub(now))
	}
	d.lanes[key] = l
	return l
}

func (d *Dispatcher) laneOf(key string) *lane {
	d.lanesMu.RLock()
	defer d.lanesMu.RUnlock()
	return d.lanes[key]
}

// Follow does what an operator decided about an endpoint, as Options.Forced now says; without a decision its breaker
// becomes as new. Call it after each change, and not twice at once. What is queued behind a breaker that opened is
// handed off by the sweep.
func (d *Dispatcher) Follow(endpoint string) {
	if l := d.laneOf(endpoint); l != nil {
		l.follow(d.o.Forced(endpoint))
	}
}

func (l *lane) follow(forced catalog.BreakerState) {
	switch forced {
	case catalog.BreakerOpen:
		l.breaker.ForceOpen()
	case catalog.BreakerClosed:
		l.breaker.ForceClosed()
	default:
		l.breaker.Reset()
	}
}

// Advise takes what the breaker of another instance did. Whatever it says is bounded, see package breaker.
func (d *Dispatcher) Advise(endpoint string, a breaker.Advice) {
	if l := d.laneOf(endpoint); l != nil {
		l.breaker.Advise(a)
		return
	}
	d.park(endpoint, func(p *parkedAdvice, now time.Time) {
		switch a.To {
		case breaker.Open:
			p.probe, p.opens = now.Add(min(max(a.Wait, 0), maxParked)), a.Opens
		case breaker.Closed:
			p.probe = time.Time{}
		case breaker.HalfOpen: // whoever has the endpoint's first delivery may as well send it
		}
	})
}

// Hold takes a pause that a receiver asked another instance for. It lasts for an hour at most, unless this instance
// asked the receiver since.
func (d *Dispatcher) Hold(endpoint string, pause time.Duration) {
	if l := d.laneOf(endpoint); l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.hold(time.Now(), pause)
		return
	}
	d.park(endpoint, func(p *parkedAdvice, now time.Time) {
		p.held = maxTime(p.held, now.Add(min(pause, maxAdvisedHold)))
	})
}

// hold keeps attempts back because another instance was asked to pause. Callers hold mu.
func (l *lane) hold(now time.Time, pause time.Duration) {
	if pause <= 0 {
		return
	}
	if l.advised.IsZero() {
		l.advised = now
	}
	until := now.Add(min(pause, maxAdvisedHold))
	if bound := l.advised.Add(maxAdvisedHold); until.After(bound) {
		until = bound
	}
	l.notBefore = maxTime(l.notBefore, until)
}

func (d *Dispatcher) park(endpoint string, edit func(*parkedAdvice, time.Time)) {
	now := time.Now()
	d.lanesMu.Lock()
	defer d.lanesMu.Unlock()
	p := d.parked[endpoint]
	edit(&p, now)
	if p.over(now) {
		delete(d.parked, endpoint)
		return
	}
	if len(d.parked) >= parkedKept {
		for key, old := range d.parked {
			if old.over(now) {
				delete(d.parked, key)
			}
		}
		if _, known := d.parked[endpoint]; !known && len(d.parked) >= parkedKept {
			return
		}
	}
	d.parked[endpoint] = p
}

// Breakers describes the endpoints here whose breaker is not plainly closed, or that were asked to pause; at most most
// of them. Instance is the caller's to fill in. complete is false when there are more.
func (d *Dispatcher) Breakers(most int) (list []catalog.BreakerStatus, complete bool) {
	now := time.Now()
	for _, l := range d.allLanes() {
		s := l.breaker.State()
		l.mu.Lock()
		held := l.notBefore
		l.mu.Unlock()
		if !held.After(now) {
			held = time.Time{}
		}
		if s.State == breaker.Closed && s.Forced == "" && s.Ramp == 0 && held.IsZero() {
			continue
		}
		if len(list) == most {
			return list, false
		}
		list = append(list, catalog.BreakerStatus{
			Endpoint: catalog.EndpointID(l.key), Tenant: l.tenant.name, State: catalog.BreakerState(s.State), Reason: string(s.Reason),
			Since: s.Since, NextProbe: s.Until, Failures: s.Failures, Openings: s.Opens, Concurrency: s.Ramp, HeldUntil: held,
		})
	}
	return list, true
}
