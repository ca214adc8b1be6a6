package registry

import (
	"context"
	"sync"
)

// position is an offset that only grows and that can be waited for: everything below it is done. Its mutex guards
// all fields.
type position struct {
	mu      sync.Mutex
	at      int64
	err     error         // set by fail: waiting has no end any more
	changed chan struct{} // closed and replaced at every change
}

func newPosition() *position { return &position{changed: make(chan struct{})} }

func (p *position) get() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// advance moves the position to at, unless it is there or beyond.
func (p *position) advance(at int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at <= p.at {
		return
	}
	p.at = at
	p.wake()
}

// fail ends every wait, present and future, that the position does not satisfy. The first error counts.
func (p *position) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	p.err = err
	p.wake()
}

func (p *position) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *position) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait returns nil once the position is at least at.
func (p *position) wait(ctx context.Context, at int64) error {
	for {
		p.mu.Lock()
		reached, err, changed := p.at >= at, p.err, p.changed
		p.mu.Unlock()
		switch {
		case reached:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
