package deliver

import (
	"sync/atomic"
	"time"
)

// tenant is what the lanes of one tenant share: its part of the window.
//
// Nothing is counted when a delivery comes or goes. The sweep adds up what the lanes hold, and only while the window is
// contended; in between admissions read its verdict.
type tenant struct {
	name  string
	lanes int // guarded by Dispatcher.lanesMu

	// over: it holds more than its share of a contended window and works that off slowly. Written by the sweep.
	over atomic.Bool
	// keep is the part of what a lane holds that is within the tenant's share, in 1/1024. Written by the sweep.
	keep atomic.Int64
}

const keepAll = 1 << 10

// tenantLoad is what one tenant holds of the window.
type tenantLoad struct {
	// held: fresh deliveries queued or under way. work is their number times the seconds that their lanes need, so that
	// work/held is how long one of them takes to be worked off.
	held int
	work float64
	// active: it holds some or had some lately, so that it counts among those who divide the window.
	active bool
}

// weighTenants decides which tenants hold more than their share. With one tenant, or room for all, nobody does.
func (d *Dispatcher) weighTenants(lanes []*lane, p pressure, now time.Time) {
	if !d.contested(p) {
		return
	}
	loads := map[*tenant]*tenantLoad{}
	for _, l := range lanes {
		load := loads[l.tenant]
		if load == nil {
			load = &tenantLoad{}
			loads[l.tenant] = load
		}
		l.mu.Lock()
		load.held += l.held
		load.work += float64(l.held) * l.drainTime(now).Seconds()
		load.active = load.active || l.held > 0 || now.Sub(l.lastUsed) < othersFor
		l.mu.Unlock()
	}
	active := 0
	for _, load := range loads {
		if load.active {
			active++
		}
	}
	for t, load := range loads {
		share := d.o.Room / max(active, 1)
		t.over.Store(overShare(*load, active, share))
		t.keep.Store(int64(keepAll * min(share, load.held) / max(load.held, 1)))
	}
}

// contested reports whether tenants have to divide the window now. If not, none is over its share.
func (d *Dispatcher) contested(p pressure) bool {
	d.lanesMu.RLock()
	defer d.lanesMu.RUnlock()
	if d.o.Room > 0 && p.contended && len(d.tenants) > 1 {
		return true
	}
	for _, t := range d.tenants {
		t.over.Store(false)
	}
	return false
}

// overShare decides whether a tenant has to give up some of the window: not while it is alone, nor what it works off
// before anybody would notice.
func overShare(load tenantLoad, active, share int) bool {
	return active > 1 && load.held > share && load.work/float64(load.held) > hogAfter.Seconds()
}

// excess is how many of the fresh deliveries that the lane holds are above its own share or its tenant's. Callers hold
// mu.
func (l *lane) excess(p pressure) int {
	excess := l.held - max(p.share, l.limit)
	if l.tenant.over.Load() {
		excess = max(excess, l.held-int(int64(l.held)*l.tenant.keep.Load()/keepAll))
	}
	return max(excess, 0)
}
