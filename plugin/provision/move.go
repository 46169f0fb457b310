package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// Move gives the holder of a lease another one, of the pool or with the wish that
// q names. The old one goes on until the subscriber knows: because it asks again,
// or because who watches has told it and calls Moved. The error wraps ErrUnknown
// or is one of Acquire.
func (p *Provisioner) Move(ctx context.Context, key softwire.Key, q Request) (Lease, error) {
	return p.change(ctx, key, func(now time.Time) (lease.Grant, error) { return p.book.Move(key, q, now) })
}

// Moved says that the holder of a lease that was moved knows of its new one, so
// that this one can end. The error wraps ErrUnknown.
func (p *Provisioner) Moved(from Lease) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.book.Get(from.Key())
	if !ok || !l.Moved || l.Subscriber != from.Subscriber || !p.leave(l.Key(), ending{kind: history.Moved}) {
		return fmt.Errorf("%s: %w: it was not moved", from.Key(), ErrUnknown)
	}
	return nil
}

// Reserve keeps the port set q.Want for q's subscriber. The error wraps ErrTaken,
// ErrPool, ErrQuota, ErrInvalid or ErrStorage.
func (p *Provisioner) Reserve(ctx context.Context, q Request) (Lease, error) {
	return p.change(ctx, q.Want, func(now time.Time) (lease.Grant, error) { return p.book.Reserve(q, now) })
}

// Unreserve ends a reservation. Who holds the port set keeps it. The error wraps
// ErrUnknown or ErrStorage.
func (p *Provisioner) Unreserve(ctx context.Context, key softwire.Key) (Lease, error) {
	return p.change(ctx, key, func(time.Time) (lease.Grant, error) { return p.book.Unreserve(key) })
}

// change makes what decide decides about the port set durable, and programmed if
// it is another one for a subscriber.
func (p *Provisioner) change(ctx context.Context, key softwire.Key, decide func(time.Time) (lease.Grant, error)) (Lease, error) {
	for {
		if err := p.lockIdle(ctx, key); err != nil {
			return Lease{}, err
		}
		now := p.clock.Now()
		g, err := decide(now)
		if err != nil {
			p.noteExhausted(err)
			p.mu.Unlock()
			return Lease{}, err
		}
		keys := []softwire.Key{key}
		if to := g.Lease.Key(); to != key {
			if done, busy := p.busy[to]; busy {
				p.book.Undo(g)
				p.mu.Unlock()
				if err := await(ctx, done); err != nil {
					return Lease{}, err
				}
				continue
			}
			keys = append(keys, to)
		}
		p.occupy(keys...)
		p.mu.Unlock()
		defer p.vacate(keys...)
		if len(keys) > 1 {
			return g.Lease, p.realize(ctx, g, now, nil)
		}
		if err := p.commit(ctx, store.Batch{Put: []Lease{g.Lease}}); err != nil {
			p.undo(g)
			return Lease{}, err
		}
		return g.Lease, nil
	}
}
