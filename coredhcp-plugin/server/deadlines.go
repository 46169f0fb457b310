package server

import (
	"context"
	"sync"
	"time"
)

// deadlines gives out contexts that end after some time. Who asks at nearly the same
// moment gets the same one: a timer for each message costs as much as reading it.
type deadlines struct {
	after time.Duration

	mu    sync.Mutex
	since time.Time                           // of those in given
	given map[context.Context]context.Context // by what they end with
}

// sharing is how much earlier than it could a shared context may end, as a part of
// its time.
const sharing = 8

func newDeadlines(after time.Duration) *deadlines { return &deadlines{after: after} }

// within returns a context that ends with parent, or after d's time, or up to an
// eighth of that earlier.
func (d *deadlines) within(parent context.Context) context.Context {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.given == nil || now.Sub(d.since) >= d.after/sharing {
		d.since, d.given = now, make(map[context.Context]context.Context)
	}
	ctx, ok := d.given[parent]
	if !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(parent, d.after)
		context.AfterFunc(ctx, cancel) // others may use it until then
		d.given[parent] = ctx
	}
	return ctx
}
