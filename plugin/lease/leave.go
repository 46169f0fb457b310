package lease

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Leave begins the end of a bound lease, and returns it. The caller takes it out
// of the data plane and calls Rest. The error wraps ErrUnknown.
func (b *Book) Leave(k softwire.Key) (Lease, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.find(k)
	if r == 0 || b.records.at(r).state != Bound || b.records.at(r).flags.has(configured) {
		return Lease{}, fmt.Errorf("%s: %w: it is not bound", k, ErrUnknown)
	}
	b.depart(r)
	return b.lease(b.records.at(r)), nil
}

// Expire is Leave for leases that have expired, for max of them at most. It also
// forgets what nobody can have back.
func (b *Book) Expire(now time.Time, max int) []Lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Lease
	today := floor(now)
	for len(all) < max && len(b.expiry.items) > 0 && b.expiry.items[0].when <= today {
		first := b.expiry.items[0]
		rec := b.records.at(first.r)
		switch {
		case rec.state == Resting:
			b.remove(first.r)
		case rec.expires > today:
			b.expiry.set(&b.records, rec.expires, first.r)
		default:
			b.depart(first.r)
			all = append(all, b.lease(rec))
		}
	}
	return all
}

func (b *Book) depart(r ref) {
	to := *b.records.at(r)
	to.state = Leaving
	b.update(r, to)
}

// Rested is what a leaving lease becomes that is out of the data plane since
// now, for the caller to make durable before Rest.
func (b *Book) Rested(l Lease, now time.Time) Lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.State, l.Moved = Resting, false
	l.Expires, l.Horizon, l.Attributes = time.Time{}, time.Time{}, ""
	l.Until = ceil(now).time()
	if st, ok := b.names[l.Pool]; ok {
		l.Until = ceil(now.Add(st.def.HoldDown)).time()
	}
	return l
}

// Rest puts what Rested returned into effect. The error wraps ErrUnknown if the
// lease is not leaving any more.
func (b *Book) Rest(l Lease) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.find(l.Key())
	if r == 0 || b.records.at(r).state != Leaving || !b.records.at(r).heldBy(l) {
		return fmt.Errorf("%s: %w: it is not leaving", l.Key(), ErrUnknown)
	}
	b.update(r, b.pack(l, b.records.at(r).pool))
	return nil
}

// Expect makes room for n leases, before the first of as many calls of Restore.
func (b *Book) Expect(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byKey.expect(n)
	b.bySubscriber.expect(n)
}

// Restore takes in a lease that was durable when the process began: with its
// horizon, since the subscriber may have been told that much. Configure comes
// before. A softwire of the configuration takes the place of the same
// subscriber's lease; what nobody holds any more and fits nowhere is forgotten.
// The error wraps ErrPool or ErrTaken: the configuration has no place for the
// lease.
func (b *Book) Restore(l Lease, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.Expires = l.Horizon
	st, err := b.placeFor(l)
	if st != nil {
		var taken error
		b.eachUnder(st, ip4(l.Softwire.IPv4), l.Softwire.PortSet, func(_ ref, rec *record) {
			st, err = nil, nil
			if rec.owner() != ownerOf(l.Subscriber) {
				taken = fmt.Errorf("%w by softwire %s of the configuration", ErrTaken, b.lease(rec).Key())
			}
		})
		err = cmp.Or(taken, err)
	}
	over := !l.Reserved && l.State == Resting && ceil(l.Until) <= floor(now)
	if errors.Is(err, ErrPool) && l.State == Bound && !l.Expires.IsZero() {
		over = ceil(l.Expires) <= floor(now)
	}
	switch {
	case err != nil && !over:
		return fmt.Errorf("lease %s of subscriber %s: %w", l.Key(), l.Subscriber, err)
	case err == nil && st != nil:
		b.insert(b.pack(l, st.number))
	}
	return nil
}

// placeFor is the pool that has the address of a lease. The error wraps ErrPool
// if the pool has no such port set; what was a softwire of the configuration
// before it came to rest may be any.
func (b *Book) placeFor(l Lease) (*stock, error) {
	st := b.stockOf(l.Softwire.IPv4)
	switch p := l.Softwire.PortSet.Params(); {
	case st == nil:
		return nil, fmt.Errorf("%w: none has its address", ErrPool)
	case st.fresh == nil:
		return st, fmt.Errorf("%w: pool %q names no mechanism", ErrPool, st.def.Name)
	case p != st.params && (l.Mechanism != pool.Static || l.State != Resting):
		return st, fmt.Errorf("%w: pool %q has psid-offset/psid-len %s", ErrPool, st.def.Name, st.params)
	}
	return st, nil
}
