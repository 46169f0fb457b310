package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lwaftr/lw4o6/plugin/lease"
	"github.com/lwaftr/lw4o6/plugin/reconcile"
	"github.com/lwaftr/lw4o6/plugin/softwire"
	"github.com/lwaftr/lw4o6/plugin/store"
	"github.com/lwaftr/lw4o6/plugin/store/history"
)

// ending is why a lease ends.
type ending struct {
	kind   history.Kind
	reason string
	// due is when to try again; zero at first.
	due time.Time
}

// Release ends the lease that q's subscriber has by q's number, with those that
// were moved to there. It returns when the port sets are out of the data plane and
// their hold-down is durable. Releasing again is no error. The error wraps ErrUnknown if there was no lease,
// ErrMechanism (as *HeldError), ErrInvalid, ErrStorage or ErrNotProgrammed.
func (p *Provisioner) Release(ctx context.Context, q Request) error {
	l, from, err := p.book.Held(q)
	if err != nil {
		return err
	}
	for _, l := range append(from, l) {
		if err := p.end(ctx, l, ending{kind: history.Released}); err != nil {
			return err
		}
	}
	return nil
}

// Remove is Release of a port set, whoever holds it, by an operator who says why.
func (p *Provisioner) Remove(ctx context.Context, key softwire.Key, reason string) error {
	l, ok := p.book.Get(key)
	if !ok {
		return fmt.Errorf("%s: %w", key, ErrUnknown)
	}
	return p.end(ctx, l, ending{kind: history.Removed, reason: reason})
}

// end ends a lease, unless it has ended already.
func (p *Provisioner) end(ctx context.Context, l Lease, why ending) error {
	key := l.Key()
	if err := p.lockIdle(ctx, key); err != nil {
		return err
	}
	now, ok := p.book.Get(key)
	switch {
	// Somebody else may have the port set by now.
	case !ok || now.State == lease.Resting || now.Subscriber != l.Subscriber || now.Number != l.Number:
		p.mu.Unlock()
		return nil
	case now.State == lease.Bound && !p.leave(key, why):
		p.mu.Unlock()
		return fmt.Errorf("%s: %w among leases: it is of the configuration", key, ErrUnknown)
	}
	p.occupy(key)
	p.mu.Unlock()
	return p.retire(ctx, []softwire.Key{key})
}

// leave begins the end of a bound lease, which Run carries out if nobody else
// does. The lock is held.
func (p *Provisioner) leave(key softwire.Key, why ending) bool {
	if _, err := p.book.Leave(key); err != nil {
		return false
	}
	p.ending[key] = why
	p.nudge()
	return true
}

// retire takes leaving leases, whose port sets are busy, out of the data plane,
// and then lets them rest. What that does not succeed for stays in p.ending and
// is tried again.
func (p *Provisioner) retire(ctx context.Context, keys []softwire.Key) error {
	defer p.vacate(keys...)
	err := p.apply(ctx, softwire.Change{Remove: keys})
	gone := slices.Clone(keys)
	if pending := new(reconcile.WaitError); errors.As(err, &pending) {
		for _, k := range pending.Keys {
			gone = slices.DeleteFunc(gone, func(key softwire.Key) bool { return key == k.Key })
		}
		err = fmt.Errorf("%w: %w", ErrNotProgrammed, err)
	} else if err != nil {
		gone = nil
	}
	if rested := p.rest(ctx, gone); rested != nil {
		err = rested
	}
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		due := time.Now().Add(p.config.Retry)
		for _, k := range keys {
			if why, ok := p.ending[k]; ok {
				why.due = due
				p.ending[k] = why
			}
		}
		p.nudge()
	}
	return err
}

// rest begins the hold-down of leases that are out of the data plane.
func (p *Provisioner) rest(ctx context.Context, keys []softwire.Key) error {
	if len(keys) == 0 {
		return nil
	}
	now := p.clock.Now()
	var batch store.Batch
	had := make(map[softwire.Key]lease.Attributes, len(keys))
	for _, k := range keys {
		l, ok := p.book.Get(k)
		if !ok || l.State != lease.Leaving {
			continue
		}
		p.mu.Lock()
		why := p.ending[k]
		p.mu.Unlock()
		e, err := event(why.kind, l, now, why.reason)
		if err != nil {
			return err
		}
		had[k] = l.Attributes
		batch.Put = append(batch.Put, p.book.Rested(l, now))
		batch.Events = append(batch.Events, e)
	}
	if err := p.commit(ctx, batch); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range batch.Put {
		if err := p.book.Rest(l); err != nil {
			return err
		}
		key := l.Key()
		why := p.ending[key]
		delete(p.ending, key)
		delete(p.doubtful, key)
		delete(p.unconfirmed, key)
		p.totals.ended(why.kind)
		p.notify(Notice{Kind: why.kind, Lease: l, Reason: why.reason, Attributes: had[key]})
	}
	return nil
}

// most leases that Run ends at once.
const endingBatch = 1024

// Run ends leases that expire, and what others began to end, until ctx ends, and
// then returns nil. It is called once, after Load.
func (p *Provisioner) Run(ctx context.Context) error {
	var logged time.Time
	for ctx.Err() == nil {
		keys, next := p.due(time.Now())
		if len(keys) == 0 {
			if p.store.Stats().Err != nil {
				next = min(next, p.config.Retry)
			}
			p.sleep(ctx, next)
			p.probe(ctx)
			continue
		}
		try, cancel := context.WithTimeout(ctx, p.config.Timeout)
		err := p.retire(try, keys)
		cancel()
		if err != nil && ctx.Err() == nil && time.Since(logged) >= logPause {
			logged = time.Now()
			p.log.WithError(err).WithField("leases", len(keys)).Warn("leases could not be ended; will try again")
		}
	}
	return nil
}

// probe writes to a store that failed, so that it is known to work again also if
// nobody asks for a lease.
func (p *Provisioner) probe(ctx context.Context) {
	if p.store.Stats().Err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	if err := p.write(ctx, store.Batch{}); err == nil {
		p.log.Info("leases are durable again")
	}
}

// due makes what is to be ended now busy and returns it, or else how long there
// is nothing to do.
func (p *Provisioner) due(now time.Time) (keys []softwire.Key, next time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	today := p.clock.Now()
	for _, l := range p.book.Expire(today, endingBatch) {
		p.ending[l.Key()] = ending{kind: history.Expired}
	}
	next = time.Hour
	if at, ok := p.book.Due(); ok {
		next = at.Sub(today)
	}
	for k, why := range p.ending {
		if l, ok := p.book.Get(k); !ok || l.State != lease.Leaving {
			delete(p.ending, k)
			continue
		}
		if wait := why.due.Sub(now); wait > 0 && !why.due.IsZero() {
			next = min(next, wait)
			continue
		}
		if _, busy := p.busy[k]; !busy && len(keys) < endingBatch {
			keys = append(keys, k)
		}
	}
	p.occupy(keys...)
	next = max(next, time.Millisecond)
	p.looks = today.Add(next)
	return keys, next
}

// sleep waits for d, a nudge or the end of ctx.
func (p *Provisioner) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.wake:
	case <-ctx.Done():
	}
}
