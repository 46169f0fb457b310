package delegation

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Book is who holds which prefix. What it does takes time that does not depend on
// how many prefixes there are, but for the logarithm of it. Its owner sees to it
// that one goroutine uses it at a time.
type Book struct {
	stocks  []*stock
	records map[netip.Prefix]*record
	clients map[string][]*record // by Holder.Client, those that rest too
	lines   map[string]int       // Bound ones of pools by Holder.Line
	expiry  queue                // of Bound ones
	owing   map[*record]struct{} // Resting ones that are
	offers  offers
	// journal, if there is one, is told what changes.
	journal *journal
}

// record is a Delegation in a Book.
type record struct {
	Delegation
	stock *stock // nil if no pool has the prefix
	queue *queue // that it is in
	place int    // there
	// by is who changed it and may still take that back, or store it: until that is
	// over nobody else gets the prefix.
	by *journal
}

// stock is a pool, and which of its prefixes are in use.
type stock struct {
	Pool
	end  uint32
	next uint32 // from here on nothing was handed out but what was wished for
	// free are indexes below next that are back. They may be in use nevertheless.
	free    map[uint32]struct{}
	resting queue
	bound   int
}

// NewBook returns a Book without delegations. The pools are those that Validate
// accepts, and do not overlap.
func NewBook(pools []Pool, maxOffers int) *Book {
	b := &Book{
		records: make(map[netip.Prefix]*record),
		clients: make(map[string][]*record),
		lines:   make(map[string]int),
		owing:   make(map[*record]struct{}),
		offers:  newOffers(maxOffers),
	}
	for _, p := range pools {
		b.stocks = append(b.stocks, &stock{Pool: p, end: p.size(), free: make(map[uint32]struct{})})
	}
	return b
}

// stockOf is the pool that has a prefix, nil if none has.
func (b *Book) stockOf(prefix netip.Prefix) *stock {
	for _, s := range b.stocks {
		if _, ok := s.index(prefix); ok {
			return s
		}
	}
	return nil
}

// Get returns the delegation of a prefix.
func (b *Book) Get(prefix netip.Prefix) (Delegation, bool) {
	if r, ok := b.records[prefix]; ok {
		return r.Delegation, true
	}
	return Delegation{}, false
}

// Held returns what a client holds, ordered by IAID.
func (b *Book) Held(client string) []Delegation {
	var held []Delegation
	for _, r := range b.clients[client] {
		if r.State == Bound {
			held = append(held, r.Delegation)
		}
	}
	slices.SortFunc(held, func(a, b Delegation) int { return cmp.Compare(a.IAID, b.IAID) })
	return held
}

// Put makes d what is known of its prefix.
func (b *Book) Put(d Delegation) {
	r, ok := b.records[d.Prefix]
	stays := ok && r.linkedAs(d) && (r.State == Bound || r.by == b.journal)
	switch {
	case stays:
	case ok:
		b.unlink(r)
	default:
		r = &record{Delegation: Delegation{Prefix: d.Prefix}, stock: b.stockOf(d.Prefix)}
		b.records[d.Prefix] = r
	}
	b.journal.note(r.Delegation, d)
	r.Delegation = d
	if b.journal != nil {
		r.by = b.journal
	}
	if !stays {
		b.link(r)
	}
}

// settle ends that a prefix is by's.
func (b *Book) settle(prefix netip.Prefix, by *journal) {
	if r, ok := b.records[prefix]; ok && r.by == by {
		b.unlink(r)
		r.by = nil
		b.link(r)
	}
}

// linkedAs says whether r is linked as d would be.
func (r *record) linkedAs(d Delegation) bool {
	return r.State == d.State && r.Client == d.Client && r.Line == d.Line && r.Expires.Equal(d.Expires) &&
		r.Until.Equal(d.Until) && (r.State == Bound || r.Owing == d.Owing)
}

// Drop forgets what is known of a prefix.
func (b *Book) Drop(prefix netip.Prefix) {
	r, ok := b.records[prefix]
	if !ok {
		return
	}
	b.unlink(r)
	b.journal.note(r.Delegation, Delegation{Prefix: prefix})
	delete(b.records, prefix)
	b.giveBack(prefix)
}

// giveBack makes a prefix one that nobody has had, if it is not in use.
func (b *Book) giveBack(prefix netip.Prefix) {
	s := b.stockOf(prefix)
	if s == nil || b.records[prefix] != nil {
		return
	}
	if i, _ := s.index(prefix); i < s.next {
		s.free[i] = struct{}{}
	}
}

func (b *Book) link(r *record) {
	if r.Client != "" {
		b.clients[r.Client] = append(b.clients[r.Client], r)
	}
	switch {
	case r.State == Bound:
		b.expiry.add(r, r.Expires)
		if r.stock != nil {
			r.stock.bound++
			if r.Line != "" {
				b.lines[r.Line]++
			}
		}
	case r.Owing:
		b.owing[r] = struct{}{}
	case r.stock != nil && r.by == nil:
		r.stock.resting.add(r, r.Until)
	}
}

func (b *Book) unlink(r *record) {
	if of := b.clients[r.Client]; len(of) > 1 {
		i := slices.Index(of, r)
		b.clients[r.Client] = slices.Delete(of, i, i+1)
	} else {
		delete(b.clients, r.Client)
	}
	r.remove()
	delete(b.owing, r)
	if r.State == Bound && r.stock != nil {
		r.stock.bound--
		if r.Line != "" {
			if b.lines[r.Line]--; b.lines[r.Line] == 0 {
				delete(b.lines, r.Line)
			}
		}
	}
}

// Expire ends delegations that have expired, max at most, and returns them as they
// were. Those of clients that are skipped stay.
func (b *Book) Expire(now time.Time, max int, skip func(client string) bool) []Delegation {
	var ended []Delegation
	var later []*record
	for len(ended) < max && len(later) < max {
		r, when, ok := b.expiry.first()
		if !ok || when.After(now) {
			break
		}
		if skip(r.Client) {
			r.remove()
			later = append(later, r)
			continue
		}
		ended = append(ended, r.Delegation)
		b.end(r.Delegation, now)
	}
	for _, r := range later {
		b.expiry.add(r, r.Expires)
	}
	return ended
}

// Due is when something expires next.
func (b *Book) Due() (time.Time, bool) {
	_, when, ok := b.expiry.first()
	return when, ok
}

// withdraw is the end of a delegation whose client may not know of it: nobody else
// gets the prefix while the client may use it.
func (b *Book) withdraw(d Delegation, now time.Time) {
	b.end(d, maxTime(now, d.Expires))
}

// end is the end of a delegation that is Bound, from a time on.
func (b *Book) end(d Delegation, from time.Time) {
	d.State, d.Until = Resting, ceil(from)
	if s := b.stockOf(d.Prefix); s != nil {
		d.Until = ceil(from.Add(s.HoldDown))
	}
	b.Put(d)
	b.forget(d.Prefix)
}

// forget drops what rests and is of no use to anybody.
func (b *Book) forget(prefix netip.Prefix) {
	if r, ok := b.records[prefix]; ok && r.State == Resting && r.stock == nil && !r.Owing {
		b.Drop(prefix)
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
