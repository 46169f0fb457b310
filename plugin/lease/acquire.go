package lease

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Kind is what a Grant did.
type Kind uint8

// The kinds.
const (
	Existing Kind = iota // the subscriber had the lease already
	Changed              // it had it with another lwB4, BR address or attributes
	New                  // it did not have it
)

// Grant is the answer to a Request. What is not Existing has to become durable
// and programmed before it is told to anybody, or else be undone.
type Grant struct {
	Kind  Kind
	Lease Lease // in effect now
	// Beyond is the lease as it was asked for, if that lasts longer than may be
	// promised before it is durable, see Extend; otherwise it is Lease.
	Beyond Lease
	// Before is what Undo puts back: the lease of that port set as it was, with
	// no State if there was none.
	Before Lease
	// From is the lease that Move moves, as it was.
	From Lease
	// Moved are leases that the subscriber has this one in place of, and may give
	// up as soon as it knows.
	Moved []Lease
}

// Acquire gives the subscriber the lease it has, the one it had, or one that is
// to be had, and extends it. The error wraps ErrExhausted, ErrQuota,
// ErrMechanism (also as *HeldError), ErrPool or ErrInvalid.
func (b *Book) Acquire(q Request, now time.Time) (Grant, error) {
	if !q.B4.IsValid() && !q.Prefix.IsValid() {
		return Grant{}, fmt.Errorf("%w: no lwB4 address", ErrInvalid)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p, moved, err := b.decide(&q, now)
	if err != nil {
		return Grant{}, err
	}
	var g Grant
	if p.r != 0 && b.records.at(p.r).state == Bound {
		g, err = b.again(p.r, q, now)
	} else {
		g, err = b.bind(p, q, now)
	}
	g.Moved = moved
	return g, err
}

// Offer returns the lease that Acquire would give, and changes nothing. Nobody
// is kept from taking it meanwhile. Errors are those of Acquire.
func (b *Book) Offer(q Request, now time.Time) (Lease, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, _, err := b.decide(&q, now)
	if err != nil {
		return Lease{}, err
	}
	if p.r != 0 && b.records.at(p.r).state == Bound {
		return b.lease(b.records.at(p.r)), nil
	}
	return p.lent(q, now), nil
}

// Renew extends the lease that the subscriber has. The error wraps ErrUnknown if
// it has none, or ErrMechanism (as *HeldError) or ErrInvalid.
func (b *Book) Renew(q Request, now time.Time) (Grant, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := q.complete(); err != nil {
		return Grant{}, err
	}
	r, moved, err := b.held(q)
	if err != nil {
		return Grant{}, err
	}
	if r == 0 || b.records.at(r).state != Bound {
		return Grant{}, fmt.Errorf("subscriber %s, number %d: %w", q.Subscriber, q.Number, ErrUnknown)
	}
	g := b.extend(r, q.Lifetime, now)
	g.Moved = moved
	return g, nil
}

// decide finds the port set for a request.
func (b *Book) decide(q *Request, now time.Time) (pick, []Lease, error) {
	if err := q.complete(); err != nil {
		return pick{}, nil, err
	}
	r, moved, err := b.held(*q)
	if err != nil || r != 0 {
		return b.pickOf(r), moved, err
	}
	p, err := b.choose(*q, floor(now))
	return p, moved, err
}

// complete fills in the subscriber.
func (q *Request) complete() error {
	if !q.Subscriber.IsValid() {
		q.Subscriber = q.B4
		if q.Prefix.IsValid() {
			q.Subscriber = q.Prefix.Addr()
		}
	}
	switch {
	case q.Prefix.IsValid() && !q.Prefix.Addr().Is6():
		return fmt.Errorf("%w: %s is not an IPv6 prefix", ErrInvalid, q.Prefix)
	case !q.Subscriber.Is6() || q.Subscriber.Is4In6() || q.Subscriber.Zone() != "":
		return fmt.Errorf("%w: subscriber %s is not an IPv6 address", ErrInvalid, q.Subscriber)
	case q.Lifetime < 0:
		return fmt.Errorf("%w: lifetime %s", ErrInvalid, q.Lifetime)
	case q.Mechanism != pool.Static && q.Mechanism != pool.DHCPv6 && q.Mechanism != pool.PCP:
		return fmt.Errorf("%w: mechanism %q", ErrInvalid, q.Mechanism)
	}
	if err := q.Attributes.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// b4 is the lwB4's tunnel address for a port set.
func (q *Request) b4(ipv4 netip.Addr, set portset.PortSet) netip.Addr {
	if !q.Prefix.IsValid() {
		return q.B4
	}
	// The prefix was looked at by complete.
	a, _ := softwire.TunnelAddress(q.Prefix, ipv4, set)
	return a
}

// held returns the lease that the subscriber has by the request's number, 0 if
// it has none, and those that it has no more than until it knows of that one.
func (b *Book) held(q Request) (found ref, given []Lease, err error) {
	b.ofSubscriber(q.Subscriber, func(r ref, rec *record) {
		switch {
		case rec.state == Resting:
		case rec.flags.has(moved):
			if rec.number == q.Number {
				given = append(given, b.lease(rec))
			}
		// RFC 7596 section 7: mechanisms have discrete sets of resources.
		case mechanisms[rec.mechanism] != q.Mechanism:
			err = &HeldError{b.lease(rec)}
		case rec.number != q.Number || rec.state == Leaving && !b.pools[rec.pool].fits(rec):
		case found == 0 || rec.key() < b.records.at(found).key():
			found = r
		}
	})
	return found, given, err
}

// again is the grant of a lease that the subscriber has.
func (b *Book) again(r ref, q Request, now time.Time) (Grant, error) {
	at := b.records.at(r)
	before := b.lease(at)
	after := before
	after.Softwire.B4, after.Softwire.BR = q.b4(before.Softwire.IPv4, before.Softwire.PortSet), b.pools[at.pool].def.BR
	if q.Attributes != "" {
		after.Attributes = q.Attributes
	}
	if before.Configured {
		return b.extend(r, q.Lifetime, now), nil
	}
	if after.Softwire == before.Softwire && after.Attributes.same(before.Attributes) {
		b.records.at(r).attributes = after.Attributes
		return b.extend(r, q.Lifetime, now), nil
	}
	if err := after.Softwire.Validate(); err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	b.update(r, b.pack(after, at.pool))
	g := b.extend(r, q.Lifetime, now)
	b.lengthen(r, g.Beyond)
	return Grant{Kind: Changed, Lease: g.Beyond, Beyond: g.Beyond, Before: before}, nil
}

// bind gives a port set to a subscriber that does not have it.
func (b *Book) bind(p pick, q Request, now time.Time) (Grant, error) {
	g := Grant{Kind: New, Lease: p.lent(q, now)}
	g.Beyond = g.Lease
	if err := g.Lease.Softwire.Validate(); err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if whole := g.Lease.Subscriber; whole.Bits() < q.Prefix.Bits() {
		return Grant{}, fmt.Errorf("%w: pool %q takes all of %s for one subscriber, and %s is not", ErrInvalid, g.Lease.Pool, whole, q.Prefix)
	}
	if p.r == 0 {
		b.insert(b.pack(g.Lease, p.st.number))
		return g, nil
	}
	g.Before = b.lease(b.records.at(p.r))
	g.Lease.Reserved = g.Before.Reserved
	g.Beyond = g.Lease
	b.update(p.r, b.pack(g.Lease, p.st.number))
	return g, nil
}

// lent is the lease that p makes of a request.
func (p pick) lent(q Request, now time.Time) Lease {
	// PSIDs of picks are those of the pool.
	set, _ := portset.New(p.st.params, p.psid)
	ipv4 := addr4(p.ip)
	l := Lease{
		Softwire:   softwire.Softwire{IPv4: ipv4, PortSet: set, B4: q.b4(ipv4, set), BR: p.st.def.BR},
		Subscriber: p.st.def.Subscriber(q.Subscriber),
		Number:     q.Number,
		Pool:       p.st.def.Name,
		Mechanism:  q.Mechanism,
		State:      Bound,
		Start:      floor(now).time(),
		Attributes: q.Attributes,
	}
	if q.Mechanism != pool.Static {
		l.setExpiry(now, p.st.def.Lifetime.Clamp(q.Lifetime))
	}
	return l
}

// Undo takes back a grant that is not Existing, since it could not be made
// durable. Nothing else was done for the subscriber meanwhile.
func (b *Book) Undo(g Grant) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.putBack(g.Lease, g.Before)
	if g.From.State != 0 {
		b.putBack(g.From, g.From)
	}
}

// putBack makes the record of a port set, if now still holds it, what it was
// before.
func (b *Book) putBack(now, before Lease) {
	r := b.find(now.Key())
	if r == 0 || !b.records.at(r).heldBy(now) {
		return
	}
	if before.State == 0 {
		b.remove(r)
		return
	}
	b.update(r, b.pack(before, b.records.at(r).pool))
}

// pick is a port set for a subscriber. Its record is 0 if it has none.
type pick struct {
	st   *stock
	ip   uint32
	psid uint16
	r    ref
}

func (b *Book) pickOf(r ref) pick {
	if r == 0 {
		return pick{}
	}
	rec := b.records.at(r)
	return pick{b.pools[rec.pool], rec.ipv4, rec.psid, r}
}
