package lease

import "math/bits"

// index finds records by hash. It is a hash table of chains through the records
// that grows by one chain at a time, so that no insertion pays for many
// (linear hashing).
type index struct {
	heads []ref
	count int
	chain int // which of record.links
	hash  func(*record) uint64
}

// head is the chain that a hash belongs to.
func (x *index) head(hash uint64) int {
	// Chains whose twin is there already have been split by one more bit.
	wide := uint64(1) << bits.Len(uint(len(x.heads)-1))
	if i := hash & (wide - 1); i < uint64(len(x.heads)) {
		return int(i)
	}
	return int(hash & (wide>>1 - 1))
}

func (x *index) insert(s *slab, r ref) {
	if x.count >= len(x.heads) {
		x.grow(s)
	}
	x.count++
	x.link(s, r)
}

// expect makes room for n records, if there are none yet.
func (x *index) expect(n int) {
	if x.count == 0 {
		x.heads = make([]ref, n)
	}
}

func (x *index) link(s *slab, r ref) {
	rec := s.at(r)
	head := &x.heads[x.head(x.hash(rec))]
	rec.links[x.chain] = link{next: *head}
	if *head != 0 {
		s.at(*head).links[x.chain].prev = r
	}
	*head = r
}

func (x *index) remove(s *slab, r ref) {
	rec := s.at(r)
	l := rec.links[x.chain]
	if l.prev != 0 {
		s.at(l.prev).links[x.chain].next = l.next
	} else {
		x.heads[x.head(x.hash(rec))] = l.next
	}
	if l.next != 0 {
		s.at(l.next).links[x.chain].prev = l.prev
	}
	x.count--
}

// grow adds a chain and distributes the one that it is split from.
func (x *index) grow(s *slab) {
	if len(x.heads) == 0 {
		x.heads = make([]ref, 1)
		return
	}
	from := len(x.heads) - 1<<(bits.Len(uint(len(x.heads)))-1)
	r := x.heads[from]
	x.heads[from] = 0
	x.heads = append(x.heads, 0)
	for r != 0 {
		next := s.at(r).links[x.chain].next
		x.link(s, r)
		r = next
	}
}

// each calls visit with the records of a chain until it returns false. visit
// checks that a record is one that it wants.
func (x *index) each(s *slab, hash uint64, visit func(ref, *record) bool) {
	if len(x.heads) == 0 {
		return
	}
	for r := x.heads[x.head(hash)]; r != 0; {
		rec := s.at(r)
		if !visit(r, rec) {
			return
		}
		r = rec.links[x.chain].next
	}
}
