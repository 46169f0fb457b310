package lease

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/lwaftr/lw4o6/plugin/pool"
	"github.com/lwaftr/lw4o6/plugin/portset"
	"github.com/lwaftr/lw4o6/plugin/softwire"
)

// record is a Lease as it is kept: packed, because there are millions.
type record struct {
	subscriber, b4 [16]byte // all zero b4: not known yet
	attributes     Attributes
	ipv4           uint32
	br             uint32 // in Book.brs
	psid           uint16
	offset, length uint8 // a and k of the port set
	bits           uint8 // of the subscriber's prefix
	number         uint8
	mechanism      uint8 // in mechanisms
	state          State
	flags          flags
	pool           uint16 // in Book.pools

	start, expires, horizon, until instant

	links [2]link // in the chains of the indices, by key and by subscriber
	place uint32  // in the heap of its queue
	queue queue
}

// link is a place in a chain.
type link struct{ next, prev ref }

// queue is which heap a record is in.
type queue uint8

const (
	noQueue  queue = iota
	toExpire       // Book.expiry
	toLend         // stock.resting
)

type flags uint8

const (
	reserved flags = 1 << iota
	moved
	configured
)

func (f flags) has(one flags) bool { return f&one != 0 }

// set returns f with one set or cleared.
func (f flags) set(one flags, on bool) flags {
	if on {
		return f | one
	}
	return f &^ one
}

// mechanisms are numbered for records only.
var mechanisms = [...]pool.Mechanism{pool.Static, pool.DHCPv6, pool.PCP}

// instant is a time in seconds since 1970; 0 is none. It ends in 2106.
type instant uint32

// floor and ceil are the whole second not after t, and not before it.
func floor(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return instant(min(max(t.Unix(), 1), 1<<32-1))
}

func ceil(t time.Time) instant {
	if t.Nanosecond() > 0 {
		t = t.Add(time.Second)
	}
	return floor(t)
}

func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(int64(i), 0).UTC()
}

// ref is the place of a record in a slab; 0 is none.
type ref uint32

// slab holds records that stay where they are.
type slab struct {
	chunks [][]record
	free   []ref
}

const chunkBits = 10

func (s *slab) at(r ref) *record { return &s.chunks[r>>chunkBits][r&(1<<chunkBits-1)] }

func (s *slab) add(rec record) ref {
	if len(s.free) == 0 {
		first := len(s.chunks) << chunkBits
		s.chunks = append(s.chunks, make([]record, 1<<chunkBits))
		for i := first + 1<<chunkBits - 1; i >= max(first, 1); i-- {
			s.free = append(s.free, ref(i))
		}
	}
	r := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	*s.at(r) = rec
	return r
}

func (s *slab) remove(r ref) {
	*s.at(r) = record{}
	s.free = append(s.free, r)
}

// each calls visit with every record, which visit may remove.
func (s *slab) each(visit func(ref, *record)) {
	for i, chunk := range s.chunks {
		for j := range chunk {
			if rec := &chunk[j]; rec.state != 0 {
				visit(ref(i<<chunkBits+j), rec)
			}
		}
	}
}

// key is the softwire's key packed into the bits of a uint64.
type key uint64

func keyOf(k softwire.Key) key {
	p := k.PortSet.Params()
	return packKey(ip4(k.IPv4), p.Offset(), p.Length(), k.PortSet.PSID())
}

func packKey(ipv4 uint32, offset, length uint8, psid uint16) key {
	return key(ipv4)<<32 | key(offset)<<24 | key(length)<<16 | key(psid)
}

func (r *record) key() key { return packKey(r.ipv4, r.offset, r.length, r.psid) }

// heldBy reports whether r is of the same subscriber and number as l.
func (r *record) heldBy(l Lease) bool {
	return r.owner() == ownerOf(l.Subscriber) && r.number == l.Number
}

// portSet is the port set of a record, which was made from a valid one.
func (r *record) portSet() portset.PortSet {
	set, _ := portset.Of(r.offset, r.length, r.psid)
	return set
}

// ip4 is an IPv4 address as a number.
func ip4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// pack makes the record of l in the pool with that number.
func (b *Book) pack(l Lease, number uint16) record {
	p := l.Softwire.PortSet.Params()
	r := record{
		subscriber: l.Subscriber.Addr().As16(), bits: uint8(l.Subscriber.Bits()), number: l.Number,
		attributes: l.Attributes,
		ipv4:       ip4(l.Softwire.IPv4), br: b.brs.number(l.Softwire.BR),
		psid: l.Softwire.PortSet.PSID(), offset: p.Offset(), length: p.Length(),
		state: l.State, pool: number,
		start: floor(l.Start), expires: ceil(l.Expires), horizon: ceil(l.Horizon), until: ceil(l.Until),
	}
	if l.Softwire.B4.IsValid() {
		r.b4 = l.Softwire.B4.As16()
	}
	for i, m := range mechanisms {
		if m == l.Mechanism {
			r.mechanism = uint8(i)
		}
	}
	r.flags = r.flags.set(reserved, l.Reserved).set(moved, l.Moved).set(configured, l.Configured)
	return r
}

// lease is r as others see it.
func (b *Book) lease(r *record) Lease {
	l := Lease{
		Softwire:   softwire.Softwire{IPv4: addr4(r.ipv4), PortSet: r.portSet(), BR: b.brs.list[r.br]},
		Subscriber: netip.PrefixFrom(netip.AddrFrom16(r.subscriber), int(r.bits)),
		Number:     r.number,
		Pool:       b.pools[r.pool].def.Name,
		Mechanism:  mechanisms[r.mechanism],
		State:      r.state,
		Reserved:   r.flags.has(reserved), Moved: r.flags.has(moved), Configured: r.flags.has(configured),
		Start: r.start.time(), Expires: r.expires.time(), Horizon: r.horizon.time(), Until: r.until.time(),
		Attributes: r.attributes,
	}
	if r.b4 != ([16]byte{}) {
		l.Softwire.B4 = netip.AddrFrom16(r.b4)
	}
	return l
}

// addresses numbers BR addresses: there are few, and many leases.
type addresses struct {
	list   []netip.Addr
	byAddr map[netip.Addr]uint32
}

func (a *addresses) number(addr netip.Addr) uint32 {
	n, ok := a.byAddr[addr]
	if !ok {
		n = uint32(len(a.list))
		a.list = append(a.list, addr)
		a.byAddr[addr] = n
	}
	return n
}
