package lease

import (
	"fmt"
	"slices"
	"strings"
)

// choose finds a port set for a subscriber that has none: first one that it had
// or that is reserved for it, then one that nobody has had, then the one that
// has rested the longest.
func (b *Book) choose(q Request, now instant) (pick, error) {
	candidates, err := b.candidates(q)
	if err != nil {
		return pick{}, err
	}
	if p, ok := b.remembered(q, candidates); ok {
		return p, nil
	}
	var names []string
	for _, st := range candidates {
		if q.Number >= st.def.Quota {
			continue
		}
		if p, ok := b.pickFrom(st, q, now); ok {
			return p, nil
		}
		names = append(names, st.def.Name)
	}
	if len(names) == 0 {
		return pick{}, fmt.Errorf("subscriber %s, number %d: %w", q.Subscriber, q.Number, ErrQuota)
	}
	return pick{}, fmt.Errorf("pool %s: %w", strings.Join(names, ", "), ErrExhausted)
}

// candidates are the pools that a request may draw from, in order.
func (b *Book) candidates(q Request) ([]*stock, error) {
	if q.Pool != "" {
		st, ok := b.names[q.Pool]
		switch {
		case !ok:
			return nil, fmt.Errorf("pool %q: %w: there is none of that name", q.Pool, ErrPool)
		case !st.lends(q):
			return nil, fmt.Errorf("pool %q, mechanism %s: %w", q.Pool, q.Mechanism, ErrMechanism)
		case st.draining:
			return nil, fmt.Errorf("pool %q: %w: it is being drained", q.Pool, ErrPool)
		}
		return []*stock{st}, nil
	}
	var all, sized []*stock
	for _, def := range b.defs {
		st := b.names[def.Name]
		if !st.lends(q) || st.draining {
			continue
		}
		all = append(all, st)
		if st.params.SetSize() == q.Ports {
			sized = append(sized, st)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("mechanism %s: %w: no pool names it", q.Mechanism, ErrMechanism)
	}
	if len(sized) > 0 {
		return sized, nil
	}
	for _, st := range all {
		if st.params.SetSize() == all[0].params.SetSize() {
			sized = append(sized, st)
		}
	}
	return sized, nil
}

func (st *stock) lends(q Request) bool { return st.fresh != nil && st.def.Allows(q.Mechanism) }

// remembered finds a port set that the subscriber held, or that is reserved for
// it.
func (b *Book) remembered(q Request, candidates []*stock) (pick, bool) {
	var best *record
	var found pick
	b.ofSubscriber(q.Subscriber, func(r ref, rec *record) {
		st := b.pools[rec.pool]
		if rec.state != Resting || rec.number != q.Number || !st.fits(rec) || !st.within(q.Within).has(rec.psid) {
			return
		}
		if rec.flags.has(reserved) {
			if !st.lends(q) || st.draining || q.Pool != "" && q.Pool != st.def.Name {
				return
			}
		} else if !slices.Contains(candidates, st) || q.Number >= st.def.Quota || !st.lendable(rec.ipv4, rec.psid) {
			return
		}
		if home, ok := b.home(q, st); ok && home != rec.ipv4 {
			return
		}
		if best == nil || rec.better(best) {
			best, found = rec, b.pickOf(r)
		}
	})
	return found, best != nil
}

// better orders what a subscriber may have back: reserved before not, the latest
// first.
func (r *record) better(o *record) bool {
	if r.flags.has(reserved) != o.flags.has(reserved) {
		return r.flags.has(reserved)
	}
	if r.until != o.until {
		return r.until > o.until
	}
	return r.key() < o.key()
}

// home is the address that further leases of the subscriber have to be on.
func (b *Book) home(q Request, st *stock) (ip uint32, ok bool) {
	b.ofSubscriber(q.Subscriber, func(_ ref, rec *record) {
		if rec.state == Bound && !rec.flags.has(moved) && rec.pool == st.number {
			ip, ok = rec.ipv4, true
		}
	})
	return ip, ok
}

// pickFrom finds a port set of a pool that anybody may have.
func (b *Book) pickFrom(st *stock, q Request, now instant) (pick, bool) {
	among := st.within(q.Within)
	if ip, ok := b.home(q, st); ok {
		return b.pickOn(st, ip, among, now)
	}
	if want := q.Want; want.IPv4.Is4() {
		if _, ok := find(st.spans, ip4(want.IPv4)); ok {
			if want.PortSet.Params() == st.params && among.has(want.PortSet.PSID()) {
				if p, ok := b.available(st, ip4(want.IPv4), want.PortSet.PSID(), now); ok {
					return p, true
				}
			}
			if p, ok := b.pickOn(st, ip4(want.IPv4), among, now); ok {
				return p, true
			}
		}
	}
	if ip, psid, ok := st.firstFresh(among); ok {
		return pick{st: st, ip: ip, psid: psid}, true
	}
	if r, ok := b.firstRested(st, among, now); ok {
		return b.pickOf(r), true
	}
	return pick{}, false
}

// available returns the port set if anybody may have it now.
func (b *Book) available(st *stock, ip uint32, psid uint16, now instant) (pick, bool) {
	if !st.lendable(ip, psid) {
		return pick{}, false
	}
	p := pick{st, ip, psid, b.at(st.key(ip, psid))}
	if p.r == 0 {
		return p, true
	}
	rec := b.records.at(p.r)
	return p, rec.state == Resting && !rec.flags.has(reserved) && rec.until <= now
}

// pickOn is pickFrom for one address. It looks at each port set of it.
func (b *Book) pickOn(st *stock, ip uint32, among psids, now instant) (pick, bool) {
	var best pick
	for psid := among.first; psid <= among.last; psid++ {
		p, ok := b.available(st, ip, uint16(psid), now)
		switch {
		case !ok:
		case p.r == 0:
			return p, true
		case best.r == 0 || b.records.at(p.r).until < b.records.at(best.r).until:
			best = p
		}
	}
	return best, best.r != 0
}
