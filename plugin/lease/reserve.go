package lease

import (
	"fmt"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Reserve keeps the port set q.Want for q's subscriber, whether it holds it or
// not. The Grant, whose Lease rests if nobody holds it, has to become durable or
// be undone. The error wraps ErrTaken, ErrPool, ErrQuota or ErrInvalid.
func (b *Book) Reserve(q Request, now time.Time) (Grant, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := q.complete(); err != nil {
		return Grant{}, err
	}
	if !q.Want.IPv4.Is4() {
		return Grant{}, fmt.Errorf("%w: a reservation names its port set", ErrInvalid)
	}
	l := Lease{
		Softwire: softwire.Softwire{IPv4: q.Want.IPv4, PortSet: q.Want.PortSet},
		Number:   q.Number, Mechanism: q.Mechanism, State: Resting, Reserved: true, Attributes: q.Attributes,
	}
	st := b.stockOf(q.Want.IPv4)
	switch {
	case st == nil || st.fresh == nil || q.Want.PortSet.Params() != st.params:
		return Grant{}, fmt.Errorf("%s: %w: it is not a port set of a pool that lends", q.Want, ErrPool)
	case len(st.blocked[st.slot(ip4(q.Want.IPv4), q.Want.PortSet.PSID())]) > 0:
		return Grant{}, fmt.Errorf("%s: %w: a softwire of the configuration has ports of it", q.Want, ErrTaken)
	}
	if q.Number >= st.def.Quota {
		return Grant{}, fmt.Errorf("subscriber %s, number %d: %w", q.Subscriber, q.Number, ErrQuota)
	}
	l.Subscriber, l.Pool, l.Softwire.BR = st.def.Subscriber(q.Subscriber), st.def.Name, st.def.BR
	r := b.find(q.Want)
	if r == 0 {
		b.insert(b.pack(l, st.number))
		return Grant{Kind: New, Lease: l, Beyond: l}, nil
	}
	rec := b.records.at(r)
	before := b.lease(rec)
	switch {
	case before.Configured:
		return Grant{}, fmt.Errorf("%s: %w by a softwire of the configuration", q.Want, ErrTaken)
	case rec.heldBy(l):
		l = before
		l.Reserved = true
	case before.State != Resting || before.Reserved:
		return Grant{}, fmt.Errorf("%s: %w by subscriber %s", q.Want, ErrTaken, before.Subscriber)
	case before.Held(now):
		return Grant{}, fmt.Errorf("%s: %w: it rests until %s", q.Want, ErrTaken, before.Until.Format(time.RFC3339))
	}
	b.update(r, b.pack(l, st.number))
	return Grant{Kind: Changed, Lease: l, Beyond: l, Before: before}, nil
}

// Unreserve ends a reservation. Who holds the port set keeps it. The Grant has to
// become durable or be undone. The error wraps ErrUnknown.
func (b *Book) Unreserve(k softwire.Key) (Grant, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.find(k)
	if r == 0 || !b.records.at(r).flags.has(reserved) {
		return Grant{}, fmt.Errorf("%s: %w: it is not reserved", k, ErrUnknown)
	}
	before := b.lease(b.records.at(r))
	after := before
	after.Reserved = false
	b.update(r, b.pack(after, b.records.at(r).pool))
	return Grant{Kind: Changed, Lease: after, Beyond: after, Before: before}, nil
}

// Move gives the holder of a bound lease another one in place of it, of the pool
// or with the wish that q names; nothing else of q counts. The old one stays
// until the subscriber asks again and so knows of the new one, see Grant.Moved,
// or until it expires. Both have to become durable, and the new one programmed,
// or be undone. The error wraps ErrUnknown or is one of Acquire.
func (b *Book) Move(k softwire.Key, q Request, now time.Time) (Grant, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.find(k)
	if r == 0 || b.records.at(r).state != Bound || b.records.at(r).flags.has(configured|moved) {
		return Grant{}, fmt.Errorf("%s: %w: it is not bound, or was moved before", k, ErrUnknown)
	}
	from := b.lease(b.records.at(r))
	q = Request{
		Subscriber: from.Softwire.B4, B4: from.Softwire.B4, Mechanism: from.Mechanism, Number: from.Number,
		Attributes: from.Attributes, Pool: q.Pool, Ports: q.Ports, Want: q.Want,
	}
	// A moved lease is no home for those to come.
	left := *b.records.at(r)
	left.flags = left.flags.set(moved, true)
	b.update(r, left)
	p, err := b.choose(q, floor(now))
	var g Grant
	if err == nil {
		g, err = b.bind(p, q, now)
	}
	if err != nil {
		b.update(r, b.pack(from, left.pool))
		return Grant{}, err
	}
	g.From = from
	return g, nil
}
