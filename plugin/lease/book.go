package lease

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// Book is who holds which port set. Its methods may be called from any
// goroutine, and each takes time that does not depend on how large the pools
// are or how many leases there are, unless it says so.
type Book struct {
	mu           sync.Mutex
	records      slab
	byKey        index
	bySubscriber index
	seed         maphash.Seed // of both
	brs          addresses
	// expiry has the bound leases that expire, by a time not after that. See
	// Expire.
	expiry heap

	*layout
	lengths []uint8 // of subscribers' prefixes, each once
}

// NewBook returns a Book without pools.
func NewBook() *Book {
	b := &Book{
		brs:    addresses{byAddr: make(map[netip.Addr]uint32)},
		layout: newLayout(nil, &layout{}),
		seed:   maphash.MakeSeed(),
	}
	b.byKey = index{chain: 0, hash: func(r *record) uint64 { return maphash.Comparable(b.seed, r.key()) }}
	b.bySubscriber = index{chain: 1, hash: func(r *record) uint64 { return maphash.Comparable(b.seed, r.owner()) }}
	return b
}

// owner is whose lease a record is.
type owner struct {
	prefix [16]byte
	bits   uint8
}

func (r *record) owner() owner { return owner{r.subscriber, r.bits} }

func ownerOf(p netip.Prefix) owner { return owner{p.Addr().As16(), uint8(p.Bits())} }

// Get returns the lease of a port set.
func (b *Book) Get(k softwire.Key) (Lease, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.find(k)
	if r == 0 {
		return Lease{}, false
	}
	return b.lease(b.records.at(r)), true
}

// Subscriber returns all leases of the subscriber with that address, resting
// ones too.
func (b *Book) Subscriber(addr netip.Addr) []Lease {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Lease
	b.ofSubscriber(addr, func(_ ref, rec *record) { all = append(all, b.lease(rec)) })
	return all
}

// Held returns the lease that q's subscriber has by q's number, or the one that
// it had last, and those that were moved to there. The error wraps ErrUnknown,
// ErrMechanism (as *HeldError) or ErrInvalid.
func (b *Book) Held(q Request) (l Lease, from []Lease, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := q.complete(); err != nil {
		return Lease{}, nil, err
	}
	r, from, err := b.held(q)
	if err != nil {
		return Lease{}, nil, err
	}
	if r != 0 {
		return b.lease(b.records.at(r)), from, nil
	}
	var last *record
	b.ofSubscriber(q.Subscriber, func(_ ref, rec *record) {
		if rec.state == Resting && rec.number == q.Number && (last == nil || rec.better(last)) {
			last = rec
		}
	})
	switch {
	case last == nil && len(from) > 0:
		return from[0], from[1:], nil
	case last == nil:
		return Lease{}, nil, fmt.Errorf("subscriber %s, number %d: %w", q.Subscriber, q.Number, ErrUnknown)
	}
	return b.lease(last), from, nil
}

// find returns the record of a port set; 0 if there is none.
func (b *Book) find(k softwire.Key) ref {
	if !k.IPv4.Is4() {
		return 0
	}
	return b.at(keyOf(k))
}

func (b *Book) at(k key) ref {
	var found ref
	b.byKey.each(&b.records, maphash.Comparable(b.seed, k), func(r ref, rec *record) bool {
		if rec.key() == k {
			found = r
		}
		return found == 0
	})
	return found
}

// ofSubscriber calls visit with every record of the subscriber with that
// address, for each length that prefixes of subscribers have.
func (b *Book) ofSubscriber(addr netip.Addr, visit func(ref, *record)) {
	for _, bits := range b.lengths {
		p, err := addr.Prefix(int(bits))
		if err != nil {
			return
		}
		whose := ownerOf(p)
		b.bySubscriber.each(&b.records, maphash.Comparable(b.seed, whose), func(r ref, rec *record) bool {
			if rec.owner() == whose {
				visit(r, rec)
			}
			return true
		})
	}
}

// insert adds a record for a port set that has none.
func (b *Book) insert(rec record) {
	r := b.records.add(rec)
	b.byKey.insert(&b.records, r)
	b.link(r)
	b.pools[rec.pool].occupy(r, &rec)
	b.enter(r)
}

// remove takes the record away, as if the port set had never been used.
func (b *Book) remove(r ref) {
	b.leave(r)
	rec := *b.records.at(r)
	b.forget(r)
	b.pools[rec.pool].vacate(b, r, &rec)
}

// forget takes a record out of the indices and the slab.
func (b *Book) forget(r ref) {
	b.byKey.remove(&b.records, r)
	b.bySubscriber.remove(&b.records, r)
	b.records.remove(r)
}

// update replaces the record by one of the same port set and pool.
func (b *Book) update(r ref, to record) {
	b.leave(r)
	b.bySubscriber.remove(&b.records, r)
	at := b.records.at(r)
	to.links = at.links
	*at = to
	b.link(r)
	b.enter(r)
}

// link makes a record known to who looks for its subscriber.
func (b *Book) link(r ref) {
	b.bySubscriber.insert(&b.records, r)
	b.addLength(b.records.at(r).bits)
}

func (b *Book) addLength(bits uint8) {
	if !slices.Contains(b.lengths, bits) {
		b.lengths = append(b.lengths, bits)
	}
}

// enter puts a record into the heap where its content says that it belongs, and
// counts it. leave takes it out again.
func (b *Book) enter(r ref) {
	rec := b.records.at(r)
	b.pools[rec.pool].count(rec, 1)
	rec.queue = b.queueOf(rec)
	switch rec.queue {
	case toExpire:
		b.expiry.push(&b.records, max(rec.expires, rec.until), r)
	case toLend:
		b.pools[rec.pool].resting.push(&b.records, rec.until, r)
	}
}

func (b *Book) leave(r ref) {
	rec := b.records.at(r)
	b.pools[rec.pool].count(rec, -1)
	switch rec.queue {
	case toExpire:
		b.expiry.remove(&b.records, r)
	case toLend:
		b.pools[rec.pool].resting.remove(&b.records, r)
	}
}

// queueOf is the heap that a record belongs in.
func (b *Book) queueOf(rec *record) queue {
	st := b.pools[rec.pool]
	switch {
	case rec.state == Bound && rec.expires != 0:
		return toExpire
	case rec.state != Resting || rec.flags.has(reserved):
		return noQueue
	case st.fits(rec) && st.lendable(rec.ipv4, rec.psid):
		return toLend
	}
	// It is not given out again, so there is nothing to remember after its end.
	return toExpire
}

// Due is when Expire has something to do next; false if nothing expires. It may
// be too early, never too late.
func (b *Book) Due() (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.expiry.items) == 0 {
		return time.Time{}, false
	}
	return b.expiry.items[0].when.time(), true
}
