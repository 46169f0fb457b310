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
	if err != nil {
		p.answered(q.Mechanism, err)
	}
	return l, err
}

// Acquire grants a lease: the one that the subscriber has, which it extends, or
// another one. It returns when the lease is durable and programmed. The error
// wraps ErrExhausted, ErrQuota, ErrMechanism (also as *HeldError), ErrPool,
// ErrInvalid, ErrStorage or ErrNotProgrammed.
func (p *Provisioner) Acquire(ctx context.Context, q Request) (Lease, error) {
	return p.AcquireAlong(ctx, q, nil)
}

// Along is asked, when a lease is decided, what else of the same store is to become
// durable with it. It is told what became of that: nil, or the error of the store,
// after which it may be durable or not.
type Along func(Lease) (values []store.Value, done func(error))

// AcquireAlong is Acquire with something that becomes durable with the lease, unless
// along is nil. Where nothing of the lease has to become durable, along is not asked.
func (p *Provisioner) AcquireAlong(ctx context.Context, q Request, along Along) (Lease, error) {
	return p.grant(ctx, question{q, p.book.Acquire, p.dp.Holds, along})
}

// Extend is Acquire without waiting, for a lease that the subscriber has as it
// asks for it and that needs nothing to become durable or programmed. If it is not
// ok nothing was granted, and Acquire says what is the matter.
func (p *Provisioner) Extend(q Request) (l Lease, ok bool) {
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	g, err := p.book.Acquire(q, now)
	if err != nil {
		return Lease{}, false
	}
	if g.Kind != lease.Existing {
		p.book.Undo(g)
		return Lease{}, false
	}
	if !p.settled(g.Lease) || g.Beyond != g.Lease || g.Lease.Expired(now) {
		return Lease{}, false
	}
	p.granted(g)
	p.requests[index(q.Mechanism)].results[Granted]++
	return g.Lease, true
}

// settled says whether a lease is durable and programmed, and nobody changes it.
// The lock is held.
func (p *Provisioner) settled(l Lease) bool {
	key := l.Key()
	_, doubtful := p.doubtful[key]
	_, unconfirmed := p.unconfirmed[key]
	return p.busy[key] == nil && !doubtful && !unconfirmed && p.dp.Holds(l.Softwire)
}

// Renew extends the lease that the subscriber has, also while a data plane that
// had it has lost it. The error wraps ErrUnknown if it has none, or is one of
// Acquire.
func (p *Provisioner) Renew(ctx context.Context, q Request) (Lease, error) {
	return p.grant(ctx, question{q, p.book.Renew, func(softwire.Softwire) bool { return p.ready() }, nil})
}

// question is a request, how it is decided, and whether a lease that is there
// already counts as programmed.
type question struct {
	Request
	decide func(Request, time.Time) (lease.Grant, error)
	holds  func(softwire.Softwire) bool
	along  Along
}

// grant answers q.
func (p *Provisioner) grant(ctx context.Context, q question) (Lease, error) {
	began := time.Now()
	l, again, err := p.tryGrant(ctx, q)
	for err == nil && again {
		if err = ctx.Err(); err != nil {
			err = fmt.Errorf("%w: %w", ErrNotProgrammed, err)
			break
		}
		l, again, err = p.tryGrant(ctx, q)
	}
	p.requests[index(q.Mechanism)].time.Observe(time.Since(began))
	p.answered(q.Mechanism, err)
	return l, err
}

// tryGrant is one try of grant. It asks for another one if something else has
// happened to the port set meanwhile.
func (p *Provisioner) tryGrant(ctx context.Context, q question) (l Lease, again bool, err error) {
	now := p.clock.Now()
	p.mu.Lock()
	g, err := q.decide(q.Request, now)
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
	case unconfirmed || !q.holds(g.Lease.Softwire):
		p.mu.Unlock()
		return p.confirm(ctx, g)
	case g.Beyond != g.Lease:
	case g.Lease.Expired(now):
		// It was not extended, so it has to go before there can be another one.
		p.mu.Unlock()
		return Lease{}, true, p.end(ctx, g.Lease, ending{kind: history.Expired})
	default:
		p.granted(g)
		p.mu.Unlock()
		return g.Lease, false, nil
	}
	p.occupy(key)
	p.mu.Unlock()
	defer p.vacate(key)
	if g.Kind == lease.Existing {
		l, err = p.lengthen(ctx, g, now, q.along)
		return l, false, err
	}
	if err := p.realize(ctx, g, now, q.along); err != nil {
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
func (p *Provisioner) lengthen(ctx context.Context, g lease.Grant, now time.Time, along Along) (Lease, error) {
	if err := p.commitAlong(ctx, g.Beyond, store.Batch{Put: []Lease{g.Beyond}}, along); err != nil {
		if g.Lease.Expired(now) {
			return Lease{}, err
		}
		p.log.WithError(err).WithField("lease", g.Lease.Key()).Debug("renewed up to the horizon only")
		return g.Lease, nil
	}
	p.book.Extend(g.Beyond)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.granted(g)
	return g.Beyond, nil
}

// realize makes a decided lease durable and programmed. Its port set is busy.
func (p *Provisioner) realize(ctx context.Context, g lease.Grant, now time.Time, along Along) error {
	if err := p.keep(ctx, g, now, along); err != nil {
		return err
	}
	key := g.Beyond.Key()
	if err := p.apply(ctx, softwire.Change{Put: []softwire.Softwire{g.Beyond.Softwire}}); err != nil {
		if pending := new(reconcile.WaitError); errors.As(err, &pending) {
			return fmt.Errorf("%w: %w", ErrNotProgrammed, err)
		}
		// The table excludes it, so it can only go.
		p.mu.Lock()
		defer p.mu.Unlock()
		p.leave(key, ending{kind: history.Removed, reason: err.Error()})
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.unconfirmed, key)
	p.granted(g)
	return nil
}

// keep makes a decided lease durable. One that is surely not durable is undone.
func (p *Provisioner) keep(ctx context.Context, g lease.Grant, now time.Time, along Along) error {
	batch, err := p.batchOf(g, now)
	if err == nil {
		err = p.commitAlong(ctx, g.Beyond, batch, along)
	}
	switch {
	case err == nil:
	case errors.Is(err, store.ErrInDoubt), ctx.Err() != nil && errors.Is(err, ctx.Err()):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.doubtful[g.Beyond.Key()] = g
		return fmt.Errorf("%w: %w", ErrNotProgrammed, err)
	default:
		p.undo(g)
		return err
	}
	p.book.Extend(g.Beyond)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.doubtful, g.Beyond.Key())
	delete(p.ending, g.Beyond.Key())
	p.unconfirmed[g.Beyond.Key()] = struct{}{}
	return nil
}

// commitAlong is commit of a batch for a lease, with what is to become durable along
// with it.
func (p *Provisioner) commitAlong(ctx context.Context, l Lease, batch store.Batch, along Along) error {
	if along == nil {
		return p.commit(ctx, batch)
	}
	values, done := along(l)
	batch.Values = append(batch.Values, values...)
	err := p.commit(ctx, batch)
	done(err)
	return err
}

// batchOf is what of a grant becomes durable. The error wraps ErrInvalid.
func (p *Provisioner) batchOf(g lease.Grant, now time.Time) (store.Batch, error) {
	if b4 := g.Beyond.Softwire.B4; p.table.Snapshot().HasBR(b4.As16()) {
		return store.Batch{}, fmt.Errorf("%w: lwB4 %s is a BR address", ErrInvalid, b4)
	}
	kind := history.Allocated
	if g.Kind == lease.Changed {
		kind = history.Changed
	}
	e, err := event(kind, g.Beyond, now, "")
	if err != nil {
		return store.Batch{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	batch := store.Batch{Put: []Lease{g.Beyond}, Events: [][]byte{e}}
	if from := g.From; from.State != 0 {
		from.Moved = true
		batch.Put = append(batch.Put, from)
	}
	return batch, nil
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
	if at := g.Lease.Expires; !at.IsZero() && at.Before(p.looks) {
		p.nudge()
	}
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
