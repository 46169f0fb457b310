package delegation

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Offer returns the delegation that Grant would make, and keeps its prefix for the
// client for a minute. Errors are those of Grant.
func (b *Book) Offer(q Query, now time.Time) (Delegation, error) {
	b.expireOffers(now, 0)
	d, err := b.decide(q, now)
	if err == nil && d.State != Bound {
		b.addOffer(d.Prefix, q.Client, q.IAID, now)
	}
	return b.bound(d, q, now), err
}

// Grant returns the delegation that q's client has, extended, or a new one, and
// enters it. The error wraps ErrExhausted or ErrQuota; or ErrUnknown if q is
// Renewing what there is not.
func (b *Book) Grant(q Query, now time.Time) (Delegation, error) {
	b.expireOffers(now, 0)
	d, err := b.decide(q, now)
	if err != nil {
		return Delegation{}, err
	}
	d = b.bound(d, q, now)
	b.endOffer(d.Prefix)
	if r := b.own(q.Client, q.IAID, Bound); r != nil && r.at() != d.Prefix {
		b.withdraw(r.delegation(), now)
	}
	b.Put(d)
	b.disown(q.Client)
	return d, nil
}

// disown forgets what a client had long ago, if it has had many prefixes, so that
// changing IAIDs and wishes cost no memory. Their hold-down goes on.
func (b *Book) disown(client string) {
	for {
		known := 0
		var rests *record
		for r := b.clients[client]; r != nil; r = r.next {
			if known++; rests == nil && r.state == Resting {
				rests = r
			}
		}
		if known <= maxQuota || rests == nil {
			return
		}
		d := rests.delegation()
		d.Holder = Holder{}
		b.Put(d)
	}
}

// decide finds the prefix for q, and returns what is known of it.
func (b *Book) decide(q Query, now time.Time) (Delegation, error) {
	switch r := b.own(q.Client, q.IAID, Bound); {
	case r != nil && r.stock != nil && slices.Contains(q.Pools, r.pool()):
		return r.delegation(), nil
	case r == nil && q.Renewing:
		return Delegation{}, ErrUnknown
	}
	stocks := b.among(q)
	if len(stocks) == 0 {
		return Delegation{}, fmt.Errorf("%w: no pool is for this client", ErrExhausted)
	}
	if r := b.replaced(q, stocks); r != nil {
		return r.delegation(), nil
	}
	err := error(ErrExhausted)
	for _, s := range stocks {
		if over := b.overQuota(q, s); over != nil {
			err = over
			continue
		}
		if prefix, ok := b.choose(q, s, now); ok {
			return b.known(prefix), nil
		}
	}
	return Delegation{}, err
}

// known is what is known of a prefix, which may be nothing.
func (b *Book) known(prefix netip.Prefix) Delegation {
	if d, ok := b.Get(prefix); ok {
		return d
	}
	return Delegation{Prefix: prefix}
}

// own is what a client has, or had, by an IAID.
func (b *Book) own(client string, iaid uint32, state State) *record {
	for r := b.clients[client]; r != nil; r = r.next {
		if r.iaid == iaid && r.state == state {
			return r
		}
	}
	return nil
}

// among are the pools of q, those with the length that is wished for first.
func (b *Book) among(q Query) []*stock {
	var suit, others []*stock
	for _, name := range q.Pools {
		i := slices.IndexFunc(b.stocks, func(s *stock) bool { return s.Name == name })
		switch {
		case i < 0:
		case q.Want.IsValid() && q.Want.Bits() == int(b.stocks[i].DelegatedLen):
			suit = append(suit, b.stocks[i])
		default:
			others = append(others, b.stocks[i])
		}
	}
	return append(suit, others...)
}

// replaced is a delegation of q's line to another device, which q's takes over
// when the quota leaves no other.
func (b *Book) replaced(q Query, stocks []*stock) *record {
	if q.DUID == "" || b.overQuota(q, stocks[0]) == nil {
		return nil
	}
	for r := b.clients[q.Client]; r != nil; r = r.next {
		if r.state == Bound && r.duid() != q.DUID && slices.Contains(stocks, r.stock) {
			return r
		}
	}
	return nil
}

func (b *Book) overQuota(q Query, s *stock) error {
	bound, ofLine := 0, b.lines[q.Line]
	for r := b.clients[q.Client]; r != nil; r = r.next {
		switch {
		case r.state != Bound:
		case r.iaid != q.IAID:
			bound++
		// One that its link does not allow any more makes room.
		case r.line() == q.Line && r.stock != nil:
			ofLine--
		}
	}
	if bound >= s.Quota {
		return fmt.Errorf("%w: the client has %d", ErrQuota, bound)
	}
	if s.LineQuota > 0 && q.Line != "" && ofLine >= s.LineQuota {
		return fmt.Errorf("%w: the line has %d", ErrQuota, ofLine)
	}
	return nil
}

// choose finds a prefix of s: the one that is wished for, that was offered or was
// the client's last, one that nobody has had, or the one that has rested longest.
func (b *Book) choose(q Query, s *stock, now time.Time) (netip.Prefix, bool) {
	if b.available(q.Want, q, s, now) {
		return q.Want, true
	}
	if prefix, ok := b.offers.to(q.Client, q.IAID); ok && b.available(prefix, q, s, now) {
		return prefix, true
	}
	if r := b.last(q, s); r != nil {
		return r.at(), true
	}
	for i := range s.free {
		delete(s.free, i)
		if prefix := s.at(i); b.available(prefix, q, s, now) {
			return prefix, true
		}
	}
	for ; s.next < s.end; s.next++ {
		if prefix := s.at(s.next); b.records[keyOf(prefix)] == nil && b.available(prefix, q, s, now) {
			s.next++
			return prefix, true
		}
	}
	if r, until, ok := s.resting.first(); ok && !until.After(now) && !b.offers.toOther(r.at(), q.Client, q.IAID) {
		return r.at(), true
	}
	return netip.Prefix{}, false
}

// available reports whether q's client may have a prefix of s.
func (b *Book) available(prefix netip.Prefix, q Query, s *stock, now time.Time) bool {
	if !prefix.IsValid() || b.offers.toOther(prefix, q.Client, q.IAID) {
		return false
	}
	if _, ok := s.index(prefix); !ok || s.excludes(prefix) {
		return false
	}
	r, ok := b.records[keyOf(prefix)]
	return !ok || r.state == Resting && (r.client() == q.Client || r.by == nil && !r.owing() && !r.until.time().After(now))
}

// last is the prefix of s that q's client had last, by the same IAID if it had one.
func (b *Book) last(q Query, s *stock) (found *record) {
	for r := b.clients[q.Client]; r != nil; r = r.next {
		if r.state != Resting || r.stock != s || b.offers.toOther(r.at(), q.Client, q.IAID) || s.excludes(r.at()) {
			continue
		}
		same := r.iaid == q.IAID
		if found == nil || same && found.iaid != q.IAID || same == (found.iaid == q.IAID) && r.until > found.until {
			found = r
		}
	}
	return found
}

// bound is d in the hands of q's client from now on.
func (b *Book) bound(d Delegation, q Query, now time.Time) Delegation {
	s := b.stockOf(d.Prefix)
	if s == nil {
		return d
	}
	if d.State != Bound || d.Client != q.Client || d.DUID != q.DUID || d.IAID != q.IAID {
		d.Start = floor(now)
		d.Horizon = time.Time{}
	}
	if d.Client != q.Client {
		d = Delegation{Prefix: d.Prefix, Start: d.Start}
	}
	d.Pool, d.Holder, d.State, d.Until = s.Name, q.Holder, Bound, time.Time{}
	return d.extended(s.ValidLifetime, now)
}

// extended is d for lifetime from now, and after a restart as long again if that is
// not durable yet.
func (d Delegation) extended(lifetime time.Duration, now time.Time) Delegation {
	d.Expires = ceil(now.Add(lifetime))
	if d.Expires.After(d.Horizon) {
		d.Horizon = d.Expires.Add(lifetime)
	}
	return d
}
