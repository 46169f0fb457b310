package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// Offer returns the lease that Acquire would grant now, and changes nothing.
// Errors are those of Acquire that need no I/O.
func (p *Provisioner) Offer(q Request) (Lease, error) {
	l, err := p.book.Offer(q, p.clock.Now())
	return l, p.refusal(err)
}

// Acquire grants a lease: the one that the subscriber has, which it extends, or
// another one. It returns when the lease is durable and programmed. The error
// wraps ErrExhausted, ErrQuota, ErrMechanism (also as *HeldError), ErrPool,
// ErrInvalid, ErrStorage or ErrNotProgrammed.
func (p *Provisioner) Acquire(ctx context.Context, q Request) (Lease, error) {
	return p.grant(ctx, q, p.book.Acquire, p.dp.Holds)
}

// Renew extends the lease that the subscriber has, also while a data plane that
// had it has lost it. The error wraps ErrUnknown if it has none, or is one of
// Acquire.
func (p *Provisioner) Renew(ctx context.Context, q Request) (Lease, error) {
	return p.grant(ctx, q, p.book.Renew, func(softwire.Softwire) bool { return p.ready() })
}

// grant gives what decide decides. A lease that is there already is granted when
// it is programmed by what holds says.
func (p *Provisioner) grant(ctx context.Context, q Request, decide func(Request, time.Time) (lease.Grant, error), holds func(softwire.Softwire) bool) (Lease, error) {
	for {
		l, again, err := p.tryGrant(ctx, q, decide, holds)
		if !again || err != nil {
			return l, p.refusal(err)
		}
		if err := ctx.Err(); err != nil {
			return Lease{}, errors.Join(ErrNotProgrammed, err)
		}
	}
}

// tryGrant is one try of grant. It asks for another one if something else has
// happened to the port set meanwhile.
func (p *Provisioner) tryGrant(ctx context.Context, q Request, decide func(Request, time.Time) (lease.Grant, error), holds func(softwire.Softwire) bool) (l Lease, again bool, err error) {
	now := p.clock.Now()
	p.mu.Lock()
	g, err := decide(q, now)
	if err != nil {
		p.mu.Unlock()
		return Lease{}, false, err
	}
	key := g.Lease.Key()
	if done, ok := p.busy[key]; ok {
		if g.Kind != lease.Existing {
			p.book.Undo(g)
		}
		p.mu.Unlock()
		return Lease{}, true, await(ctx, done)
	}
	doubt, doubtful := p.doubtful[key]
	_, unconfirmed := p.unconfirmed[key]
	switch {
	case g.Kind != lease.Existing:
	case doubtful:
		// Once more, as it was decided.
		g.Kind, g.Before = doubt.Kind, doubt.Before
	case !g.Lease.Expires.IsZero() && !g.Lease.Expires.After(now):
		// It was not extended, so it has to go before there can be another one.
		p.mu.Unlock()
		return Lease{}, true, p.end(ctx, g.Lease, ending{kind: history.Expired})
	case unconfirmed || !holds(g.Lease.Softwire):
		p.mu.Unlock()
		return p.confirm(ctx, g)
	case g.Beyond == g.Lease:
		p.granted(g)
		p.mu.Unlock()
		return g.Lease, false, nil
	}
	p.occupy(key)
	p.mu.Unlock()
	defer p.vacate(key)
	if g.Kind == lease.Existing {
		return p.lengthen(ctx, g), false, nil
	}
	if err := p.realize(ctx, g, now); err != nil {
		return Lease{}, false, err
	}
	return g.Beyond, false, nil
}

func (p *Provisioner) ready() bool {
	select {
	case <-p.dp.Ready():
		return true
	default:
		return false
	}
}

// confirm waits until the data plane has a lease that is in the table.
func (p *Provisioner) confirm(ctx context.Context, g lease.Grant) (l Lease, again bool, err error) {
	key := g.Lease.Key()
	if err := p.dp.Wait(ctx, key); err != nil {
		return Lease{}, false, fmt.Errorf("%w: %w", ErrNotProgrammed, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// It may have left while it was waited for, and that is settled too.
	if l, _ := p.book.Get(key); l.State != lease.Bound || l.Softwire != g.Lease.Softwire || p.busy[key] != nil {
		return Lease{}, true, nil
	}
	delete(p.unconfirmed, key)
	p.granted(g)
	return g.Lease, false, nil
}

// lengthen makes a renewal durable that goes beyond the horizon. Without the
// store the lease is extended up to there.
func (p *Provisioner) lengthen(ctx context.Context, g lease.Grant) Lease {
	if err := p.commit(ctx, store.Batch{Put: []Lease{g.Beyond}}); err != nil {
		p.log.WithError(err).WithField("lease", g.Lease.Key()).Debug("renewed up to the horizon only")
		return g.Lease
	}
	p.book.Extend(g.Beyond)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.granted(g)
	return g.Beyond
}

// realize makes a decided lease durable and programmed. Its port set is busy.
func (p *Provisioner) realize(ctx context.Context, g lease.Grant, now time.Time) error {
	l, key := g.Beyond, g.Beyond.Key()
	if table := p.table.Snapshot(); table.HasBR(l.Softwire.B4.As16()) {
		p.undo(g)
		return fmt.Errorf("%w: lwB4 %s is a BR address", ErrInvalid, l.Softwire.B4)
	}
	kind := history.Allocated
	if g.Kind == lease.Changed {
		kind = history.Changed
	}
	e, err := event(kind, l, now, "")
	if err != nil {
		p.undo(g)
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	batch := store.Batch{Put: []Lease{l}, Events: [][]byte{e}}
	if from := g.From; from.State != 0 {
		from.Moved = true
		batch.Put = append(batch.Put, from)
	}
	switch err := p.commit(ctx, batch); {
	case err == nil:
	case errors.Is(err, store.ErrInDoubt), ctx.Err() != nil && !errors.Is(err, ErrStorage):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.doubtful[key] = g
		return fmt.Errorf("%w: %w", ErrNotProgrammed, err)
	default:
		p.undo(g)
		return err
	}
	p.book.Extend(l)
	p.mu.Lock()
	delete(p.doubtful, key)
	delete(p.ending, key)
	p.unconfirmed[key] = struct{}{}
	p.mu.Unlock()
	if err := p.apply(ctx, softwire.Change{Put: []softwire.Softwire{l.Softwire}}); err != nil {
		if pending := new(reconcile.WaitError); !errors.As(err, &pending) {
			// The table excludes it, so it can only go.
			p.endSoon(key, ending{kind: history.Removed, reason: err.Error()})
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return fmt.Errorf("%w: %w", ErrNotProgrammed, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.unconfirmed, key)
	p.granted(g)
	return nil
}

// undo takes back what was decided and is not durable.
func (p *Provisioner) undo(g lease.Grant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.doubtful, g.Lease.Key())
	p.book.Undo(g)
}

// granted notes that the subscriber is told of a grant. The lock is held.
func (p *Provisioner) granted(g lease.Grant) {
	switch g.Kind {
	case lease.Existing:
		p.totals.Renewed++
	case lease.Changed:
		p.totals.Changed++
		p.notify(Notice{Kind: history.Changed, Lease: g.Beyond})
	default:
		p.totals.Granted++
		kind := history.Allocated
		if g.From.State != 0 {
			kind = history.Moved
		}
		p.notify(Notice{Kind: kind, Lease: g.Beyond, From: g.From})
	}
	// It knows where it has moved to.
	for _, l := range g.Moved {
		p.leave(l.Key(), ending{kind: history.Moved})
	}
}
