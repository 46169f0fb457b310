package dataplane

import (
	"context"
	"sync"
)

// Condition is a Health that can be waited for, for data planes to have. Its
// zero value is ready.
type Condition struct {
	mu      sync.Mutex
	now     Health
	changed chan struct{} // closed at the next change
}

// Set changes the health. It reports whether it differs in more than words.
func (c *Condition) Set(to Health) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	differs := !c.now.Same(to)
	c.now = to
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	return differs
}

// Get returns the present health.
func (c *Condition) Get() Health {
	now, _ := c.watch()
	return now
}

// Wait is Monitor.WaitHealth.
func (c *Condition) Wait(ctx context.Context, known Health) (Health, error) {
	for {
		now, changed := c.watch()
		if !now.Same(known) {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Health{}, ctx.Err()
		}
	}
}

// watch returns the present health, and what is closed when it changes.
func (c *Condition) watch() (Health, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.now, c.changed
}
