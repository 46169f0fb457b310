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
	records map[key]*record
	clients map[string]*record   // the first by Holder.Client, those that rest too
	lines   map[string]int       // Bound ones of pools by Holder.Line
	expiry  queue                // of Bound ones
	owing   map[*record]struct{} // Resting ones that are
	offers  offers
	// journal, if there is one, is told what changes.
	journal *journal
}

// record is a Delegation in a Book.
type record struct {
	packed
	next  *record // of the same client
	stock *stock  // nil if no pool has the prefix
	queue *queue  // that it is in
	place int     // there
	// by is who changed it and may still take that back, or store it: until that is
	// over nobody else gets the prefix.
	by *journal
}

// key is a prefix: its address, and its length.
type key [17]byte

func keyOf(prefix netip.Prefix) (k key) {
	ip := prefix.Addr().As16()
	copy(k[:], ip[:])
	k[16] = byte(prefix.Bits())
	return k
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
		records: make(map[key]*record),
		clients: make(map[string]*record),
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
	if r, ok := b.records[keyOf(prefix)]; ok {
		return r.delegation(), true
	}
	return Delegation{}, false
}

// Held returns what a client holds, ordered by IAID.
func (b *Book) Held(client string) []Delegation {
	var held []Delegation
	for r := b.clients[client]; r != nil; r = r.next {
		if r.state == Bound {
			held = append(held, r.delegation())
		}
	}
	slices.SortFunc(held, func(a, b Delegation) int { return cmp.Compare(a.IAID, b.IAID) })
	return held
}

// Put makes d what is known of its prefix.
func (b *Book) Put(d Delegation) {
	at := keyOf(d.Prefix)
	r, ok := b.records[at]
	stays := ok && r.linkedAs(d) && (r.state == Bound || r.by == b.journal)
	before := Delegation{Prefix: d.Prefix}
	switch {
	case stays:
		before = r.delegation()
	case ok:
		before = r.delegation()
		b.unlink(r)
	default:
		r = &record{stock: b.stockOf(d.Prefix)}
		b.records[at] = r
	}
	r.pack(d)
	b.journal.note(before, d)
	if b.journal != nil {
		r.by = b.journal
	}
	if !stays {
		b.link(r)
	}
}

// settle ends that a prefix is by's.
func (b *Book) settle(prefix netip.Prefix, by *journal) {
	if r, ok := b.records[keyOf(prefix)]; ok && r.by == by {
		b.unlink(r)
		r.by = nil
		b.link(r)
	}
}

// linkedAs says whether r is linked as d would be.
func (r *record) linkedAs(d Delegation) bool {
	return r.state == d.State && r.client() == d.Client && r.line() == d.Line && r.expires == instantOf(d.Expires) &&
		r.until == instantOf(d.Until) && (r.state == Bound || r.owing() == d.Owing)
}

// Drop forgets what is known of a prefix.
func (b *Book) Drop(prefix netip.Prefix) {
	r, ok := b.records[keyOf(prefix)]
	if !ok {
		return
	}
	b.unlink(r)
	b.journal.note(r.delegation(), Delegation{Prefix: prefix})
	delete(b.records, keyOf(prefix))
	b.giveBack(prefix)
}

// giveBack makes a prefix one that nobody has had, if it is not in use.
func (b *Book) giveBack(prefix netip.Prefix) {
	s := b.stockOf(prefix)
	if s == nil || b.records[keyOf(prefix)] != nil {
		return
	}
	if i, _ := s.index(prefix); i < s.next {
		s.free[i] = struct{}{}
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
		if skip(r.client()) {
			r.remove()
			later = append(later, r)
			continue
		}
		d := r.delegation()
		ended = append(ended, d)
		b.end(d, now)
	}
	for _, r := range later {
		b.expiry.add(r, r.expires)
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
	if r, ok := b.records[keyOf(prefix)]; ok && r.state == Resting && r.stock == nil && !r.owing() {
		b.Drop(prefix)
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
