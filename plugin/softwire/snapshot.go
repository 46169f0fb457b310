package softwire

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
	"net/netip"
)

// Snapshot is the content of a Table at one moment. It never changes, and any
// number of goroutines may read it. One that is no longer wanted should not be
// kept: it holds the memory of what the table has replaced since.
type Snapshot struct {
	addresses *node
	links     *linkNode
	brs       *brSet
	seed      maphash.Seed
	count     int
	slots     int
}

// Match is the softwire that a packet belongs to.
type Match struct {
	B4    *[16]byte // the lwB4's address, network byte order; not to be written to
	BR    *[16]byte // the BR address, likewise
	Slot  uint32    // see Snapshot.Slots
	Whole bool      // the softwire has the whole IPv4 address
}

// Len is the number of softwires.
func (s *Snapshot) Len() int { return s.count }

// Lookup finds the softwire that holds port of the IPv4 address ip. It does not
// allocate.
func (s *Snapshot) Lookup(ip [4]byte, port uint16) (Match, bool) {
	a := s.addresses.find(binary.BigEndian.Uint32(ip[:]))
	if a == nil {
		return Match{}, false
	}
	var e *entry
	params := a.params
	if a.crowd != nil {
		e, params = a.crowd.holder(port)
	} else if psid, ok := params.PSID(port); ok {
		e = a.block.entry(psid)
	}
	if e == nil {
		return Match{}, false
	}
	return Match{B4: &e.b4, BR: &s.brs.list[e.br], Slot: e.slot, Whole: params.Whole()}, true
}

// Address reports whether there is any softwire on the IPv4 address ip.
func (s *Snapshot) Address(ip [4]byte) bool {
	return s.addresses.find(binary.BigEndian.Uint32(ip[:])) != nil
}

// Get returns the softwire with the key k.
func (s *Snapshot) Get(k Key) (Softwire, bool) {
	at, ok := locate(k)
	if !ok {
		return Softwire{}, false
	}
	e := s.entry(at)
	if e == nil {
		return Softwire{}, false
	}
	return s.softwire(at, e), true
}

// Slot returns the slot of the softwire with the key k.
func (s *Snapshot) Slot(k Key) (uint32, bool) {
	at, ok := locate(k)
	if !ok {
		return 0, false
	}
	e := s.entry(at)
	if e == nil {
		return 0, false
	}
	return e.slot, true
}

// Slots bounds the slots in use: all are below it. Slots are small numbers to
// index arrays by, one per softwire. A softwire keeps its slot while its key is
// in the table, whatever its addresses become. The slot of one that is removed
// goes to another no sooner than in the next batch.
func (s *Snapshot) Slots() int { return s.slots }

// HasB4 reports whether ip is the lwB4 address of any softwire.
func (s *Snapshot) HasB4(ip [16]byte) bool {
	found := false
	s.eachOfB4(ip, func(locator, *entry) bool {
		found = true
		return false
	})
	return found
}

// HasBR reports whether ip is the BR address of any softwire.
func (s *Snapshot) HasBR(ip [16]byte) bool {
	_, ok := s.brs.index[ip]
	return ok
}

// ByB4 yields the softwires of one lwB4, ordered by Key.Compare.
func (s *Snapshot) ByB4(b4 netip.Addr) iter.Seq[Softwire] {
	return func(yield func(Softwire) bool) {
		if !usable6(b4) {
			return
		}
		s.eachOfB4(b4.As16(), func(at locator, e *entry) bool { return yield(s.softwire(at, e)) })
	}
}

// All yields the softwires ordered by Key.Compare.
func (s *Snapshot) All() iter.Seq[Softwire] {
	return func(yield func(Softwire) bool) {
		slot{child: s.addresses}.each(func(a *address) bool {
			return a.each(func(at locator, e *entry) bool { return yield(s.softwire(at, e)) })
		})
	}
}

// From yields the softwires that All yields from the key k on, k included. It
// finds the first one without a walk over those before it. A Key with only an
// address is the least one of that address.
func (s *Snapshot) From(k Key) iter.Seq[Softwire] {
	if !k.IPv4.IsValid() {
		return s.All()
	}
	return func(yield func(Softwire) bool) {
		from, ok := locate(k)
		if !ok {
			return // IPv6 addresses are behind all others
		}
		visit := func(at locator, e *entry) bool { return yield(s.softwire(at, e)) }
		slot{child: s.addresses}.eachFrom(from.ip(), func(a *address) bool {
			if a.ip == from.ip() {
				return a.eachFrom(from, visit)
			}
			return a.each(visit)
		})
	}
}

// eachOfB4 calls visit with the softwires of one lwB4 until it returns false.
func (s *Snapshot) eachOfB4(b4 [16]byte, visit func(locator, *entry) bool) {
	s.links.eachOf(hashB4(s.seed, &b4), func(l link) bool {
		e := s.entry(l.at())
		return e.b4 != b4 || visit(l.at(), e) // another one may have the same hash
	})
}

func (s *Snapshot) entry(at locator) *entry {
	a := s.addresses.find(at.ip())
	if a == nil {
		return nil
	}
	return a.entry(at)
}

func (s *Snapshot) softwire(at locator, e *entry) Softwire {
	return softwireAt(at, &e.b4, &s.brs.list[e.br])
}
