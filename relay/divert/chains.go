package divert

import (
	"context"
	"sync"
)

// chains runs the follow-up writes of operations that write more than once. They begin in the acknowledgement of the
// write before them, which runs on the producer's goroutine; writing there would wait for room in the producer's
// buffer that only that goroutine can make. The queue is bounded by the operations that the callers have open.
type chains struct {
	mu    sync.Mutex
	queue []func()
	open  int             // operations begun and not ended
	idle  []chan struct{} // closed when open reaches 0
	quit  bool

	wake chan struct{} // one token: the queue or quit has changed
	done chan struct{} // closed when the goroutine has ended
}

func newChains() *chains {
	c := &chains{wake: make(chan struct{}, 1), done: make(chan struct{})}
	go c.run()
	return c
}

func (c *chains) begin() {
	c.mu.Lock()
	c.open++
	c.mu.Unlock()
}

func (c *chains) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open--; c.open == 0 {
		for _, idle := range c.idle {
			close(idle)
		}
		c.idle = nil
	}
}

// follow runs f soon, after everything that was given before.
func (c *chains) follow(f func()) {
	c.mu.Lock()
	c.queue = append(c.queue, f)
	c.mu.Unlock()
	c.poke()
}

func (c *chains) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *chains) run() {
	defer close(c.done)
	for range c.wake {
		for {
			c.mu.Lock()
			if c.quit {
				c.mu.Unlock()
				return
			}
			if len(c.queue) == 0 {
				c.mu.Unlock()
				break
			}
			f := c.queue[0]
			c.queue = c.queue[1:]
			c.mu.Unlock()
			f()
		}
	}
}

// wait returns when no operation is open, or with the cause of ctx. After stop there is nothing to wait for.
func (c *chains) wait(ctx context.Context) error {
	c.mu.Lock()
	if c.open == 0 || c.quit {
		c.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	c.idle = append(c.idle, idle)
	c.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop gives up what is queued and returns when the goroutine has ended. A follow-up that is writing must be
// released by closing the journal first.
func (c *chains) stop() {
	c.mu.Lock()
	c.quit = true
	c.queue = nil
	c.mu.Unlock()
	c.poke()
	<-c.done
}
